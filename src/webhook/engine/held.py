"""What a claimer holds: from when on each delivery may be sent, and until when it is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from webhook.ports import Claimed, Clock


class Held(NamedTuple):
    """A claimed delivery, with times of the monotonic clock.

    ``start_ms`` is the start that its endpoint's rate gave, else when it was asked for.
    """

    claimed: Claimed
    start_ms: float
    lease_end_ms: float

    @property
    def gated(self) -> bool:
        """Whether its end may let more of its endpoint be claimed."""
        endpoint = self.claimed.endpoint
        return endpoint is not None and endpoint.gated

    @property
    def ordered(self) -> bool:
        """Whether its end may let another delivery of its ordering key become due."""
        return self.claimed.delivery.ordering_key is not None


def held_since(claimed: Iterable[Claimed], asked_ms: float) -> Iterator[Held]:
    """Say when each may start, and when each lease ends at the earliest.

    Both are counted from when it was asked for. Where the claimer's clock counts, that is when the
    lease began, however long the store took.
    """
    return (Held(one, asked_ms + one.start_in_ms, asked_ms + one.lease_left_ms) for one in claimed)


class StartTimer:
    """Rings when the next start has come; it costs a task only while one is to come."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._at_ms: float | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def set(self, at_ms: float | None) -> None:
        """Ring then, by the monotonic clock, in place of what was set before; None is never."""
        if at_ms == self._at_ms:
            return
        self._at_ms = at_ms
        self._changed.set()
        if at_ms is not None and self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            while (at_ms := self._at_ms) is not None:
                self._changed.clear()
                wait_ms = at_ms - self._clock.monotonic_ms()
                if not await self._clock.wait(self._changed, wait_ms):
                    self._at_ms = None
                    self._ring()
        finally:
            self._task = None
