"""Wake-ups as they may come: lost, doubled, late. Within a server, and through a queue."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from tests.simulation.loop import SimulatedLoop
from webhook.adapters.asyncio_wake import AsyncioWake

LATE_S_MAX = 40.0
BATCH_S = 1.0


class Faults:
    """Draws what becomes of a hint: a list of delays in seconds, one for each time it arrives."""

    def __init__(self, dice: random.Random, *, active: bool) -> None:
        self._dice = dice
        self.active = active

    def arrivals(self) -> list[float]:
        if not self.active:
            return [0.0]
        fate = self._dice.random()
        if fate < 0.3:
            return []
        if fate < 0.5:
            return [0.0, self._dice.random()]
        if fate < 0.7:
            return [self._dice.random() * LATE_S_MAX]
        return [0.0]


class FaultyWake:
    """The wake-up of a server, with some of its hints going astray."""

    def __init__(self, faults: Faults) -> None:
        self._inner = AsyncioWake()
        self._faults = faults

    @property
    def event(self) -> asyncio.Event:
        return self._inner.event

    async def wake(self, delay_ms: int) -> None:
        for late_s in self._faults.arrivals():
            await self._inner.wake(delay_ms + round(late_s * 1000))


class SimulatedQueue:
    """A queue that calls ``consume`` for what comes within a second or less."""

    def __init__(
        self, loop: SimulatedLoop, faults: Faults, dice: random.Random, consume: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._faults = faults
        self._dice = dice
        self._consume = consume
        self._batch_is_open = False

    async def wake(self, delay_ms: int) -> None:
        await asyncio.sleep(0)
        delay_s = -(-max(delay_ms, 0) // 1000)
        for late_s in self._faults.arrivals():
            self.put(delay_s + late_s)

    def put(self, delay_s: float) -> None:
        """Let a message arrive after so long."""
        self._loop.call_outside(delay_s, self._arrive)

    def _arrive(self) -> None:
        if self._batch_is_open:
            return
        self._batch_is_open = True
        self._loop.call_outside(self._dice.random() * BATCH_S, self._hand_over)

    def _hand_over(self) -> None:
        self._batch_is_open = False
        self._consume()
