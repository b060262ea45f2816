"""What is leased keeps to its endpoint's limits, and starts are never closer than a rate allows.

The rate is that of its limit, or its pace after its circuit opened.
"""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from tests.simulation.weather import SLOW_S_MAX
from webhook.domain.health import RATE_AHEAD_MS
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import DeliveryState
from webhook.engine.attempt import LATE_MS

if TYPE_CHECKING:
    from tests.simulation.history import Change, Request
    from tests.simulation.world import World

# What a store takes that is not slow, twice, and what rounding takes.
ANSWER_S = 0.025


class NoMoreIsLeasedThanAllowed(Invariant):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        # Per endpoint, what was claimed while it had a limit.
        self._limited: dict[str, set[DeliveryRef]] = {}

    def changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if after is None or after.state is not DeliveryState.LEASED:
            return
        if before is not None and before.claim == after.claim:
            return
        endpoint = self.world.history.endpoints[change.ref.endpoint_id]
        limited = self._limited.setdefault(endpoint.id, set())
        if endpoint.concurrency_max is None and endpoint.rate is None:
            limited.discard(change.ref)
            return
        if change.call != "claim":
            self.fail(change.ref, "leased at accept although its endpoint has a limit")
        limited.add(change.ref)
        deliveries = self.world.history.deliveries
        # A lease that ends later was broken off before the clock was set back.
        lease_ms_max = self.options.lease_ms + RATE_AHEAD_MS
        leased = sum(
            (delivery := deliveries.get(ref)) is not None
            and delivery.state is DeliveryState.LEASED
            and 0 < (delivery.due_at or 0) - change.store_at <= lease_ms_max
            for ref in limited
        )
        if endpoint.concurrency_max is not None and leased > endpoint.concurrency_max:
            self.fail(change.ref, f"leased beside {leased - 1} others of its endpoint")


class StartsKeepTheirDistance(Invariant):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        # Per endpoint: when the last request began and was asked for, and under which rate.
        self._last: dict[str, tuple[float, float, float]] = {}

    def requested(self, request: Request, payload: str) -> None:
        since_s, endpoint = self.world.history.versions[request.ref.endpoint_id][-1]
        rate = endpoint.rate
        asked_s = request.started_s if request.lease is None else request.lease.asked_s
        if asked_s <= since_s:
            # It was given its start by the settings of before.
            return
        last = self._last.pop(request.ref.endpoint_id, None)
        if rate is None:
            return
        self._last[request.ref.endpoint_id] = (request.started_s, asked_s, rate)
        if last is None or last[2] != rate or self._excused(min(last[1], asked_s)):
            return
        gap_s = request.started_s - last[0]
        if gap_s < 1 / rate - LATE_MS / 1000 - ANSWER_S:
            self.fail(request.ref, f"sent {gap_s:.3f} s after another, at {rate} a second")

    def _excused(self, since_s: float) -> bool:
        """Whether a clock jumped not long ago, or a slow store's own clock gave the starts."""
        history = self.world.history
        if self.world.store_clock is not None:
            return self.options.slow_store or self.options.clock_jumps
        return any(jump_s > since_s - 2 * SLOW_S_MAX - 1 for jump_s in history.jumps_s)


class WhoFailedIsPaced(Invariant):
    """From when its circuit opens until something succeeds while nothing of it is ready."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._failing: set[str] = set()
        self._changed: set[DeliveryRef] = set()

    def changed(self, change: Change) -> None:
        self._changed.add(change.ref)

    def called(self, call: str, store_at: int) -> None:
        for endpoint in self.world.history.endpoints.values():
            waits = endpoint.failing or (endpoint.id in self._failing and self._waits(endpoint.id))
            if waits and endpoint.rate is None:
                self.world.fail(
                    f"{self.world.endpoint_name(endpoint.id)} is not paced after {call}"
                )
            (self._failing.add if endpoint.failing else self._failing.discard)(endpoint.id)
        self._changed.clear()

    def _waits(self, endpoint_id: str) -> bool:
        return any(
            ref.endpoint_id == endpoint_id and delivery.state is DeliveryState.READY
            for ref, delivery in self.world.history.deliveries.items()
            if ref not in self._changed
        )


class NothingIsClaimedWhileSendingIsPaused(Invariant):
    def changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if after is None or after.state is not DeliveryState.LEASED:
            return
        anew = before is None or before.claim != after.claim or before.state is not after.state
        if anew and self.world.store.paused():
            self.fail(change.ref, "leased while sending is paused")
