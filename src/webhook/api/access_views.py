"""What the API shows of tokens and of the audit log."""

from __future__ import annotations

from typing import Annotated, Self

import msgspec
from msgspec import Meta

from webhook.api.views import PageView, Time
from webhook.domain.access import ApiToken, AuditEntry, Scope
from webhook.domain.event import rfc3339


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without the token itself, which nobody keeps."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    tenant: Annotated[str | None, Meta(description="The one that it is for; null is all.")]
    created_at: Time
    expires_at: Time | None
    last_used_at: Annotated[Time | None, Meta(description="To the hour; null is not yet.")]

    @classmethod
    def of(cls, token: ApiToken) -> Self:
        """Make the view of a token."""
        return cls(
            id=token.id,
            name=token.name,
            scopes=token.scopes,
            tenant=token.tenant,
            created_at=rfc3339(token.created_at),
            expires_at=None if token.expires_at is None else rfc3339(token.expires_at),
            last_used_at=None if token.last_used_at is None else rfc3339(token.last_used_at),
        )


class TokenMade(msgspec.Struct, frozen=True):
    """A new token. This is the only time that it is shown."""

    token: str
    details: TokenView

    def __repr__(self) -> str:
        """Hide the token from logs."""
        return f"TokenMade(details={self.details!r})"


class TokenPage(PageView[TokenView], frozen=True):
    """One page of tokens."""


class AuditEntryView(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done."""

    id: str
    at: Time
    actor: Annotated[
        str,
        Meta(
            description="Who: a token's id; `bootstrap`, the token of the settings; `cli`, "
            "somebody at the store itself; `rpc:` and a binding; `insecure`, anybody."
        ),
    ]
    action: Annotated[str, Meta(description="What, such as `endpoint.update`.")]
    tenant: Annotated[str | None, Meta(description="Whose it was; null concerned them all.")]
    target: Annotated[str | None, Meta(description="The id of what it was done to.")]
    detail: Annotated[
        str | None,
        Meta(description="The names of the fields that were given, or the like; no values."),
    ]
    source: Annotated[str | None, Meta(description="The network address that it came from.")]
    request_id: str | None

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """Make the view of an entry."""
        return cls(
            id=entry.id,
            at=rfc3339(entry.at),
            actor=entry.actor,
            action=entry.action,
            tenant=entry.tenant,
            target=entry.target,
            detail=entry.detail,
            source=entry.source,
            request_id=entry.request_id,
        )


class AuditPage(PageView[AuditEntryView], frozen=True):
    """One page of the audit log."""
