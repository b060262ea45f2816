"""Every accepted event is stored once, for every endpoint subscribed then; no other is sent."""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.simulation.invariants.base import Invariant
from webhook.domain.event import WebhookEvent
from webhook.domain.ids import DeliveryRef

if TYPE_CHECKING:
    from tests.simulation.callers import Emission
    from tests.simulation.history import Request
    from tests.simulation.rest import Listed
    from tests.simulation.stores import StoredEndpoint, StoredEvent
    from tests.simulation.world import World


class EveryEventIsStoredOnce(Invariant):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._ever: dict[str, StoredEvent] = {}
        self._removed: set[int] = set()

    def stored(self, call: str, asked_at: int, before: Mapping[str, StoredEvent]) -> None:
        events = self.world.history.events
        self._removed |= {event.number for key, event in before.items() if key not in events}
        for key in events.keys() - before.keys():
            event = events[key]
            emission = self.world.callers.emissions[event.number]
            again = any(event.number == other.number for other in self._ever.values())
            # Whoever repeats it after its retention means a new one.
            if key in self._ever or (again and event.number not in self._removed):
                self.world.fail(f"event {event.number} is stored a second time")
            self._ever[key] = event
            wanted = {
                e.id
                for e in self.world.history.endpoints.values()
                if e.status == "active" and _receives(e, emission.event)
            }
            if wanted != set(event.targets) or len(wanted) != len(event.targets):
                self.world.fail(
                    f"event {event.number} is for {sorted(event.targets)}, "
                    f"but subscribed are {sorted(wanted)}"
                )

    def requested(self, request: Request, number: int) -> None:
        event = self.world.history.events.get(request.ref.key)
        if event is None or event.number != number:
            self.world.fail(f"event {number} is sent, but not stored")
        elif request.ref.endpoint_id not in event.targets:
            self.fail(request.ref, "sent to an endpoint that was not subscribed")
        elif self.world.callers.emissions[number].refused:
            self.fail(request.ref, "sent although it was refused")

    def rested(self, listed: Listed) -> None:
        for emission in self.world.callers.emissions:
            if problem := self._problem(emission):
                self.world.fail(f"event {emission.number}: {problem}")

    def _problem(self, emission: Emission) -> str | None:
        keys = {answer.key for answer in emission.answers}
        removed = emission.number in self._removed
        if len(keys) > 1 and not removed:
            return f"its callers were told {len(keys)} keys"
        for answer in emission.answers:
            event = self._ever.get(answer.key)
            if event is None:
                return "accepted, but never stored"
            if event.number != emission.number:
                return f"accepted as a duplicate of event {event.number}"
            if answer.delivery_count != len(event.targets):
                return f"{answer.delivery_count} deliveries were told of {len(event.targets)}"
            if not removed and (lost := self._lost(event)) is not None:
                return lost
        return None

    def _lost(self, event: StoredEvent) -> str | None:
        if event.key not in self.world.history.events:
            return "accepted, and gone"
        for target in event.targets:
            if DeliveryRef(target, event.key) not in self.world.history.deliveries:
                return f"its delivery to {self.world.endpoint_name(target)} is gone"
        return None


def _receives(endpoint: StoredEndpoint, event: WebhookEvent) -> bool:
    """Whether an endpoint is subscribed to an event, worked out once more and simply."""
    if not any(_matches(pattern, event.type) for pattern in endpoint.event_types):
        return False
    metadata: Any = event.metadata
    return all(metadata.get(key) in values for key, values in endpoint.filters.items())


def _matches(pattern: str, event_type: str) -> bool:
    if pattern in ("*", event_type):
        return True
    return pattern.endswith(".*") and event_type.startswith(pattern[:-1])
