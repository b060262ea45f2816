"""Query parameters and cursors, validated by structs as bodies are."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from datetime import datetime
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta, UnsetType

from webhook.api.fields import field_error
from webhook.api.operation import Call
from webhook.api.text import text
from webhook.domain.errors import InvalidInput
from webhook.domain.event import TENANT_DEFAULT, TENANT_PATTERN, tenant_problem

LIMIT_DEFAULT, LIMIT_MAX = 50, 250
QUERY_BYTES_MAX = 8 * 1024
_DIGEST_BYTES = 9
_INTEGER = re.compile("-?[0-9]{1,9}")

Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Most items in a page.")]
Cursor = Annotated[
    str, text("The next_cursor of the page before, as it was given.", "[A-Za-z0-9_-]+")
]
Tenant = Annotated[str, text("Whose they are.", TENANT_PATTERN)]
AnyTenant = Annotated[str, text("Whose it must be; anybody's when left out.", TENANT_PATTERN)]
Time = Annotated[datetime, Meta(tz=True)]
Since = Annotated[Time, Meta(description="Accepted at this time or later.")]
Until = Annotated[Time, Meta(description="Accepted before this time.")]


class TenantQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose event it is."""

    tenant: Annotated[str, text("Whose it is.", TENANT_PATTERN)] = TENANT_DEFAULT


class AnyTenantQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose endpoint or delivery it must be."""

    tenant: AnyTenant | UnsetType = UNSET


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | UnsetType = UNSET


class ListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every list takes of what belongs to a tenant."""

    tenant: Tenant = TENANT_DEFAULT


class AnyTenantListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every list takes of what may belong to nobody."""

    tenant: AnyTenant | UnsetType = UNSET


def parse_query[T: msgspec.Struct](call: Call, kind: type[T]) -> T:
    """Return the query parameters as ``kind``, in the tenant of the caller.

    Raises ``InvalidInput``, or ``Forbidden`` for another tenant; the pointer is the parameter's
    name behind a question mark.
    """
    given: dict[str, str | int] = {**_pairs(call.query_string)}
    # By hand, since msgspec's lax mode would take a number for a time as well.
    if _INTEGER.fullmatch(str(given.get("limit", ""))):
        given["limit"] = int(given["limit"])
    try:
        query = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        field = field_error(error, given, kind)
        raise InvalidInput.at("?" + field.pointer[1:], field.detail) from None
    if "tenant" in given and (problem := tenant_problem(str(given["tenant"]))):
        raise InvalidInput.at("?tenant", problem)
    return call.caller.confine(query, given, "?")


def _pairs(query_string: bytes) -> dict[str, str]:
    if not query_string:
        return {}
    if len(query_string) > QUERY_BYTES_MAX:
        raise InvalidInput.at("?", f"The query has at most {QUERY_BYTES_MAX} bytes.")
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise InvalidInput.at("?", "Is not percent-encoded UTF-8.") from None
    given = dict(pairs)
    if len(given) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput.at(f"?{twice}", "Stands twice in the query; keep one.")
    return given


def epoch_ms(at: datetime | UnsetType) -> int | None:
    """Return a parameter's time as epoch ms, None when it was left out."""
    return None if at is UNSET else round(at.timestamp() * 1000)


def next_cursor(list_name: str, query: PageQuery, after: str | None) -> str | None:
    """Return the cursor of the page that begins at a store's ``after``; None at the end."""
    if after is None:
        return None
    raw = after.encode()
    return base64.urlsafe_b64encode(_digest(list_name, query, raw) + raw).decode().rstrip("=")


def after_of(list_name: str, query: PageQuery) -> str | None:
    """Return the store's ``after`` inside a query's cursor, None without one.

    Raises ``InvalidInput`` for a cursor that is damaged, or of another list, tenant or filter.
    """
    if query.cursor is UNSET:
        return None
    try:
        padded = query.cursor.encode("ascii") + b"=" * (-len(query.cursor) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        after = raw[_DIGEST_BYTES:].decode()
    except (binascii.Error, UnicodeError):
        after = ""
    # Made anew, it must come out the same to the letter: base64 has several spellings of some.
    if next_cursor(list_name, query, after) != query.cursor:
        raise InvalidInput.at(
            "?cursor",
            "Is not a cursor of this list with this tenant and these filters; begin without one.",
        )
    return after


def _digest(list_name: str, query: PageQuery, after: bytes) -> bytes:
    # A check against mistakes, not a secret: whoever may list may begin anywhere in the list.
    binding = msgspec.structs.asdict(query)
    del binding["limit"], binding["cursor"]
    given = {name: value for name, value in binding.items() if value is not UNSET}
    content = msgspec.json.encode([list_name, given]) + after
    return hashlib.sha256(content).digest()[:_DIGEST_BYTES]
