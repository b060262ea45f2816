"""Deleting a tenant in memory. No method awaits anything, so each is atomic."""

from __future__ import annotations

from itertools import islice

from webhook.adapters.memory.access import MemoryAccessStore
from webhook.adapters.memory.deliveries import MemoryDeliveryStore
from webhook.adapters.memory.endpoints import MemoryEndpointStore
from webhook.adapters.memory.ordered import SortedKeys
from webhook.adapters.memory.recovery import MemoryRecoveryStore
from webhook.domain.access import KNOWN_FOR_MS
from webhook.domain.tenant import TENANT_COUNT_MAX, Tenant, TenantRows


class MemoryTenantStore:
    """Deletes tenants; see ``WebhookTenantStore``."""

    def __init__(
        self,
        endpoints: MemoryEndpointStore,
        deliveries: MemoryDeliveryStore,
        recoveries: MemoryRecoveryStore,
        access: MemoryAccessStore,
    ) -> None:
        self._endpoints = endpoints
        self._rows = deliveries.rows
        self._gates = deliveries.gates
        self._recoveries = recoveries
        self._access = access
        self._ends_from: dict[str, int] = {}

    async def begin(self, tenant: str, now: int) -> None:
        """Begin a deletion."""
        self._endpoints.deleting.setdefault(tenant, now)

    async def look(self, tenant: str) -> Tenant:
        """Count what there is."""
        return Tenant(
            rows=self._count(tenant),
            deleting_since=self._endpoints.deleting.get(tenant),
            ends_from=self._ends_from.get(tenant, 0),
        )

    def _count(self, tenant: str) -> TenantRows:
        rows = self._rows
        lanes = [*self._endpoints.of_tenant(tenant), *self._endpoints.removed_of(tenant)]
        counts = {
            "endpoints": len(lanes),
            "subscriptions": self._endpoints.subscription_count(tenant),
            "events": len(rows.keys_of_tenant.get(tenant, ())),
            "names": sum(of == tenant for of, _ in rows.names),
            "deliveries": sum(len(rows.keys_of_endpoint.get(lane, ())) for lane in lanes),
            "recoveries": len(self._recoveries.ids_of(tenant)),
            "notices": sum(notice.tenant == tenant for notice in rows.notices.values()),
            "api_tokens": len(self._access.tokens_of(tenant)),
            "audit_log": len(self._access.entries_of(tenant)),
        }
        return TenantRows(**{name: min(n, TENANT_COUNT_MAX) for name, n in counts.items()})

    async def remove_some(self, tenant: str, now: int, limit: int) -> TenantRows:
        """Remove a piece."""
        if tenant not in self._endpoints.deleting:
            return TenantRows()
        subscriptions = self._endpoints.subscription_count(tenant)
        alive = self._endpoints.of_tenant(tenant)[:limit]
        for endpoint_id in alive:
            await self._endpoints.remove(tenant, endpoint_id, now)
        recoveries = self._recoveries.ids_of(tenant)[:limit]
        for recovery_id in recoveries:
            self._recoveries.forget(recovery_id)
        tokens = self._access.tokens_of(tenant)[:limit]
        for token_id in tokens:
            await self._access.remove_token(tenant, token_id)
            self._ends_from[tenant] = now + KNOWN_FOR_MS
        notices = [n.id for n in self._rows.notices.values() if n.tenant == tenant][:limit]
        for notice_id in notices:
            del self._rows.notices[notice_id]
        endpoints, deliveries = self._remove_endpoints(tenant, limit)
        events, names = self._remove_events(tenant, limit)
        entries = self._access.entries_of(tenant)[:limit]
        for entry_id in entries:
            self._access.forget_entry(entry_id)
        return TenantRows(
            endpoints=len(alive) + endpoints,
            subscriptions=subscriptions - self._endpoints.subscription_count(tenant),
            events=events,
            names=names,
            deliveries=deliveries,
            recoveries=len(recoveries),
            notices=len(notices),
            api_tokens=len(tokens),
            audit_log=len(entries),
        )

    def _remove_endpoints(self, tenant: str, limit: int) -> tuple[int, int]:
        """Remove deliveries of removed endpoints, and those that have none left; count both."""
        endpoints = deliveries = 0
        for endpoint_id in self._endpoints.removed_of(tenant)[:limit]:
            deliveries += self._rows.forget_endpoint(endpoint_id, limit - deliveries)
            if endpoint_id not in self._rows.keys_of_endpoint:
                self._gates.forget(endpoint_id)
                self._endpoints.forget(tenant, endpoint_id)
                endpoints += 1
        return endpoints, deliveries

    def _remove_events(self, tenant: str, limit: int) -> tuple[int, int]:
        """Remove events once there are no endpoints, with their names; count both."""
        if self._endpoints.of_tenant(tenant) or self._endpoints.removed_of(tenant):
            return 0, 0
        keys = list(islice(self._rows.keys_of_tenant.get(tenant, SortedKeys()).after(""), limit))
        return len(keys), sum(self._rows.forget_event(tenant, key) for key in keys)

    async def end(self, tenant: str, now: int) -> Tenant:
        """End a deletion."""
        if not self._count(tenant) and self._ends_from.get(tenant, 0) <= now:
            self._endpoints.deleting.pop(tenant, None)
            self._ends_from.pop(tenant, None)
            self._endpoints.forget_tenant(tenant)
            self._rows.keys_of_tenant.pop(tenant, None)
        return await self.look(tenant)
