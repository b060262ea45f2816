"""Each request that a receiver saw is recorded as an attempt, or it is explained why not."""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant

if TYPE_CHECKING:
    from tests.simulation.history import Request
    from tests.simulation.rest import Listed


class EveryRequestIsRecorded(Invariant):
    def rested(self, listed: Listed) -> None:
        for request in self.world.history.requests:
            if not request.recorded and not self._explained(request):
                self.fail(request.ref, f"its request {request.number} is not recorded")

    def _explained(self, request: Request) -> bool:
        lease = request.lease
        if lease is None:
            return False
        # What a sweep cancels was of a removed endpoint; what runs out is looked at elsewhere.
        return lease.ended_by in ("claim", "sweep", "cancel", "erase_payload")
