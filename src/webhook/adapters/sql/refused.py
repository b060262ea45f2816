"""Why the database refused what an accept brought."""

from __future__ import annotations

from collections.abc import Sequence

from webhook.adapters.sql.database import Database
from webhook.adapters.sql.rows import to_json
from webhook.adapters.sql.statements import CONFLICTING_NAMES
from webhook.adapters.sql.tenant_statements import TENANTS_DELETING
from webhook.domain.errors import Conflict, StoreUnavailable, WebhookError
from webhook.domain.model import NewEvent
from webhook.domain.tenant import tenant_deleting

_USED = "This name was used before with other content; a repeat must be the same to the letter."


async def refusal_of(database: Database, events: Sequence[NewEvent]) -> WebhookError:
    """Find out whose tenant is deleted, or which event met its name with other content."""
    seen: dict[tuple[str, str], str | None] = {}
    for position, event in enumerate(events):
        if event.name is None:
            continue
        name = (event.tenant, event.name)
        if seen.setdefault(name, event.content_hash) != event.content_hash:
            return Conflict.at(f"/{position}", _USED)
    named = [(i, e) for i, e in enumerate(events) if e.name is not None]
    rows = [{"tenant": e.tenant, "name": e.name, "hash": e.content_hash} for _, e in named]
    [found] = await database.read([(CONFLICTING_NAMES, (to_json(rows),))])
    if found:
        return Conflict.at(f"/{named[found[0]['position']][0]}", _USED)
    tenants = to_json([{"tenant": event.tenant} for event in events])
    [deleting] = await database.read([(TENANTS_DELETING, (tenants,))])
    if deleting:
        return tenant_deleting(deleting[0]["tenant"], f"/{deleting[0]['position']}/tenant")
    return StoreUnavailable("What stood in the way of these events has just gone.")
