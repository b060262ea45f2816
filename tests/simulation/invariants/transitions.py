"""Each call makes of a delivery only what its contract says; ends are left by replays alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.history import REPLAYS
from tests.simulation.invariants.base import Invariant
from tests.simulation.stores import ADVANCE
from webhook.domain.ids import key_time_ms
from webhook.domain.model import DEAD_STATES, PENDING_STATES, Delivery, DeliveryState
from webhook.ports import CANCELED_BY_HAND, PAYLOAD_ERASED

if TYPE_CHECKING:
    from tests.simulation.history import Change

# What may end the delivery that another one waits for in line, or let it stop no more.
LETTING_GO = ("settle", "sweep", "update", "remove", "cancel", "erase_payload")
# What cancels at once, and the reason that it gives.
CANCELING = {"cancel": CANCELED_BY_HAND, "erase_payload": PAYLOAD_ERASED}
DAY_MS = 86_400_000
READY, SCHEDULED, LEASED = DeliveryState.READY, DeliveryState.SCHEDULED, DeliveryState.LEASED


class NoTransitionIsForbidden(Invariant):
    def changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if before is None:
            if change.call not in ("accept", ADVANCE):
                self.fail(change.ref, f"made by {change.call}")
            return
        if after is None:
            # One sweep may cancel what waits in vain, and remove it for its age.
            in_vain = self._endpoint_is_removed(change) or self._is_overdue(before)
            if change.call != "sweep" or (before.state in PENDING_STATES and not in_vain):
                self.fail(change.ref, f"{before.state.value}, and {change.call} removed it")
            return
        if before.state is DeliveryState.BLOCKED and after.state is READY:
            may = change.call in LETTING_GO
        elif change.call in CANCELING:
            may = self._may_be_canceled(change, before, after)
        else:
            may = self._may(change, before, after)
        if not may:
            was, is_now = before.state.value, after.state.value
            self.fail(change.ref, f"{change.call} made {is_now} of {was}")
        elif change.call == "claim" and before.state is not READY:
            self._became_due(change)

    def _may(self, change: Change, before: Delivery, after: Delivery) -> bool:
        replays, ended = change.call in REPLAYS, before.state not in PENDING_STATES
        if replays or ended:
            return replays and ended and after.state is READY
        if change.call == "claim":
            return after.state in (READY, LEASED)
        canceled = after.state is DeliveryState.CANCELED
        if canceled and not self._endpoint_is_removed(change):
            told = (after.reason or "").startswith("pending for more than")
            return change.call == "sweep" and told and self._is_overdue(before)
        if change.call == "settle":
            return before.state is LEASED or (before.state is READY and before.interruptions > 0)
        return change.call == "sweep" and canceled

    def _may_be_canceled(self, change: Change, before: Delivery, after: Delivery) -> bool:
        """What is pending, or stops its key; of anything else an erasure may make a note."""
        if after.state is before.state:
            return change.call == "erase_payload" and before.state not in PENDING_STATES
        stopped = before.state in DEAD_STATES and self._stopped_its_key(change, before)
        canceled = after.state is DeliveryState.CANCELED
        told = after.reason == CANCELING[change.call] or self._endpoint_is_removed(change)
        return (before.state in PENDING_STATES or stopped) and canceled and told

    def _stopped_its_key(self, change: Change, before: Delivery) -> bool:
        endpoint = self.world.history.endpoints[change.ref.endpoint_id]
        return before.ordering_key is not None and endpoint.ordering_on_failure == "stop"

    def _is_overdue(self, before: Delivery) -> bool:
        """Whether it waited longer than it may; what is under way is left to its end."""
        since = before.run_started_at or key_time_ms(before.key)
        waited_ms = self.world.history.latest_at - since
        too_long = waited_ms > self.options.pending_days * DAY_MS
        return before.state in PENDING_STATES and before.state is not LEASED and too_long

    def _endpoint_is_removed(self, change: Change) -> bool:
        endpoint = self.world.history.endpoints.get(change.ref.endpoint_id)
        return endpoint is None or endpoint.status == "removed"

    def _became_due(self, change: Change) -> None:
        """A claim makes ready only what was due, and counts a lease that nobody ended."""
        before, after = change.before, change.after
        if before is None or after is None:
            return
        early_ms = (before.due_at or 0) - change.store_at
        if early_ms > 0:
            self.fail(change.ref, f"{before.state.value} made ready {early_ms} ms before its time")
        interrupted = before.state is LEASED
        if after.interruptions != before.interruptions + interrupted:
            self.fail(change.ref, "a lease that ran out is to count as an interruption")
