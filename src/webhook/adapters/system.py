"""The machine's own clock and chance. Building them touches neither."""

from __future__ import annotations

import asyncio
import os
import time

from webhook.ports import WaitEvent

_FLOAT_BITS = 53


class SystemClock:
    """The ``Clock`` of a real machine."""

    def now_ms(self) -> int:
        """Return the wall clock, epoch ms."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        """Return ms that never go back, for measuring."""
        return time.monotonic() * 1000

    async def wait(self, event: WaitEvent, timeout_ms: float | None) -> bool:
        """Wait until ``event`` is set or the time is up; return whether it is set.

        Always lets other tasks run, so that a caller with nothing to wait for starves nobody.
        """
        if event.is_set() or (timeout_ms is not None and timeout_ms <= 0):
            await asyncio.sleep(0)
            return event.is_set()
        try:
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
                await event.wait()
        except TimeoutError:
            pass  # the answer is the same question either way
        return event.is_set()


class SystemChance:
    """The ``Chance`` of a real machine: the operating system's random bytes."""

    def random_bytes(self, count: int) -> bytes:
        """Return bytes that nobody can guess."""
        return os.urandom(count)

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        # Not the random module: importing it draws entropy, which a Worker may not do at start.
        return (int.from_bytes(os.urandom(7)) >> (56 - _FLOAT_BITS)) / (1 << _FLOAT_BITS)
