"""No request without a lease that covers it; a lease runs out only when something went wrong."""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from tests.simulation.weather import SLOW_S_MAX
from webhook.domain.model import DeliveryState

if TYPE_CHECKING:
    from tests.simulation.history import Change, Lease, Request

# What of a lease is left for the settle; less by what rounding to milliseconds may take away.
SETTLE_S = 5.0 - 0.002
# A settle that fails is tried again this soon, so the store must have failed shortly before.
SETTLE_AGAIN_S = 1.0


class LeasesCoverTheirRequests(Invariant):
    def requested(self, request: Request, payload: str) -> None:
        lease = request.lease
        if lease is None:
            self.fail(request.ref, "a request without a claim")
        elif lease.request is not None:
            self.fail(request.ref, f"a second request for claim {lease.claim}")
        elif lease.owner is not request.owner:
            self.fail(request.ref, f"a request for claim {lease.claim} of somebody else")
        elif not self._covers(lease, request):
            self.fail(request.ref, f"a request that claim {lease.claim} does not cover")

    def _covers(self, lease: Lease, request: Request) -> bool:
        """Whether the lease lasts as long as the request and its settle may, by either clock.

        The one that jumps may have made it longer than it was meant to be, or seem so.
        """
        if lease.ended_by == "settle":
            return False
        needed_s = request.timeout_s + SETTLE_S
        if lease.ends_s >= request.started_s + needed_s:
            return True
        return lease.due_at >= self.world.store_now() + needed_s * 1000

    def changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if change.call != "claim" or before is None or after is None:
            return
        if before.state is not DeliveryState.LEASED:
            return
        leases = self.world.history.leases[change.ref]
        lease = next(x for x in reversed(leases) if x.claim == before.claim)
        if not self._excused(lease, change):
            how = "unused" if lease.request is None else "with a request"
            self.fail(change.ref, f"claim {lease.claim} ran out, {how}, though nothing went wrong")

    def _excused(self, lease: Lease, change: Change) -> bool:
        history, now_s = self.world.history, change.now_s
        if lease.given_up or (lease.owner is not None and lease.owner.cut_off):
            return True
        # A claim may have been asked for before the clock was set back, and done after.
        since_s = min(lease.asked_s, change.asked_s)
        steady = self.world.store_clock is not None and not self.options.days
        if not steady and _any(history.jumps_s, since_s, now_s):
            return True
        if lease.request is None:  # nobody knew of the claim
            return _any(history.troubles_s, lease.asked_s, now_s)
        if lease.owner is not None and lease.owner.stopping_s is not None:
            # Who has to end tries only once.
            return _any(history.troubles_s, lease.owner.stopping_s - SLOW_S_MAX, now_s)
        if lease.request.outcome is None:
            return False
        since_s = max(lease.asked_s, lease.ends_s - SLOW_S_MAX - SETTLE_AGAIN_S)
        return _any(history.troubles_s, since_s, now_s)


def _any(times_s: list[float], since_s: float, until_s: float) -> bool:
    return any(since_s <= time_s <= until_s for time_s in times_s)
