"""The log of a delivery's attempts is added to, and tells what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from webhook.domain.model import Attempt, Delivery, DeliveryState, ErrorKind

if TYPE_CHECKING:
    from tests.simulation.history import Change

FIRST_KEPT, LAST_KEPT = 5, 25


class TheLogTellsWhatHappened(Invariant):
    def changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if after is None:
            return
        if before is None:
            if after.attempts:
                self.fail(change.ref, "new, with attempts in its log")
            return
        made = after.attempts_made - before.attempts_made
        ran_out = change.call == "claim" and before.state is DeliveryState.LEASED
        if not made and not ran_out:
            if after.attempts != before.attempts:
                self.fail(change.ref, f"{change.call} changed the log and made no attempt")
            return
        if not after.attempts or after.attempts != _kept((*before.attempts, after.attempts[-1])):
            self.fail(change.ref, f"{change.call} did not just add to the log")
            return
        problem = _problem(after.attempts[-1], before, ran_out=ran_out)
        if problem is not None:
            self.fail(change.ref, problem)


def _kept(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    if len(attempts) <= FIRST_KEPT + LAST_KEPT:
        return attempts
    return (*attempts[:FIRST_KEPT], *attempts[-LAST_KEPT:])


def _problem(attempt: Attempt, before: Delivery, *, ran_out: bool) -> str | None:
    if attempt.number != before.attempts_made + 1:
        return f"attempt {attempt.number} in the log after {before.attempts_made} were made"
    if (attempt.error_kind is ErrorKind.INTERRUPTED) != ran_out:
        return f"{attempt.error_kind} in the log, but {ran_out=}"
    if ran_out and attempt.started_at != before.due_at:
        return "an interruption is noted at another time than its lease's end"
    return None
