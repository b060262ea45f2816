"""No delivery is in an impossible state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from webhook.domain.model import PENDING_STATES, Delivery, DeliveryState

if TYPE_CHECKING:
    from tests.simulation.history import Change


class NoStateIsImpossible(Invariant):
    def changed(self, change: Change) -> None:
        if change.after is not None and (problem := _problem(change.after)) is not None:
            self.fail(change.ref, problem)


def _problem(delivery: Delivery) -> str | None:
    waits = delivery.state in PENDING_STATES
    due = waits and delivery.state is not DeliveryState.BLOCKED
    if (delivery.due_at is not None, delivery.completed_at is None) != (due, waits):
        return f"{delivery.state.value}, yet {delivery.due_at=}, {delivery.completed_at=}"
    reasonless = waits or delivery.state is DeliveryState.SUCCESS
    if (delivery.reason is None) != reasonless:
        return f"{delivery.state.value} with the reason {delivery.reason}"
    if not 0 <= delivery.run_start <= delivery.attempts_made:
        return f"its run began at {delivery.run_start} of {delivery.attempts_made} attempts"
    if delivery.state is DeliveryState.SUCCESS:
        if delivery.attempts_made == delivery.run_start:
            return "a success without an attempt"
        if delivery.attempts[-1].error_kind is not None:
            return "a success whose last attempt failed"
    return None
