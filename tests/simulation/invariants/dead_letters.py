"""With healthy receivers there is no dead letter, unless its claimers died five times in a row."""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from webhook.domain.model import DeliveryState, ErrorKind

if TYPE_CHECKING:
    from tests.simulation.history import Change, Request
    from tests.simulation.rest import Listed
    from webhook.domain.model import Delivery

INTERRUPTIONS_MAX = 5


class DeadLettersHaveACause(Invariant):
    def requested(self, request: Request, number: int) -> None:
        delivery = self.world.history.deliveries.get(request.ref)
        if delivery is not None and delivery.interruptions >= INTERRUPTIONS_MAX:
            self.fail(request.ref, "sent again although its claims keep dying")

    def changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if before is None or after is None or change.call != "settle":
            return
        if after.state not in (DeliveryState.FAILED, DeliveryState.EXHAUSTED):
            return
        if after.attempts_made == before.attempts_made:
            if _interruptions(after) < INTERRUPTIONS_MAX:
                self.fail(change.ref, f"{after.state.value} without an attempt: {after.reason}")
        elif after.attempts[-1].error_kind is None:
            self.fail(change.ref, f"{after.state.value} after a success")

    def rested(self, listed: Listed) -> None:
        if self.options.faulty_receivers:
            return
        for ref, delivery in self.world.history.deliveries.items():
            if delivery.state in (DeliveryState.FAILED, DeliveryState.EXHAUSTED):
                excused = self.world.history.calamities >= INTERRUPTIONS_MAX
                if not (excused and _interruptions(delivery) >= INTERRUPTIONS_MAX):
                    self.fail(ref, f"{delivery.state.value} although its receiver is healthy")


def _interruptions(delivery: Delivery) -> int:
    """Count the interruptions at the end of the log."""
    count = 0
    for attempt in reversed(delivery.attempts):
        if attempt.error_kind is not ErrorKind.INTERRUPTED:
            break
        count += 1
    return count
