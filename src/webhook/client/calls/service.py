"""What concerns the whole service: the switch, tokens, the audit log, its health."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from webhook.client.request import Request, Time, body, path, query
from webhook.client.results import (
    AuditEntry,
    EventType,
    EventTypes,
    Health,
    NewToken,
    Page,
    Sending,
    Tenant,
    Token,
)


def list_event_types() -> Request[list[EventType]]:
    """Return the event types that the service knows, with the schemas of their data."""
    return Request(method="GET", path="/v1/event-types", answer=EventTypes, then=_types)


def _types(known: EventTypes) -> list[EventType]:
    return known.data


def get_sending() -> Request[Sending]:
    """Return whether sending is paused."""
    return Request(method="GET", path="/v1/sending", answer=Sending)


def pause_sending() -> Request[Sending]:
    """Pause all sending, of all tenants; what is accepted waits."""
    return Request(method="POST", path="/v1/sending/pause", answer=Sending)


def resume_sending() -> Request[Sending]:
    """Resume sending."""
    return Request(method="POST", path="/v1/sending/resume", answer=Sending)


def create_token(
    name: str,
    *,
    scopes: Sequence[str],
    tenant: str | None = None,
    expires_at: Time | None = None,
) -> Request[NewToken]:
    """Make a token; nothing shows it again.

    It is not tried again when its answer is lost, since it might be made twice.
    """
    return Request(
        method="POST",
        path="/v1/tokens",
        body=body(name=name, scopes=scopes, tenant=tenant, expires_at=expires_at),
        answer=NewToken,
        repeatable=False,
    )


def list_tokens(
    *, tenant: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Request[Page[Token]]:
    """List tokens, oldest first, without the tokens themselves."""
    given = query(tenant=tenant, limit=limit, cursor=cursor)
    return Request(method="GET", path="/v1/tokens", query=given, answer=Page[Token])


def revoke_token(token_id: str, *, tenant: str | None = None) -> Request[None]:
    """Revoke a token."""
    target = path("/v1/tokens/{}", token_id)
    return Request(method="DELETE", path=target, query=query(tenant=tenant), answer=None)


def get_tenant(tenant_id: str) -> Request[Tenant]:
    """Count what there is of a tenant."""
    return Request(method="GET", path=path("/v1/tenants/{}", tenant_id), answer=Tenant)


def delete_tenant(tenant_id: str) -> Request[Tenant]:
    """Delete a piece of a tenant; call it until ``deleting_since`` is None."""
    return Request(method="DELETE", path=path("/v1/tenants/{}", tenant_id), answer=Tenant)


def list_audit(
    *,
    tenant: str | None = None,
    since: Time | None = None,
    until: Time | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Request[Page[AuditEntry]]:
    """List who did what, newest first."""
    given = query(tenant=tenant, since=since, until=until, limit=limit, cursor=cursor)
    return Request(method="GET", path="/v1/audit", query=given, answer=Page[AuditEntry])


def health() -> Request[Health]:
    """Return whether the service and its store answer; needs no token."""
    return Request(method="GET", path="/health", answer=Health)


def get_openapi() -> Request[dict[str, Any]]:
    """Return the OpenAPI document of the service; needs no token."""
    return Request(method="GET", path="/openapi.json", answer=dict[str, Any])
