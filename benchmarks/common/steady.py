"""Events at a steady pace, whatever becomes of those before."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.common.caller import Caller
from benchmarks.common.processes import Server

PER_SECOND = 100
_CONNECTIONS = 32


class Percentiles(NamedTuple):
    """Times in ms."""

    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Percentiles:
        """Work them out."""
        cuts = statistics.quantiles(times_ms, n=100, method="inclusive")
        return cls(cuts[49], cuts[89], cuts[98])

    def cells(self) -> list[str]:
        """Return them for a table."""
        return [f"{ms:.2f}" for ms in self]


class Steady:
    """Posts one event at a time to a server, of each of so many types in turn."""

    def __init__(self, server: Server, types: int) -> None:
        self._free: asyncio.Queue[Caller] = asyncio.Queue()
        for _ in range(_CONNECTIONS):
            self._free.put_nowait(server.caller())
        self._types = itertools.cycle(range(types))

    async def post(self, count: int) -> list[float]:
        """Post so many; return how many ms each accept took, from when it was to be sent."""
        times_ms: list[float] = []
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                at_s = began + number / PER_SECOND
                await asyncio.sleep(max(0.0, at_s - time.monotonic()))
                group.create_task(self._post(times_ms))
        return times_ms

    async def _post(self, times_ms: list[float]) -> None:
        caller = await self._free.get()
        at_ns = time.monotonic_ns()
        event = {"type": f"bench.t{next(self._types):02}", "data": {"at": at_ns}}
        await caller.post("/v1/events", event)
        times_ms.append((time.monotonic_ns() - at_ns) / 1e6)
        self._free.put_nowait(caller)


async def add_healthy(server: Server, count: int, receiver_port: int) -> None:
    """Subscribe an endpoint to each of so many types."""
    caller = server.caller()
    for number in range(count):
        url = f"http://127.0.0.1:{receiver_port}/{number}"
        await caller.post("/v1/endpoints", {"url": url, "event_types": [f"bench.t{number:02}"]})
