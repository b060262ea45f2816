"""The ``WakeQueue`` of a single process: an event to wait for."""

from __future__ import annotations

import asyncio


class AsyncioWake:
    """Sets ``event`` when a claim is asked for, now or later.

    There is one timer at most: an earlier hint replaces a later one. Nothing is lost by that, for
    the claim that the earlier one causes says when the next delivery falls due. May be built
    before any loop runs; not safe across threads.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def wake(self, delay_ms: int) -> None:
        """Set the event after ``delay_ms``."""
        if delay_ms <= 0:
            self.event.set()
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_ms / 1000
        # A timer of a loop that has ended since would never ring.
        if self._timer is not None and self._loop is loop:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._loop = loop
        self._timer = loop.call_at(due, self._ring)

    def renew(self) -> None:
        """Make a new event, for whoever waits in another event loop than before."""
        self.event = asyncio.Event()

    def clear(self) -> None:
        """Take note of the hint: the event is unset, a timer goes on."""
        self.event.clear()

    def close(self) -> None:
        """Stop the timer; the event stays as it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self.event.set()
