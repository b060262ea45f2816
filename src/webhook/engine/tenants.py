"""Deleting a tenant whole: in pieces that any caller goes on with, and a proof at the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from webhook.domain.errors import NotFound, NotSupported
from webhook.domain.event import tenant_problem
from webhook.domain.tenant import Tenant, TenantRows
from webhook.engine.access import Access
from webhook.ports import Clock, WebhookTenantStore

# As much as a sweep takes at once.
ROWS = 500
PIECES = 20


class _Whole(msgspec.Struct, frozen=True):
    """A tenant as what is audited: an entry of its own would go with it."""

    id: str
    tenant: None = None


class Tenants:
    """Looks at tenants and deletes them; they come into being by being named."""

    def __init__(
        self,
        store: WebhookTenantStore | None,
        access: Access,
        *,
        clock: Clock,
        initialize: Callable[[], Awaitable[None]],
    ) -> None:
        self._found = store
        self._access = access
        self._clock = clock
        self._initialize = initialize

    async def look(self, tenant: str) -> Tenant:
        """Count what there is of a tenant; raises ``NotFound`` for what cannot be a tenant."""
        return await (await self._store(tenant)).look(tenant)

    async def delete(self, tenant: str, *, pieces: int = PIECES, rows: int = ROWS) -> Tenant:
        """Delete a tenant, in at most so many pieces; return what is left of it.

        Nothing new of it is accepted from the first call on; it is to be called again until
        ``deleting_since`` is None. That is the proof, and is audited as ``tenant.deleted``. Its
        entries in the audit log go too; those of its deletion stay. Whoever is stopped in between
        leaves the rest to the next call, anybody's. Raises ``NotFound``.
        """
        store = await self._store(tenant)
        found = await store.look(tenant)
        if found.deleting_since is None:
            async with self._access.changing("tenant.delete", _Whole(tenant)):
                await store.begin(tenant, self._clock.now_ms())
        for _ in range(pieces):
            if not await store.remove_some(tenant, self._clock.now_ms(), rows):
                return await self._end(store, tenant)
        return await store.look(tenant)

    async def _end(self, store: WebhookTenantStore, tenant: str) -> Tenant:
        found = await store.look(tenant)
        if found.deleting_since is None or found.rows or found.ends_from > self._clock.now_ms():
            return found
        proof = f"nothing is left: {TenantRows()}"
        async with self._access.changing("tenant.deleted", _Whole(tenant), detail=proof):
            return await store.end(tenant, self._clock.now_ms())

    async def _store(self, tenant: str) -> WebhookTenantStore:
        if problem := tenant_problem(tenant):
            raise NotFound(f"There is no tenant {tenant[:64]!r}. {problem}")
        if self._found is None:
            raise NotSupported(
                "These stores cannot delete a tenant: give a persistence with a tenant_store."
            )
        await self._initialize()
        return self._found
