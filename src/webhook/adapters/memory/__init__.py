"""The store in memory: for tests, trials and single processes that may forget.

It is held to the same contract as the databases, and where the contract leaves a choice open, what
it does is the reference.
"""

from __future__ import annotations

from webhook.adapters.memory.access import MemoryAccessStore
from webhook.adapters.memory.deliveries import MemoryDeliveryStore
from webhook.adapters.memory.endpoints import MemoryEndpointStore
from webhook.adapters.memory.recovery import MemoryRecoveryStore
from webhook.adapters.memory.tenants import MemoryTenantStore
from webhook.ports import WebhookPersistence

__all__ = [
    "MemoryAccessStore",
    "MemoryDeliveryStore",
    "MemoryEndpointStore",
    "MemoryRecoveryStore",
    "MemoryTenantStore",
    "create_in_memory_webhook_persistence",
]


def create_in_memory_webhook_persistence() -> WebhookPersistence:
    """Return all stores, empty, the delivery store matching endpoints by itself."""
    endpoints = MemoryEndpointStore()
    deliveries = MemoryDeliveryStore(endpoints)
    recoveries = MemoryRecoveryStore(deliveries)
    access = MemoryAccessStore(endpoints)
    return WebhookPersistence(
        endpoint_store=endpoints,
        delivery_store=deliveries,
        joint=True,
        recovery_store=recoveries,
        access_store=access,
        tenant_store=MemoryTenantStore(endpoints, deliveries, recoveries, access),
    )
