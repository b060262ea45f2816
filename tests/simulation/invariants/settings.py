"""A request goes where its endpoint said while it was claimed.

Only a 410 disables an endpoint, or five days of nothing but failures.
"""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from tests.simulation.weather import SLOW_S_MAX

if TYPE_CHECKING:
    from tests.simulation.history import Change, Request
    from tests.simulation.world import World

GONE = 410
# More failures in a row, and over a longer time, than an endpoint is given up for.
FAILURES_MAX = 10
ERROR_AFTER_MS = 5 * 86_400_000
# An answer of the store may be as old as that when it comes.
ANSWER_S = 2 * SLOW_S_MAX + 1


class RequestsFollowTheirEndpoint(Invariant):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        # Per endpoint: how often it has failed in a row, and since when.
        self._failing: dict[str, tuple[int, int]] = {}
        # Who has succeeded in this call: of one call, a success comes last.
        self._succeeded: set[str] = set()

    def changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if before is None or after is None or after.attempts_made == before.attempts_made:
            return
        endpoint_id = change.ref.endpoint_id
        if after.attempts[-1].error_kind is None:
            self._succeeded.add(endpoint_id)
        else:
            at = min(change.asked_at, change.store_at, after.attempts[-1].started_at)
            count, since = self._failing.get(endpoint_id, (0, at))
            self._failing[endpoint_id] = (count + 1, min(since, at))

    def _is_given_up(self, endpoint_id: str, store_at: int) -> bool:
        count, since = self._failing.get(endpoint_id, (0, store_at))
        latest_at = max(self.world.history.latest_at, store_at)
        return count > FAILURES_MAX and latest_at - since >= ERROR_AFTER_MS

    def requested(self, request: Request, payload: str) -> None:
        began_s = request.started_s - ANSWER_S if request.lease is None else request.lease.asked_s
        seen = self.world.history.versions_since(request.ref.endpoint_id, began_s - ANSWER_S)
        default_ms = self.options.timeout_ms
        timeout_ms = round(request.timeout_s * 1000)
        if (request.url, timeout_ms) not in {(v.url, v.timeout_ms or default_ms) for v in seen}:
            self.fail(request.ref, f"sent to {request.url} with a deadline of {timeout_ms} ms")

    def called(self, call: str, store_at: int) -> None:
        if call == "settle" and self.options.joint:
            self._are_disabled_with_reason(store_at)
        for endpoint_id in self._succeeded:
            self._failing.pop(endpoint_id, None)
        self._succeeded.clear()

    def _are_disabled_with_reason(self, store_at: int) -> None:
        history = self.world.history
        for endpoint_id, versions in history.versions.items():
            since_s, latest = versions[-1]
            if latest.status != "error" or since_s < self.world.loop.time():
                continue
            codes = {
                delivery.attempts[-1].status_code
                for ref, delivery in history.deliveries.items()
                if ref.endpoint_id == endpoint_id and delivery.attempts
            }
            if GONE not in codes and not self._is_given_up(endpoint_id, store_at):
                self.world.fail(f"{self.world.endpoint_name(endpoint_id)} is disabled without 410")
