"""Time and chance of a world: the loop's time, a wall clock that jumps, seeded bytes."""

from __future__ import annotations

import random

from tests.simulation.loop import SimulatedLoop
from webhook.adapters.system import SystemClock

START_MS = 1_764_000_000_000


class SimulatedClock(SystemClock):
    """The real clock's ``wait`` over the simulated loop. The wall clock alone jumps."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.shift_ms = 0

    def now_ms(self) -> int:
        return START_MS + int(self._loop.time() * 1000) + self.shift_ms

    def monotonic_ms(self) -> float:
        return self._loop.time() * 1000


class SimulatedChance:
    """The ``Chance`` of all processes of one world."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def random_bytes(self, count: int) -> bytes:
        return self._dice.randbytes(count)

    def uniform(self) -> float:
        return self._dice.random()
