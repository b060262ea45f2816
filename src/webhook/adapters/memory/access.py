"""API tokens and the audit log in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from webhook.adapters.memory.endpoints import MemoryEndpointStore
from webhook.adapters.memory.ordered import SortedKeys
from webhook.domain.access import USE_NOTED_EVERY_MS, ApiToken, AuditEntry
from webhook.domain.ids import KEY_MAX, key_floor
from webhook.ports import AuditQuery, Page, TokenQuery


class MemoryAccessStore:
    """Keeps tokens and the audit log; see ``WebhookAccessStore``."""

    def __init__(self, endpoints: MemoryEndpointStore | None = None) -> None:
        self._endpoints = endpoints
        self._tokens: dict[str, ApiToken] = {}
        self._entries: dict[str, AuditEntry] = {}
        # By tenant; None has those of all.
        self._ids: dict[str | None, SortedKeys] = {None: SortedKeys()}

    async def add_token(self, token: ApiToken) -> None:
        """Store a new token."""
        if self._endpoints is not None:
            self._endpoints.refuse_deleting(token.tenant, "/tenant")
        self._tokens.setdefault(token.id, token)

    async def get_token(self, token_id: str) -> ApiToken | None:
        """Return one token, or None."""
        return self._tokens.get(token_id)

    async def list_tokens(self, query: TokenQuery) -> Page[ApiToken]:
        """Return tokens, oldest first."""
        found = [
            self._tokens[token_id]
            for token_id in sorted(self._tokens)
            if token_id > (query.after or "")
            and query.tenant in (None, self._tokens[token_id].tenant)
        ]
        more = len(found) > query.limit
        found = found[: query.limit]
        return Page(found, found[-1].id if more else None)

    async def remove_token(self, tenant: str | None, token_id: str) -> bool:
        """Forget a token at once."""
        token = self._tokens.get(token_id)
        if token is None or tenant not in (None, token.tenant):
            return False
        del self._tokens[token_id]
        return True

    async def note_use(self, token_id: str, now: int) -> None:
        """Remember that a token is in use."""
        token = self._tokens.get(token_id)
        if token is None or (token.last_used_at or -USE_NOTED_EVERY_MS) > now - USE_NOTED_EVERY_MS:
            return
        self._tokens[token_id] = msgspec.structs.replace(token, last_used_at=now)

    @asynccontextmanager
    async def beside(self, entries: Sequence[AuditEntry]) -> AsyncIterator[None]:
        """Write entries when the inside ends well; nothing here can die in between."""
        yield
        for entry in entries:
            if entry.id not in self._entries:
                self._entries[entry.id] = entry
                self._ids[None].add(entry.id)
                if entry.tenant is not None:
                    self._ids.setdefault(entry.tenant, SortedKeys()).add(entry.id)

    async def list_audit(self, query: AuditQuery) -> Page[AuditEntry]:
        """Return entries, newest first."""
        below = KEY_MAX + "~" if query.until is None else key_floor(query.until)
        first = "aud_" + ("" if query.since is None else key_floor(query.since))
        found: list[AuditEntry] = []
        for entry_id in self._ids.get(query.tenant, SortedKeys()).before(
            query.after or f"aud_{below}"
        ):
            if entry_id < first:
                break
            if len(found) == query.limit:
                return Page(found, found[-1].id)
            found.append(self._entries[entry_id])
        return Page(found)

    async def remove_audit(self, before: int, limit: int) -> int:
        """Forget old entries."""
        floor = f"aud_{key_floor(before)}"
        old: list[str] = []
        for entry_id in self._ids[None].after(""):
            if entry_id >= floor or len(old) == limit:
                break
            old.append(entry_id)
        for entry_id in old:
            self.forget_entry(entry_id)
        return len(old)

    # --- for the deletion of a tenant -------------------------------------------------------------

    def tokens_of(self, tenant: str) -> list[str]:
        """Return the tokens that are bound to a tenant."""
        return [token.id for token in self._tokens.values() if token.tenant == tenant]

    def entries_of(self, tenant: str) -> list[str]:
        """Return what the log has of a tenant."""
        return list(self._ids.get(tenant, SortedKeys()).after(""))

    def forget_entry(self, entry_id: str) -> None:
        """Forget an entry of the log."""
        entry = self._entries.pop(entry_id)
        self._ids[None].discard(entry_id)
        if entry.tenant is not None:
            self._ids[entry.tenant].discard(entry_id)
            if not self._ids[entry.tenant]:
                del self._ids[entry.tenant]
