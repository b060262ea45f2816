"""Which webhooks were handled before, in three steps: begin, then done or abort.

A handler that raises aborts, so that the sender's retry is handled; one that never comes back
leaves a mark that ends by itself. Deliveries come at least once: this makes a second one rare, and
a handler whose work and whose mark are not one transaction cannot have more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

State = Literal["new", "running", "done"]

KEEP_S = 4 * 86_400
"""Longer than a sender's retries go on: ours end after three days, and a bit for their jitter."""


class Seen(Protocol):
    """Remembers ids. Its methods may be coroutines.

    One per ``Receiver``: two of them get the same event under the same id, and each handles it.
    """

    def begin(self, message_id: str, ttl: float) -> State | Awaitable[State]:
        """Mark an id as running for ``ttl`` seconds and return "new", unless it is marked already.

        Of several callers at once, one gets "new".
        """
        ...

    def done(self, message_id: str) -> object | Awaitable[object]:
        """Remember that it was handled."""
        ...

    def abort(self, message_id: str) -> object | Awaitable[object]:
        """Forget the mark, so that it is handled when it comes again; what is done stays done."""
        ...


class MemorySeen:
    """Remembers in this process: enough where there is one, and forgotten when it ends.

    At most ``ids_max`` are kept, the newest.
    """

    def __init__(
        self,
        *,
        keep_s: float = KEEP_S,
        ids_max: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keep_s, self._ids_max, self._clock = keep_s, ids_max, clock
        # Each maps an id to when its mark ends; the second is in that order.
        self._running: dict[str, float] = {}
        self._done: dict[str, float] = {}
        self._lock = threading.Lock()

    def begin(self, message_id: str, ttl: float) -> State:
        """See ``Seen``."""
        with self._lock:
            now = self._clock()
            self._forget(now)
            if message_id in self._done:
                return "done"
            if self._running.get(message_id, now) > now:
                return "running"
            self._running[message_id] = now + ttl
            return "new"

    def done(self, message_id: str) -> None:
        """See ``Seen``."""
        with self._lock:
            self._running.pop(message_id, None)
            self._done.pop(message_id, None)
            self._done[message_id] = self._clock() + self._keep_s

    def abort(self, message_id: str) -> None:
        """See ``Seen``."""
        with self._lock:
            self._running.pop(message_id, None)

    def _forget(self, now: float) -> None:
        while self._done:
            oldest = next(iter(self._done))
            if self._done[oldest] > now and len(self._done) <= self._ids_max:
                return
            del self._done[oldest]
