"""An endpoint's gate in memory: how much a claim may take, and which starts its rate gives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from webhook.domain.health import (
    CLOCK_SLIP_MS,
    FAILURES_MAX,
    RATE_AHEAD_MS,
    RATE_REFILL_MS,
    circuit_open,
    rate_start,
    rate_starts,
)
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import Endpoint

GATE_OPEN = 1_000_000


class Gates:
    """What of gated endpoints is leased, until when, and the last start of each rate."""

    def __init__(self) -> None:
        self._leases: dict[str, dict[DeliveryRef, int]] = {}
        self._last_start_at: dict[str, int] = {}

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
            rooms.append(0 if circuit_open(endpoint.open_until, now) else 1 - under_way)
        rate = endpoint.rate
        if rate is not None:
            rooms.append(rate_starts(self.next_start_at(endpoint, now), rate, now))
        return min(rooms)

    def opens_at(self, endpoint: Endpoint, now: int) -> int | None:
        """Return when a gate opens that time has shut, None when it is full or open."""
        times = [0]
        if endpoint.open_until is not None and circuit_open(endpoint.open_until, now):
            times.append(endpoint.open_until)
        next_at = self.next_start_at(endpoint, now)
        if next_at > now + RATE_AHEAD_MS:
            times.append(next_at - RATE_REFILL_MS)
        return max(times) or None

    def next_start_at(self, endpoint: Endpoint, now: int) -> int:
        """Return the next start that the endpoint's rate gives; ``now`` without a rate."""
        rate = endpoint.rate
        return (
            now if rate is None else rate_start(self._last_start_at.get(endpoint.id, 0), rate, now)
        )

    def starts(self, endpoint: Endpoint | None, now: int) -> Iterator[int]:
        """Yield the starts that the endpoint's rate gives one after the other."""
        per_second = None if endpoint is None else endpoint.rate
        if endpoint is None or per_second is None:
            yield from itertools.repeat(now)
            return
        first_at = self.next_start_at(endpoint, now)
        for place in itertools.count():
            yield math.ceil(first_at + place * 1000 / per_second)

    def note_start(self, endpoint: Endpoint, start_at: int) -> None:
        """Note that a start was given, where the endpoint has a rate."""
        if endpoint.rate is not None:
            last_at = self._last_start_at.get(endpoint.id, 0)
            slipped = last_at > start_at + CLOCK_SLIP_MS
            self._last_start_at[endpoint.id] = start_at if slipped else max(last_at, start_at)

    def take(
        self, endpoint: Endpoint | None, ref: DeliveryRef, start_at: int, lease_end: int
    ) -> None:
        """Note a lease and its start, where the endpoint is gated."""
        if endpoint is not None and endpoint.gated:
            self._leases.setdefault(endpoint.id, {})[ref] = lease_end
            self.note_start(endpoint, start_at)

    def forget(self, endpoint_id: str) -> None:
        """Forget an endpoint that is no more."""
        self._leases.pop(endpoint_id, None)
        self._last_start_at.pop(endpoint_id, None)

    def release(self, ref: DeliveryRef) -> None:
        """Note that a delivery is leased no more."""
        leases = self._leases.get(ref.endpoint_id)
        if leases is not None:
            leases.pop(ref, None)
