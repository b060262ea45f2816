"""Events, names and deliveries in memory, with the indexes that keep every step short.

A delivery is changed by putting its successor in its place: ``put`` alone moves it between the
lanes that a claim walks (ready) and the agenda of what becomes ready by itself (scheduled, leased).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from itertools import islice

import msgspec

from webhook.adapters.memory.endpoints import MemoryEndpointStore
from webhook.adapters.memory.lines import Lines
from webhook.adapters.memory.ordered import Agenda, SortedKeys
from webhook.domain.health import GOOD_RATE_ROWS_MAX
from webhook.domain.ids import DeliveryRef, lane_of
from webhook.domain.model import (
    DEAD_STATES,
    PENDING_STATES,
    Delivery,
    DeliveryState,
    Event,
    OrderingOnFailure,
)
from webhook.domain.notice import Notice
from webhook.ports import ENDPOINT_REMOVED

# Keys that go on at once when their endpoint stops them no more; the sweep does the others.
RELEASED_MAX = 500


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event with what only the store has to know of it.

    ``late_targets`` of its endpoints, the last ones, were added by recoveries.
    """

    event: Event
    size: int
    name: str | None
    late_targets: int = 0


class FirstUse(msgspec.Struct, frozen=True, kw_only=True):
    """The event that used a name first."""

    key: str
    content_hash: str | None


