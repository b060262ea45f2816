"""A request goes where its endpoint said while it was claimed, and only a 410 disables one."""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from tests.simulation.weather import SLOW_S_MAX

if TYPE_CHECKING:
    from tests.simulation.history import Request

GONE = 410
# An answer of the store may be as old as that when it comes.
ANSWER_S = 2 * SLOW_S_MAX + 1


class RequestsFollowTheirEndpoint(Invariant):
    def requested(self, request: Request, payload: str) -> None:
        began_s = request.started_s - ANSWER_S if request.lease is None else request.lease.asked_s
        seen = self.world.history.versions_since(request.ref.endpoint_id, began_s - ANSWER_S)
        default_ms = self.options.timeout_ms
        timeout_ms = round(request.timeout_s * 1000)
        if (request.url, timeout_ms) not in {(v.url, v.timeout_ms or default_ms) for v in seen}:
            self.fail(request.ref, f"sent to {request.url} with a deadline of {timeout_ms} ms")

    def called(self, call: str, store_at: int) -> None:
        if call != "settle" or not self.options.joint:
            return
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
            if GONE not in codes:
                self.world.fail(f"{self.world.endpoint_name(endpoint_id)} is disabled without 410")
