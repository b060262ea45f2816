"""The contract of the named extra "access": API tokens and the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from webhook.domain.access import ApiToken, AuditEntry
from webhook.ports.records import LIST_LIMIT_DEFAULT, Page


class TokenQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which tokens to list: those bound to a tenant, or all when that is None; oldest first."""

    tenant: str | None = None
    limit: int = LIST_LIMIT_DEFAULT
    after: str | None = None


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries to list: one tenant's, or all when that is None; newest first.

    ``since`` (inclusive) and ``until`` (exclusive) bound their time.
    """

    tenant: str | None = None
    limit: int = LIST_LIMIT_DEFAULT
    after: str | None = None
    since: int | None = None
    until: int | None = None


class WebhookAccessStore(Protocol):
    """Keeps API tokens, of which it knows only hashes, and the audit log."""

    async def add_token(self, token: ApiToken) -> None:
        """Store a new token. One that is there with the same id already is left as it is."""
        ...

    async def get_token(self, token_id: str) -> ApiToken | None:
        """Return one token, or None."""
        ...

    async def list_tokens(self, query: TokenQuery) -> Page[ApiToken]:
        """Return tokens, oldest first."""
        ...

    async def remove_token(self, tenant: str | None, token_id: str) -> bool:
        """Forget a token at once; False when there was none, or not of this tenant.

        ``tenant`` None means any tenant and none.
        """
        ...

    async def note_use(self, token_id: str, now: int) -> None:
        """Remember that a token is in use, unless that was noted ``USE_NOTED_EVERY_MS`` before."""
        ...

    def beside(self, entries: Sequence[AuditEntry]) -> AbstractAsyncContextManager[None]:
        """Write entries into the log together with the next write made inside, both or neither.

        That write must be one to the same store of rows, and in the same task; where none is made
        there, the entries are written when the inside ends well. An entry that is there already is
        left as it is. Nothing changes an entry afterwards.
        """
        ...

    async def list_audit(self, query: AuditQuery) -> Page[AuditEntry]:
        """Return entries, newest first."""
        ...

    async def remove_audit(self, before: int, limit: int) -> int:
        """Forget at most ``limit`` entries written before; return how many."""
        ...
