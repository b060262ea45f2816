"""Every accepted event is stored once, for every endpoint subscribed then; no other is sent."""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.simulation.invariants.base import Invariant
from tests.simulation.stores import ADVANCE
from webhook.domain.event import WebhookEvent
from webhook.domain.ids import DeliveryRef

if TYPE_CHECKING:
    from tests.simulation.callers import Emission
    from tests.simulation.history import Request
    from tests.simulation.rest import Listed
    from tests.simulation.stores import StoredEndpoint, StoredEvent
    from tests.simulation.world import World

# An accept that is repeated twice by a slow store, and the match before it.
MATCHED_BEFORE_S = 60.0


class EveryEventIsStoredOnce(Invariant):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        # As they were accepted, and whom they went to since.
        self._ever: dict[str, StoredEvent] = {}
        self._targets: dict[str, tuple[str, ...]] = {}
        self._removed: set[int] = set()

    def stored(self, call: str, asked_at: int, before: Mapping[str, StoredEvent]) -> None:
        events = self.world.history.events
        self._removed |= {event.number for key, event in before.items() if key not in events}
        for key in events.keys() - before.keys():
            event = events[key]
            emission = self.world.callers.emissions[event.number]
            again = any(event.number == other.number for other in self._ever.values())
            # Whoever repeats it after its retention, perhaps of a clock set days ahead, means a
            # new one.
            if again and event.number not in self._removed:
                self.world.fail(f"event {event.number} is stored a second time")
            self._ever[key] = event
            self._targets[key] = event.targets
            if self._name_is_used(emission, before):
                self.world.fail(f"event {event.number} is stored under a name that is used")
            self._is_for_its_subscribers(event, emission.event)
        for event in events.values():
            self._has_more_targets(event, call)

    def _has_more_targets(self, event: StoredEvent, call: str) -> None:
        """What a recovery makes is added to the targets that an event remembers."""
        known, now = self._targets[event.key], event.targets
        if known == now:
            return
        if call != ADVANCE or now[: len(known)] != known or len(set(now)) != len(now):
            self.world.fail(
                f"{call} took the targets of event {event.number} from {known} to {now}"
            )
        self._targets[event.key] = now

    def _is_for_its_subscribers(self, stored: StoredEvent, event: WebhookEvent) -> None:
        """Apart from their deliveries, endpoints were matched some time before the accept."""
        history = self.world.history
        since_s = self.world.loop.time() - (0 if self.options.joint else MATCHED_BEFORE_S)
        targets = set(stored.targets)
        if len(targets) != len(stored.targets):
            self.world.fail(f"event {stored.number} has an endpoint twice")
        for endpoint_id, versions in history.versions.items():
            seen = history.versions_since(endpoint_id, since_s)
            matched = [v.status == "active" and wants(v, event) for v in seen]
            old = versions[0][0] <= since_s
            if endpoint_id in targets and not any(matched):
                name = self.world.endpoint_name(endpoint_id)
                self.world.fail(f"event {stored.number} is for {name}, not subscribed to it")
            elif endpoint_id not in targets and old and all(matched):
                name = self.world.endpoint_name(endpoint_id)
                self.world.fail(f"event {stored.number} is not for {name}, subscribed to it")

    def requested(self, request: Request, payload: str) -> None:
        # Ever: who lost his lease to a clock that jumped days ahead may send what is gone since.
        event = self._ever.get(request.ref.key)
        if event is None:
            self.fail(request.ref, "sent, but never stored")
        elif event.payload != payload:
            self.fail(request.ref, f"sent as {payload}")
        elif request.ref.endpoint_id not in self._targets[event.key]:
            self.fail(request.ref, "sent to an endpoint that was not subscribed")
        elif self.world.callers.emissions[event.number].refused:
            self.fail(request.ref, "sent although it was refused")

    def rested(self, listed: Listed) -> None:
        for emission in self.world.callers.emissions:
            if problem := self._problem(emission):
                self.world.fail(f"event {emission.number}: {problem}")
            if emission.refused and not self._name_is_used(emission, self._ever):
                self.world.fail(f"event {emission.number} is refused for no reason")

    def _name_is_used(self, emission: Emission, events: Mapping[str, StoredEvent]) -> bool:
        emissions = self.world.callers.emissions
        others = [emissions[event.number] for event in events.values()]
        return emission.name is not None and any(
            (emission.event.tenant, emission.name) == (other.event.tenant, other.name)
            for other in others
            if other is not emission
        )

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
        for target in self._targets[event.key]:
            if DeliveryRef(target, event.key) not in self.world.history.deliveries:
                return f"its delivery to {self.world.endpoint_name(target)} is gone"
        return None


def wants(endpoint: StoredEndpoint, event: WebhookEvent) -> bool:
    """Whether an endpoint is subscribed to an event, worked out once more and simply."""
    if endpoint.tenant != event.tenant:
        return False
    if not any(_matches(pattern, event.type) for pattern in endpoint.event_types):
        return False
    metadata: Any = event.metadata
    return all(metadata.get(key) in values for key, values in endpoint.filters.items())


def _matches(pattern: str, event_type: str) -> bool:
    if pattern in ("*", event_type):
        return True
    return pattern.endswith(".*") and event_type.startswith(pattern[:-1])
