"""When nothing goes wrong, what is due is claimed soon; a lost hint costs a minute at most."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from webhook.domain.health import FAILURES_MAX
from webhook.domain.model import DeliveryState

if TYPE_CHECKING:
    from tests.simulation.history import Change
    from tests.simulation.world import World

SOON_MS = 10_000
MINUTE_MS = 60_000
# Longer waits than this are not told to a queue: the minute's sweep finds them.
TOLD_MS_MAX = 120_000
# What one slot needs for one request at a healthy receiver.
EACH_MS = 1_000


class NobodyWaitsForTheSweep(Invariant):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._failures: Counter[str] = Counter()
        self._left_alone: set[str] = set()

    def changed(self, change: Change) -> None:
        self._note_health(change)
        before, after = change.before, change.after
        if before is None or after is None or change.call != "claim":
            return
        if after.state is not DeliveryState.LEASED or before.state is DeliveryState.LEASED:
            return
        if not self.options.calm or self.world.receivers.have_kept_waiting:
            return
        # One that was put to sleep by a 410 has made its deliveries wait.
        if self.world.history.has_slept(change.ref.endpoint_id):
            return
        # So has one whose circuit has opened.
        if change.ref.endpoint_id in self._left_alone:
            return
        waited_ms = change.store_at - (before.due_at or 0)
        if waited_ms > self._wait_ms_max(change):
            self.fail(change.ref, f"was due for {waited_ms} ms before somebody claimed it")

    def _note_health(self, change: Change) -> None:
        before, after = change.before, change.after
        if before is None or after is None or after.attempts_made == before.attempts_made:
            return
        endpoint_id = change.ref.endpoint_id
        if after.attempts[-1].error_kind is None:
            del self._failures[endpoint_id]
        else:
            self._failures[endpoint_id] += 1
            if self._failures[endpoint_id] >= FAILURES_MAX:
                self._left_alone.add(endpoint_id)

    def _wait_ms_max(self, change: Change) -> int:
        queue_ms = SOON_MS + EACH_MS * len(self.world.history.deliveries)
        worker = self.options.platform == "worker"
        if self.options.hint_faults:
            return queue_ms + (MINUTE_MS if worker else self.options.batch_timeout_ms)
        before = change.before
        if worker and before is not None and before.attempts:
            asked_at = before.attempts[-1].started_at + before.attempts[-1].latency_ms
            if (before.due_at or 0) - asked_at > TOLD_MS_MAX:
                return queue_ms + MINUTE_MS
        return queue_ms
