"""``webhook audit``: who did what."""

from __future__ import annotations

from webhook.cli.events import Since, Until
from webhook.cli.listing import Row, time_of
from webhook.cli.remote import AnyTenant, Cursor, Limit, Service
from webhook.client import AuditEntry, Client


def audit(
    service: Service,
    *,
    tenant: AnyTenant = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> None:
    """List who did what, newest first: id, age, actor, action, target, and from where.

    Example: webhook audit --since 7d
    """
    request = Client.list_audit(
        tenant=tenant,
        since=time_of("--since", since),
        until=time_of("--until", until),
        limit=limit,
        cursor=cursor,
    )
    service.list(request, _row, "There is no such entry.")


def _row(entry: AuditEntry) -> Row:
    told = [entry.target, entry.detail and f"({entry.detail})", entry.source]
    return Row(entry.id, [entry.at, entry.actor, entry.action], " ".join(filter(None, told)))
