"""A claim leaves nothing asleep whose time has come, to the very millisecond."""

from __future__ import annotations

from tests.simulation.invariants.base import Invariant
from webhook.domain.model import DeliveryState


class AClaimWakesWhatIsDue(Invariant):
    def called(self, call: str, store_at: int) -> None:
        if call != "claim":
            return
        history = self.world.history
        for ref in sorted(history.pending):
            delivery = history.deliveries[ref]
            asleep = delivery.state in (DeliveryState.SCHEDULED, DeliveryState.LEASED)
            if asleep and (delivery.due_at or 0) <= store_at:
                self.fail(ref, f"a claim left it {delivery.state.value}, due {delivery.due_at}")
