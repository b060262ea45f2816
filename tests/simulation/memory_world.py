"""The memory stores; all processes share their objects, since they know no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tests.simulation.stores import (
    NOTICE,
    RECOVERY,
    REMOVED,
    Changed,
    EventReader,
    StoredEndpoint,
    StoredEvent,
    named,
)
from webhook.adapters.memory import (
    MemoryDeliveryStore,
    MemoryEndpointStore,
    MemoryRecoveryStore,
)
from webhook.domain.health import FAILURES_MAX
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import Delivery
from webhook.domain.recovery import Recovery
from webhook.ports import WebhookDeliveryStore, WebhookEndpointStore, WebhookPersistence

if TYPE_CHECKING:
    from tests.simulation.weather import Weather


class MemoryEndpoints:
    """Endpoints in memory, beside deliveries anywhere."""

    def __init__(self, weather: Weather) -> None:
        self.inner = MemoryEndpointStore()
        self.store: WebhookEndpointStore = named(self.inner, weather)
        self._ever: dict[str, StoredEndpoint] = {}

    def look(self) -> list[StoredEndpoint]:
        """Return all that were ever there."""
        now = {
            e.id: StoredEndpoint(
                e.id,
                e.tenant,
                e.url,
                e.status.value,
                e.event_types,
                e.filters,
                e.retry,
                e.timeout_ms,
                e.concurrency_max,
                e.rate,
                e.failures >= FAILURES_MAX,
                e.ordering_on_failure.value,
            )
            for e in self.inner._endpoints.values()
        }
        for endpoint_id, was in self._ever.items():
            if endpoint_id not in now:
                now[endpoint_id] = msgspec.structs.replace(was, status=REMOVED)
        self._ever = now
        return list(now.values())


class MemoryWorld:
    """Both stores in memory, joint or apart."""

    def __init__(self, weather: Weather, *, joint: bool) -> None:
        self._endpoints = MemoryEndpoints(weather)
        self._deliveries = MemoryDeliveryStore(self._endpoints.inner if joint else None)
        store: WebhookDeliveryStore = named(self._deliveries, weather)
        self._recoveries = MemoryRecoveryStore(self._deliveries)
        self._persistence = WebhookPersistence(
            endpoint_store=self._endpoints.store,
            delivery_store=store,
            recovery_store=named(self._recoveries, weather, RECOVERY),
            joint=joint,
        )
        self._known: dict[DeliveryRef, Delivery] = {}
        self._reader = EventReader()

    def persistence(self) -> WebhookPersistence:
        return self._persistence

    def changes(self) -> list[Changed]:
        stored, known = self._deliveries._rows.deliveries, self._known
        changed: list[Changed] = [
            (ref, known.get(ref), delivery)
            for ref, delivery in stored.items()
            if known.get(ref) is not delivery
        ]
        if len(stored) != len(known) + sum(before is None for _, before, _ in changed):
            changed += [(ref, d, None) for ref, d in known.items() if ref not in stored]
        if changed:
            self._known = dict(stored)
        return changed

    def events(self) -> dict[str, StoredEvent]:
        rows = self._deliveries._rows.events.values()
        stored = [row.event for row in rows if not (row.name or "").startswith(NOTICE)]
        return {
            e.key: self._reader.read(e.key, e.tenant, e.payload, e.endpoint_ids) for e in stored
        }

    def told(self) -> tuple[dict[str, str], set[str]]:
        rows = self._deliveries._rows
        names = {key: row.name or "" for key, row in rows.events.items()}
        told = {k: n.removeprefix(NOTICE) for k, n in names.items() if n.startswith(NOTICE)}
        return told, set(rows.notices)

    def endpoints(self) -> list[StoredEndpoint]:
        return self._endpoints.look()

    def recoveries(self) -> dict[str, Recovery]:
        return dict(self._recoveries._recoveries)

    def paused(self) -> bool:
        return self._deliveries._paused_since is not None
