"""A clock that a test moves. Nothing waits in earnest, and every run goes the same way."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Awaitable, Iterator

from webhook.ports import WaitEvent

START_MS = 1_764_000_000_000


class VirtualClock:
    """The ``Clock`` of a test: it stands still until the test moves it.

    ``advance`` moves it by so much; ``run`` runs something to its end and moves the clock to the
    next timer whenever nobody has anything left to do. Both stop at each timer on the way and let
    everybody finish what they can before time goes on. Work outside the event loop (a thread) is
    announced by ``outside``, and time waits for it.
    """

    def __init__(self, start_ms: int = START_MS) -> None:
        self._start_ms = start_ms
        self._elapsed_ms = 0.0
        self._shift_ms = 0
        self._timers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._outside = 0
        self._back: asyncio.Event | None = None

    # --- the port ---------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Return the wall clock, epoch ms."""
        return self._start_ms + int(self._elapsed_ms) + self._shift_ms

    def monotonic_ms(self) -> float:
        """Return ms that never go back; at the beginning 0."""
        return self._elapsed_ms

    async def wait(self, event: WaitEvent, timeout_ms: float | None) -> bool:
        """Wait until ``event`` is set or the time is up; return whether it is set."""
        if event.is_set() or (timeout_ms is not None and timeout_ms <= 0):
            await asyncio.sleep(0)
            return event.is_set()
        if timeout_ms is None:
            await event.wait()
            return event.is_set()
        up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._timers, (self._elapsed_ms + timeout_ms, next(self._numbers), up))
        setting = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait((setting, up), return_when=asyncio.FIRST_COMPLETED)
        finally:
            setting.cancel()
            up.cancel()
        return event.is_set()

    # --- the test's hand --------------------------------------------------------------------------

    async def sleep(self, ms: float) -> None:
        """Wait until so much time has passed."""
        await self.wait(asyncio.Event(), ms)

    async def advance(self, ms: float) -> None:
        """Let ``ms`` pass, and everybody do what falls due on the way and at the end."""
        end_ms = self._elapsed_ms + ms
        await self.idle()
        while (due_ms := self._next_timer_ms()) is not None and due_ms <= end_ms:
            self._ring(due_ms)
            await self.idle()
        self._elapsed_ms = max(self._elapsed_ms, end_ms)

    async def run[T](self, work: Awaitable[T], *, within_ms: float = 3_600_000) -> T:
        """Run ``work`` to its end, letting time pass as it is needed; return its result.

        Raises ``TimeoutError`` when ``within_ms`` of this clock are not enough, or when nobody
        waits for time any more and the work would never end.
        """
        task = asyncio.ensure_future(work)
        end_ms = self._elapsed_ms + within_ms
        await self.idle()
        while not task.done():
            due_ms = self._next_timer_ms()
            if due_ms is None or due_ms > end_ms:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                raise TimeoutError("It does not come to an end.")
            self._ring(due_ms)
            await self.idle()
        return await task

    def jump(self, ms: int) -> None:
        """Set the wall clock forward or back, as an administrator does; no timer notices."""
        self._shift_ms += ms

    async def idle(self) -> None:
        """Let everybody run until nobody can go on without time passing."""
        # asyncio has no public word for "nothing is left to run".
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined] # noqa: SLF001 - as said
        while True:
            await asyncio.sleep(0)
            if ready:
                continue
            if not self._outside:
                return
            self._back = asyncio.Event()
            await self._back.wait()

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """Announce work that the event loop does not see; time stands still until it is done."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1
            if self._back is not None:
                self._back.set()

    def _next_timer_ms(self) -> float | None:
        while self._timers and self._timers[0][2].done():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _ring(self, due_ms: float) -> None:
        """Move to ``due_ms`` and wake whoever waits for it."""
        self._elapsed_ms = max(self._elapsed_ms, due_ms)
        while self._timers and self._timers[0][0] <= due_ms:
            up = heapq.heappop(self._timers)[2]
            if not up.done():
                up.set_result(None)
