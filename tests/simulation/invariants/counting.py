"""The claim number never falls, nor does the count of attempts; nothing else moves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.history import REPLAYS
from tests.simulation.invariants.base import Invariant
from webhook.domain.model import PENDING_STATES, DeliveryState

if TYPE_CHECKING:
    from tests.simulation.history import Change


class NumbersOnlyRise(Invariant):
    def changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if before is None or after is None:
            return
        claims = after.claim - before.claim
        claimed = change.call == "claim" and after.state is DeliveryState.LEASED
        if claims != claimed:
            self.fail(change.ref, f"{change.call} took the claim number {claims} steps on")
        attempts = after.attempts_made - before.attempts_made
        if attempts not in (0, 1) or (attempts and change.call != "settle"):
            self.fail(change.ref, f"{change.call} took the count of attempts {attempts} steps on")
        if after.run_start != (
            before.attempts_made if change.call in REPLAYS else before.run_start
        ):
            self.fail(change.ref, f"{change.call} moved the start of its run")
        given_back = not attempts and after.state in PENDING_STATES
        if change.call in REPLAYS or (change.call == "settle" and not given_back):
            if after.interruptions:
                self.fail(change.ref, f"{change.call} left {after.interruptions} interruptions")
        elif change.call == "settle" and after.interruptions != before.interruptions:
            self.fail(change.ref, "to be given back changed its interruptions")
