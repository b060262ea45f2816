"""An event loop in which nothing happens by chance: virtual time, order drawn from the seed.

What is run belongs to a process (the context says to which). A process that crashes is never run
again: its tasks stay where they are, and not even their ``finally`` blocks run.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import random
import warnings
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

HANDLES_MAX = 400_000


class Owner:
    """Whoever has callbacks in the loop. ``crash_at`` is the callback at which it dies.

    ``cut_off`` says that it ended before its work was done, ``stopping_s`` when it was told to end.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.cut_off = False
        self.stopping_s: float | None = None
        self.steps = 0
        self.crash_at: int | None = None
        self.died: asyncio.Event = asyncio.Event()

    def die(self) -> None:
        """Run nothing any more."""
        self.alive = False
        self.died.set()


OWNER: contextvars.ContextVar[Owner] = contextvars.ContextVar("owner")


class TooLong(Exception):  # noqa: N818 - what it is, in a word
    """The callbacks never come to an end although time stands nearly still."""


class SimulatedLoop(asyncio.AbstractEventLoop):
    """The few things that asyncio asks of a loop that has neither sockets nor threads.

    ``order`` draws which of the callbacks that are ready runs next; None keeps asyncio's order.
    """

    def __init__(self, order: random.Random | None) -> None:
        self.stopped = False
        self._now_s = 0.0
        self._order = order
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_number = 0
        self._handles = 0
        self._tasks: list[asyncio.Task[Any]] = []
        # The dead, kept so that nothing takes them to pieces while the world goes on.
        self._graves: list[asyncio.Handle] = []
        self._over = False

    # --- the simulation's side --------------------------------------------------------------------

    def run(self, done: Callable[[], bool], end_s: float) -> bool:
        """Run until ``done``, or until nothing is left before ``end_s``; return whether done."""
        with self._running():
            while not self.stopped:
                if not self._ready:
                    if done():
                        return True
                    if not self._next_timers(end_s):
                        self._now_s = max(self._now_s, end_s)
                        return done()
                self._run_one(self._pop())
        return done()

    def close(self) -> None:
        """Take what is left to pieces without running any of it."""
        self._over = True
        with self._running(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for task in self._tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined] # asyncio's own
                    coroutine = task.get_coro()
                    with contextlib.suppress(BaseException):
                        if coroutine is not None:
                            task.get_context().run(coroutine.close)
                elif not task.cancelled():
                    task.exception()
            for pile in (self._tasks, self._graves, self._ready, self._timers):
                pile.clear()

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def _pop(self) -> asyncio.Handle:
        if self._order is None or len(self._ready) == 1:
            return self._ready.pop(0)
        return self._ready.pop(int(self._order.random() * len(self._ready)))

    def _run_one(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        owner = handle._context.get(OWNER)  # type: ignore[attr-defined] # asyncio's own
        if owner is not None:
            if not owner.alive:
                self._graves.append(handle)
                return
            owner.steps += 1
            if owner.steps == owner.crash_at:
                self._graves.append(handle)
                owner.die()
                return
        self._handles += 1
        if self._handles > HANDLES_MAX:
            raise TooLong(f"more than {HANDLES_MAX} callbacks")
        handle._run()

    def _next_timers(self, end_s: float) -> bool:
        """Let time pass until the next timer and make what falls due then ready."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers or timers[0][0] > end_s:
            return False
        self._now_s = max(self._now_s, timers[0][0])
        while timers and timers[0][0] <= self._now_s:
            self._ready.append(heapq.heappop(timers)[2])
        return True

    def call_outside(self, delay_s: float, callback: Callable[[], object]) -> None:
        """Call after so long on nobody's behalf, whoever asks for it now."""
        self.call_later(delay_s, callback, context=contextvars.Context())

    # --- asyncio's side ---------------------------------------------------------------------------

    def time(self) -> float:
        return self._now_s

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._over

    def call_soon(  # type: ignore[override] # of any callback
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._over:
            self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override] # of any callback
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override] # of any callback
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if not self._over:
            self._timer_number += 1
            heapq.heappush(self._timers, (when, self._timer_number, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave it where it is; it is thrown away when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task[T](
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        if self._over:
            coro.close()
            raise RuntimeError("the world has ended")
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep silent: what breaks off is found by what it left undone."""
