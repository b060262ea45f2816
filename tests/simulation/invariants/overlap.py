"""Two requests of one delivery at once are explained by a lease that ran out in between."""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant

if TYPE_CHECKING:
    from tests.simulation.history import Request

BOTH = 2


class OverlapsHaveACause(Invariant):
    def requested(self, request: Request, payload: str) -> None:
        for other in self.world.history.under_way.get(request.ref, ()):
            leases = [lease for lease in (other.lease, request.lease) if lease is not None]
            # The one that was claimed first may be the one that is sent last.
            first = min(leases, key=lambda lease: lease.claim)
            # What is canceled may be under way still when it is replayed.
            if len(leases) < BOTH or first.ended_by not in ("claim", "cancel"):
                self.fail(request.ref, "sent twice at once, and no lease has run out")
