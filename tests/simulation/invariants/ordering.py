"""With an ordering key, one after the other: in the order of the accepts, and nobody forgotten.

The order is worked out here from the accepts alone; what number the store gives is its business.
"""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import DEAD_STATES, DeliveryState

if TYPE_CHECKING:
    from tests.simulation.history import Change, Request
    from tests.simulation.rest import Listed
    from tests.simulation.world import World

type Line = tuple[str, str]
# What may end the claim of a delivery whose request is still under way: a lease that ran out, and
# somebody who wants it no more.
EXPLAINED = ("claim", "sweep", "cancel", "erase_payload")


class OneAfterTheOther(Invariant):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._lines: dict[Line, list[DeliveryRef]] = {}
        self._line_of: dict[DeliveryRef, Line] = {}
        # What a commit has made, with its place among the others of the commit.
        self._new: list[tuple[str, Line, DeliveryRef]] = []
        # Claims that were made in order; those of replays are not.
        self._in_order: set[tuple[DeliveryRef, int]] = set()
        self._touched: set[Line] = set()

    def changed(self, change: Change) -> None:
        after, ref = change.after, change.ref
        if change.before is None and after is not None and after.ordering_key is not None:
            line = (ref.endpoint_id, after.ordering_key)
            # A recovery brings the oldest event first.
            number = f"{self.world.history.events[ref.key].number:08}"
            self._new.append((number if change.call == "accept" else ref.key, line, ref))
            self._touched.add(line)
            return
        if (line_of := self._line_of.get(ref)) is None:
            return
        self._touched.add(line_of)
        if after is None or self._has_left(ref, after.state):
            self._leave(ref)
        elif after.state is DeliveryState.LEASED:
            if self._lines[line_of][0] != ref:
                first = self.world.history.name(self._lines[line_of][0])
                self.fail(ref, f"claimed though {first} has not ended")
            self._in_order.add((ref, after.claim))

    def called(self, call: str, store_at: int) -> None:
        """Look at the lines when a commit is complete: those of a batch stand as it has them."""
        if call in ("update", "remove"):
            self._release()
        if not (self._new or self._touched):
            return
        for _, line, ref in sorted(self._new):
            self._lines.setdefault(line, []).append(ref)
            self._line_of[ref] = line
        self._new.clear()
        for line in sorted(self._touched):
            self._look_at(line)
        self._touched.clear()

    def _look_at(self, line: Line) -> None:
        """The first is never blocked, and the others are nothing else."""
        refs = self._lines[line]
        if not refs or self.world.history.endpoints[line[0]].status == "removed":
            return
        states = [self.world.history.deliveries[ref].state for ref in refs]
        if states[0] is DeliveryState.BLOCKED:
            self.fail(refs[0], "blocked though nobody stands before it")
        for ref, state in zip(refs[1:], states[1:], strict=True):
            if state is not DeliveryState.BLOCKED:
                self.fail(ref, f"{state.value} though it is not the first in line")

    def _leave(self, ref: DeliveryRef) -> None:
        self._lines[self._line_of.pop(ref)].remove(ref)

    def _has_left(self, ref: DeliveryRef, state: DeliveryState) -> bool:
        if state in (DeliveryState.SUCCESS, DeliveryState.CANCELED):
            return True
        return state in DEAD_STATES and not self._stops(ref)

    def _stops(self, ref: DeliveryRef) -> bool:
        endpoint = self.world.history.endpoints[ref.endpoint_id]
        return endpoint.ordering_on_failure == "stop" and endpoint.status != "removed"

    def _release(self) -> None:
        """Dead letters of endpoints that stop nothing any more leave their lines."""
        for ref in list(self._line_of):
            if self._has_left(ref, self.world.history.deliveries[ref].state):
                self._touched.add(self._line_of[ref])
                self._leave(ref)

    def requested(self, request: Request, payload: str) -> None:
        """Two requests of a line are under way at once only if a lease ran out in between."""
        lease, delivery = request.lease, self.world.history.deliveries.get(request.ref)
        if lease is None or delivery is None or (request.ref, lease.claim) not in self._in_order:
            return
        for other_ref, requests in self.world.history.under_way.items():
            other = self.world.history.deliveries.get(other_ref)
            if other is None or other_ref.endpoint_id != request.ref.endpoint_id:
                continue
            if other_ref == request.ref or other.ordering_key != delivery.ordering_key:
                continue
            if any(self._is_live(one) for one in requests) and lease.ended_by is None:
                name = self.world.history.name(other_ref)
                self.fail(request.ref, f"sent while {name} is under way, of the same key")

    def _is_live(self, request: Request) -> bool:
        lease = request.lease
        if lease is None or (request.ref, lease.claim) not in self._in_order:
            return False
        return lease.ended_by not in EXPLAINED

    def rested(self, listed: Listed) -> None:
        for delivery in listed.deliveries:
            if delivery.state is DeliveryState.BLOCKED or delivery.waits_for is not None:
                self.fail(delivery.ref, "blocked at rest")
