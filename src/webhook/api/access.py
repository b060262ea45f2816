"""``/v1/tokens`` and ``/v1/audit``: who may do what, and who did it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.responses import Response

from webhook.api.access_views import AuditEntryView, AuditPage, TokenMade, TokenPage, TokenView
from webhook.api.body import decode, read_body
from webhook.api.operation import Call, Operation, answer
from webhook.api.problems import NOT_FOUND, NOT_SUPPORTED
from webhook.api.query import (
    AnyTenantListQuery,
    AnyTenantQuery,
    Time,
    after_of,
    epoch_ms,
    next_cursor,
    parse_query,
)
from webhook.api.text import text
from webhook.domain.access import KNOWN_FOR_MS, TOKEN_NAME_CHARS_MAX, Scope
from webhook.domain.event import TENANT_PATTERN
from webhook.ports import AuditQuery, TokenQuery


class TokenInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to make."""

    name: Annotated[
        str,
        Meta(
            description="For people: who uses it, and for what.",
            extra_json_schema={"minLength": 1, "maxLength": TOKEN_NAME_CHARS_MAX},
        ),
    ]
    scopes: Annotated[
        list[Scope],
        Meta(
            description="What it may do: `emit` events; `read` events, deliveries and endpoints, "
            "without the path of their URLs; `manage` endpoints, replay and recover, and see whole "
            "URLs; read `secrets`; `admin` all of that, and tokens and the audit log.",
            extra_json_schema={"minItems": 1},
        ),
    ]
    tenant: Annotated[str | None, text("The one that it is for; null is all.", TENANT_PATTERN)] = (
        None
    )
    expires_at: Annotated[Time | None, Meta(description="Null is never.")] = None


class TokensQuery(AnyTenantListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tokens to list."""


class AuditLogQuery(AnyTenantListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries to list."""

    since: Annotated[Time, Meta(description="Done at this time or later.")] | UnsetType = UNSET
    until: Annotated[Time, Meta(description="Done before this time.")] | UnsetType = UNSET


_token = msgspec.json.Decoder(TokenInput)


async def create_token(call: Call) -> Response:
    """Make a token."""
    given = decode(call, await read_body(call), _token)
    token, shown = await call.context.service.access.create_token(
        given.name,
        given.scopes,
        tenant=given.tenant,
        expires_at=None if given.expires_at is None else epoch_ms(given.expires_at),
    )
    return answer(201, TokenMade(shown, TokenView.of(token)))


async def list_tokens(call: Call) -> Response:
    """List tokens."""
    query = parse_query(call, TokensQuery)
    page = await call.context.service.access.list_tokens(
        TokenQuery(
            tenant=None if query.tenant is UNSET else query.tenant,
            limit=query.limit,
            after=after_of("tokens", query),
        )
    )
    views = [TokenView.of(token) for token in page.items]
    return answer(200, TokenPage(views, next_cursor("tokens", query, page.after)))


async def revoke_token(call: Call) -> Response:
    """Revoke a token."""
    tenant = parse_query(call, AnyTenantQuery).tenant
    await call.context.service.access.revoke_token(
        call.id, tenant=None if tenant is UNSET else tenant
    )
    return Response(status_code=204)


async def list_audit(call: Call) -> Response:
    """List who did what."""
    query = parse_query(call, AuditLogQuery)
    page = await call.context.service.access.list_audit(
        AuditQuery(
            tenant=None if query.tenant is UNSET else query.tenant,
            limit=query.limit,
            after=after_of("audit", query),
            since=epoch_ms(query.since),
            until=epoch_ms(query.until),
        )
    )
    views = [AuditEntryView.of(entry) for entry in page.items]
    return answer(200, AuditPage(views, next_cursor("audit", query, page.after)))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/tokens",
        name="create_token",
        scope=Scope.ADMIN,
        summary="Make a token",
        description=(
            "The answer shows it, and nothing does again: only its hash is kept. An admin that is "
            "bound to a tenant makes tokens for that tenant."
        ),
        handler=create_token,
        body=(TokenInput,),
        status=201,
        answer=(TokenMade,),
        answer_description="The token.",
        problems=(NOT_SUPPORTED,),
        example='{"name": "shop", "scopes": ["emit", "read"], "tenant": "acme"}',
    ),
    Operation(
        method="GET",
        path="/v1/tokens",
        name="list_tokens",
        scope=Scope.ADMIN,
        summary="List tokens, oldest first",
        description="Without the tokens themselves. The one of the settings is not among them.",
        handler=list_tokens,
        query=TokensQuery,
        status=200,
        answer=(TokenPage,),
        answer_description="One page.",
        problems=(NOT_SUPPORTED,),
    ),
    Operation(
        method="DELETE",
        path="/v1/tokens/{id}",
        name="revoke_token",
        scope=Scope.ADMIN,
        summary="Revoke a token",
        description=f"It lets nobody in any more, {KNOWN_FOR_MS // 1000} seconds later at most.",
        handler=revoke_token,
        query=AnyTenantQuery,
        status=204,
        answer=(),
        answer_description="It is gone.",
        problems=(NOT_FOUND, NOT_SUPPORTED),
    ),
    Operation(
        method="GET",
        path="/v1/audit",
        name="list_audit",
        scope=Scope.ADMIN,
        summary="List who did what, newest first",
        description=(
            "Every change, and every time that a secret was read. Emitted events are not among "
            "them; they are listed as events."
        ),
        handler=list_audit,
        query=AuditLogQuery,
        status=200,
        answer=(AuditPage,),
        answer_description="One page.",
        problems=(NOT_SUPPORTED,),
    ),
)
