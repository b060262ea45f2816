"""At the end, what the service says is what stands in the store and what the receivers saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tests.simulation.callers import TENANTS
from tests.simulation.invariants.base import Invariant
from webhook.domain.event_types import OPERATIONAL_TYPES
from webhook.domain.model import Delivery, DeliveryState

if TYPE_CHECKING:
    from tests.simulation.rest import Listed


class TheServiceSaysWhatReceiversSaw(Invariant):
    def rested(self, listed: Listed) -> None:
        history = self.world.history
        newest_first = sorted(history.events.values(), key=lambda e: e.key, reverse=True)
        by_tenant = [e.key for tenant in TENANTS for e in newest_first if e.tenant == tenant]
        emitted = [e.key for e in listed.events if e.type not in OPERATIONAL_TYPES]
        if emitted != by_tenant:
            self.world.fail("the list of events is not what is stored")
        if sorted(d.ref for d in listed.deliveries) != sorted(history.deliveries):
            self.world.fail("the list of deliveries is not what is stored")
        if [_plain(d) for d in listed.got] != [_plain(d) for d in listed.deliveries]:
            self.world.fail("a delivery reads differently in the list and alone")
        for delivery in listed.deliveries:
            self._is_as_stored(delivery)
        arrived = {
            request.ref
            for request in history.requests
            if request.seen and request.outcome is not None and request.outcome.error_kind is None
        }
        for delivery in listed.deliveries:
            if delivery.state is DeliveryState.SUCCESS and delivery.ref not in arrived:
                self.fail(delivery.ref, "a success that no receiver knows of")
        for endpoint in history.endpoints.values():
            if endpoint.status not in ("active", "removed"):
                self.world.fail(f"{self.world.endpoint_name(endpoint.id)} is {endpoint.status}")

    def _is_as_stored(self, delivery: Delivery) -> None:
        history = self.world.history
        stored = history.deliveries.get(delivery.ref)
        if stored is None or _plain(stored) != _plain(delivery):
            self.fail(delivery.ref, "reads differently from what is stored")
        elif delivery.payload_erased != (not history.events[delivery.key].payload):
            self.fail(delivery.ref, f"reads as {delivery.payload_erased=}")


def _plain(delivery: Delivery) -> Delivery:
    """Leave out what the store's rows do not hold."""
    return msgspec.structs.replace(
        delivery,
        event_id="",
        event_type="",
        waits_for=None,
        stops=False,
        payload_erased=False,
    )
