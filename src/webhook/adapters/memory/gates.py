"""An endpoint's gate in memory: how much a claim may take, and which starts its rate gives."""

from __future__ import annotations

from webhook.domain.health import FAILURES_MAX, RATE_AHEAD_MS, rate_starts
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import Endpoint

GATE_OPEN = 1_000_000


class Gates:
    """What of gated endpoints is leased, until when, and the next start of each rate."""

    def __init__(self) -> None:
        self._leases: dict[str, dict[DeliveryRef, int]] = {}
        self._next_start_at: dict[str, float] = {}

    def room(self, endpoint: Endpoint | None, now: int) -> int:
        """Return how many more deliveries of the endpoint a claim may take."""
        if endpoint is None or not endpoint.gated:
            return GATE_OPEN
        leases = self._leases.get(endpoint.id, {})
        under_way = sum(lease_end > now for lease_end in leases.values())
        rooms = [GATE_OPEN]
        if endpoint.concurrency_max is not None:
            rooms.append(endpoint.concurrency_max - under_way)
        if endpoint.failures >= FAILURES_MAX:
            rooms.append(0 if (endpoint.open_until or 0) > now else 1 - under_way)
        if endpoint.rate_limit_per_second is not None:
            next_at = int(self._next_start_at.get(endpoint.id, 0))
            rooms.append(rate_starts(now, next_at, endpoint.rate_limit_per_second))
        return min(rooms)

    def opens_at(self, endpoint: Endpoint, now: int) -> int:
        """Return when a shut gate may open by itself, at the earliest."""
        next_at = int(self._next_start_at.get(endpoint.id, 0))
        rated = 0 if endpoint.rate_limit_per_second is None else next_at - RATE_AHEAD_MS
        return max(endpoint.open_until or 0, rated, now + 1)

    def take(self, endpoint: Endpoint | None, ref: DeliveryRef, lease_end: int, now: int) -> int:
        """Note a lease; return in how many ms its attempt may start."""
        if endpoint is None or not endpoint.gated:
            return 0
        self._leases.setdefault(endpoint.id, {})[ref] = lease_end
        if endpoint.rate_limit_per_second is None:
            return 0
        start_at = int(max(now, self._next_start_at.get(endpoint.id, 0)))
        self._next_start_at[endpoint.id] = start_at + 1000 / endpoint.rate_limit_per_second
        return start_at - now

    def release(self, ref: DeliveryRef) -> None:
        """Note that a delivery is leased no more."""
        leases = self._leases.get(ref.endpoint_id)
        if leases is not None:
            leases.pop(ref, None)