class Rows:
    """The tables and their indexes. ``endpoints`` is None when they are kept elsewhere."""

    def __init__(self, endpoints: MemoryEndpointStore | None) -> None:
        self.endpoints = endpoints
        self.events: dict[str, StoredEvent] = {}
        self.keys = SortedKeys()
        self.keys_of_tenant: dict[str, SortedKeys] = {}
        self.names: dict[tuple[str, str], FirstUse] = {}
        self.deliveries: dict[DeliveryRef, Delivery] = {}
        self.keys_of_endpoint: dict[str, SortedKeys] = {}
        self.waiting: Agenda[int, DeliveryRef] = Agenda()
        # Pending and not under way, the one that has been so longest first.
        self.aging: Agenda[int, DeliveryRef] = Agenda()
        # Lanes with something ready whose endpoint is active; the others cost a claim nothing.
        self.open_lanes = SortedKeys()
        self._ready: dict[str, Agenda[str, str]] = {}
        self.lines = Lines()
        # Dead letters that hold up their line, by endpoint.
        self.stopping: dict[str, set[DeliveryRef]] = {}
        # Removed endpoints that may have pending deliveries, and the key to which they have none.
        self.removals: dict[str, str] = {}
        # What is to be told, by id; the endpoint store beside notes some of it.
        self.notices: dict[str, Notice] = {} if endpoints is None else endpoints.notices
        if endpoints is not None:
            endpoints.watch(self._endpoint_changed)

    # --- events -----------------------------------------------------------------------------------

    def add_event(self, stored: StoredEvent) -> None:
        """Put a new event in."""
        event = stored.event
        self.events[event.key] = stored
        self.keys.add(event.key)
        self.keys_of_tenant.setdefault(event.tenant, SortedKeys()).add(event.key)

    def remove_event(self, stored: StoredEvent) -> int:
        """Take an event out with its deliveries, which have ended, and its name; count those."""
        event = stored.event
        for endpoint_id in event.endpoint_ids:
            del self.deliveries[DeliveryRef(endpoint_id, event.key)]
            self.keys_of_endpoint[endpoint_id].discard(event.key)
        if stored.name is not None:
            del self.names[event.tenant, stored.name]
        del self.events[event.key]
        self.keys.discard(event.key)
        self.keys_of_tenant[event.tenant].discard(event.key)
        return len(event.endpoint_ids)

    def add_target(self, key: str, endpoint_id: str) -> None:
        """Let an event remember one more endpoint that it goes to."""
        stored = self.events[key]
        reached = (*stored.event.endpoint_ids, endpoint_id)
        event = msgspec.structs.replace(stored.event, endpoint_ids=reached)
        late_targets = stored.late_targets + 1
        self.events[key] = msgspec.structs.replace(stored, event=event, late_targets=late_targets)

    def deliveries_of(self, event: Event) -> list[Delivery]:
        """Return an event's deliveries as they are stored, in the order of its endpoints."""
        return [self.deliveries[DeliveryRef(e, event.key)] for e in event.endpoint_ids]

    # --- deliveries -------------------------------------------------------------------------------

    def put_new(self, delivery: Delivery) -> Delivery:
        """Put a ready delivery in, at the end of its line if it has an ordering key."""
        if self.lines.join(delivery):
            delivery = msgspec.structs.replace(delivery, state=DeliveryState.BLOCKED, due_at=None)
        self.put(delivery)
        return delivery

    def put(self, delivery: Delivery) -> None:
        """Put a delivery in the place of what it was before, if it was.

        When it ends, the next in its line becomes due, in the same step.
        """
        self._put(delivery)
        ref = delivery.ref
        if ref not in self.lines:
            return
        stopping = self.stopping.setdefault(ref.endpoint_id, set())
        if delivery.state in DEAD_STATES and self._stops(ref.endpoint_id):
            stopping.add(ref)
            return
        stopping.discard(ref)
        if delivery.state not in PENDING_STATES:
            self.leave_line(ref)

    def leave_line(self, ref: DeliveryRef) -> None:
        """Take a delivery that has ended out of its line."""
        ended = self.deliveries[ref]
        first = self.lines.leave(ref)
        if first is None:
            return
        waiting = self.deliveries[first]
        if waiting.state is DeliveryState.BLOCKED:
            endpoint = self.endpoints.find(None, ref.endpoint_id) if self.endpoints else None
            changed_at = 0 if endpoint is None else endpoint.updated_at
            due_at = max(ended.completed_at or 0, changed_at)
            self._put(msgspec.structs.replace(waiting, state=DeliveryState.READY, due_at=due_at))

    def release_stopping(self, limit: int, endpoint_id: str | None = None) -> int:
        """Let keys go on whose dead letters stop nothing any more; return how many."""
        released = 0
        for lane, refs in (
            self.stopping.items()
            if endpoint_id is None
            else [(endpoint_id, self.stopping.get(endpoint_id, set()))]
        ):
            while refs and released < limit and not self._stops(lane):
                self.leave_line(refs.pop())
                released += 1
        return released

    def _stops(self, endpoint_id: str) -> bool:
        """Whether the endpoint wants a dead letter to stop its ordering key."""
        endpoint = None if self.endpoints is None else self.endpoints.find(None, endpoint_id)
        return endpoint is not None and endpoint.ordering_on_failure is OrderingOnFailure.STOP

    def _put(self, delivery: Delivery) -> None:
        ref = delivery.ref
        if ref not in self.deliveries:
            self.keys_of_endpoint.setdefault(ref.endpoint_id, SortedKeys()).add(ref.key)
            if self.is_gone(ref.endpoint_id):
                self.removals[ref.endpoint_id] = ""
        self.deliveries[ref] = delivery
        ready = self._ready.setdefault(ref.endpoint_id, Agenda())
        if delivery.state is DeliveryState.READY:
            ready.put(ref.key, ref.key)
        else:
            ready.drop(ref.key)
        if delivery.state in (DeliveryState.SCHEDULED, DeliveryState.LEASED):
            self.waiting.put(ref, delivery.due_at or 0)
        else:
            self.waiting.drop(ref)
        if delivery.state in (DeliveryState.BLOCKED, DeliveryState.READY, DeliveryState.SCHEDULED):
            self.aging.put(ref, delivery.pending_since)
        else:
            self.aging.drop(ref)
        self._open_or_shut(ref.endpoint_id)

    def forget_endpoint(self, endpoint_id: str, limit: int) -> int:
        """Take out deliveries of a removed endpoint, whatever their state; return how many.

        With the last one goes what is known of the endpoint here.
        """
        keys = list(islice(self.keys_of_endpoint.get(endpoint_id, SortedKeys()).after(""), limit))
        for key in keys:
            ref = DeliveryRef(endpoint_id, key)
            del self.deliveries[ref]
            self.keys_of_endpoint[endpoint_id].discard(key)
            self.waiting.drop(ref)
            self.aging.drop(ref)
            self._ready[endpoint_id].drop(key)
            if ref in self.lines:
                self.lines.leave(ref)
        if not self.keys_of_endpoint.get(endpoint_id):
            for known in (self.keys_of_endpoint, self._ready, self.stopping, self.removals):
                known.pop(endpoint_id, None)
            self.open_lanes.discard(lane_of(endpoint_id))
        return len(keys)

    def forget_event(self, tenant: str, key: str) -> int:
        """Take out an event that has no deliveries any more; return how many names went too."""
        stored = self.events.pop(key)
        self.keys.discard(key)
        self.keys_of_tenant[tenant].discard(key)
        return stored.name is not None and self.names.pop((tenant, stored.name), None) is not None

    def oldest_ready(self, endpoint_id: str) -> Delivery | None:
        """Return the ready delivery of the endpoint's oldest event, None if it has none."""
        first = self._ready[endpoint_id].first()
        return None if first is None else self.deliveries[DeliveryRef(endpoint_id, first[1])]

    def drained(self, endpoint_ids: Iterable[str]) -> set[str]:
        """Return those endpoints of which nothing is ready."""
        return {endpoint_id for endpoint_id in endpoint_ids if not self._ready.get(endpoint_id)}

    def succeeded_before(self, ref: DeliveryRef) -> list[int]:
        """Return when those among the last deliveries up to this one succeeded that did."""
        keys = self.keys_of_endpoint[ref.endpoint_id].before(ref.key)
        last = (
            self.deliveries[DeliveryRef(ref.endpoint_id, key)]
            for key in itertools.islice(keys, GOOD_RATE_ROWS_MAX)
        )
        return [d.completed_at or 0 for d in last if d.state is DeliveryState.SUCCESS]

    def seen(self, delivery: Delivery) -> Delivery:
        """Return a delivery as it reads: what waits for a removed endpoint is canceled."""
        if not self.is_gone(delivery.endpoint_id):
            return self._in_line(delivery)
        if delivery.state not in PENDING_STATES:
            return delivery
        removed_at = self.endpoints.removed_at(delivery.endpoint_id) if self.endpoints else None
        return msgspec.structs.replace(
            delivery,
            state=DeliveryState.CANCELED,
            due_at=None,
            reason=ENDPOINT_REMOVED,
            completed_at=removed_at,
        )

    def _in_line(self, delivery: Delivery) -> Delivery:
        """Say of a delivery whom it waits for, or whom it holds up."""
        if delivery.state is DeliveryState.BLOCKED:
            first = self.lines.first(delivery.ref)
            return msgspec.structs.replace(delivery, waits_for=first.key)
        if delivery.state in DEAD_STATES and delivery.ref in self.lines:
            return msgspec.structs.replace(delivery, stops=True)
        return delivery

    # --- endpoints --------------------------------------------------------------------------------

    def is_gone(self, endpoint_id: str) -> bool:
        """Whether the endpoint was removed; one that never was here is kept elsewhere."""
        return self.endpoints is not None and self.endpoints.removed_at(endpoint_id) is not None

    def _endpoint_changed(self, endpoint_id: str) -> None:
        if endpoint_id not in self.keys_of_endpoint:
            return
        if self.is_gone(endpoint_id):
            self.removals[endpoint_id] = ""
        self.release_stopping(RELEASED_MAX, endpoint_id)
        self._open_or_shut(endpoint_id)

    def _open_or_shut(self, endpoint_id: str) -> None:
        active = True
        if self.endpoints is not None:
            endpoint = self.endpoints.find(None, endpoint_id)
            active = not self.is_gone(endpoint_id) if endpoint is None else endpoint.active
        if active and self._ready[endpoint_id]:
            self.open_lanes.add(lane_of(endpoint_id))
        else:
            self.open_lanes.discard(lane_of(endpoint_id))
