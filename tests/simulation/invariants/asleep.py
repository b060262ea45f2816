"""Nothing is claimed for an endpoint that is not active; one that is gone is disabled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from webhook.domain.model import DeliveryState

if TYPE_CHECKING:
    from tests.simulation.history import Change

GONE = 410


class NothingIsClaimedForSleepers(Invariant):
    def changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if after is None:
            return
        endpoint = self.world.history.endpoints[change.ref.endpoint_id]
        anew = before is None or before.claim != after.claim
        if after.state is DeliveryState.LEASED and anew:
            if endpoint.status != "active":
                self.fail(change.ref, f"claimed although its endpoint is {endpoint.status}")
        elif change.call == "settle" and after.state is DeliveryState.FAILED:
            last = after.attempts[-1]
            if last.status_code == GONE and endpoint.status == "active":
                self.fail(change.ref, "410, and its endpoint is still active")
