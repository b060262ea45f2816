"""A settle counts only for the claim that it names, and only for the request of that claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from webhook.domain.model import PENDING_STATES, Delivery, DeliveryState

if TYPE_CHECKING:
    from tests.simulation.history import Change, Lease


class OnlyTheLastClaimSettles(Invariant):
    def changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if change.call != "settle" or before is None or after is None or _has_its_turn(before):
            return
        lease = self.world.history.leases[change.ref][-1]
        if before.state is not DeliveryState.LEASED:
            self._is_open(change, lease, before, after)
        if lease.owner is not change.owner:
            self.fail(change.ref, f"claim {lease.claim} is settled by somebody else")
            return
        if after.attempts_made == before.attempts_made:
            return
        request, attempt = lease.request, after.attempts[-1]
        if request is None:
            self.fail(change.ref, f"claim {lease.claim} is settled, but has sent nothing")
            return
        request.recorded += 1
        if request.recorded > 1:
            self.fail(change.ref, f"the request of claim {lease.claim} is counted again")
        if request.outcome is None:
            self.fail(change.ref, "an outcome is recorded before there is one")
        elif (attempt.started_at, attempt.status_code, attempt.error_kind) != (
            request.started_at,
            request.outcome.status_code,
            request.outcome.error_kind,
        ):
            self.fail(change.ref, f"claim {lease.claim} is settled by another one's outcome")
        if attempt.number != request.number:
            self.fail(change.ref, f"attempt {attempt.number} called itself {request.number}")

    def _is_open(self, change: Change, lease: Lease, before: Delivery, after: Delivery) -> None:
        """Only a lease that ran out leaves its claim open, and only for an outcome."""
        if lease.ended_by != "claim":
            self.fail(change.ref, f"claim {lease.claim} is settled, but {lease.ended_by} ended it")
        elif after.state in PENDING_STATES and after.attempts_made == before.attempts_made:
            self.fail(change.ref, f"claim {lease.claim} is given back after its lease")


def _has_its_turn(before: Delivery) -> bool:
    """Whether it was another one's claim that was settled, for which this one had to wait."""
    return before.state is DeliveryState.BLOCKED
