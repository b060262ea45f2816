"""Nothing is claimed for an endpoint that is not active; one that is gone is disabled."""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from tests.simulation.weather import SLOW_S_MAX
from webhook.domain.model import DeliveryState

if TYPE_CHECKING:
    from tests.simulation.history import Change, Request

GONE = 410
# An endpoint that was looked up may be as old as a slow answer of the store.
LOOK_UP_S = 2 * SLOW_S_MAX + 1


class NothingIsClaimedForSleepers(Invariant):
    def requested(self, request: Request, payload: str) -> None:
        """Where claims know nothing of endpoints, what counts is what was looked up."""
        history = self.world.history
        since_s = request.started_s - LOOK_UP_S
        versions = history.versions_since(request.ref.endpoint_id, since_s)
        if not self.options.joint and all(v.status != "active" for v in versions):
            self.fail(request.ref, f"sent although its endpoint is {versions[-1].status}")

    def changed(self, change: Change) -> None:
        if self.options.joint:
            self._changed(change)

    def _changed(self, change: Change) -> None:
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
