"""The slots of one claimer: attempts under way, and what waits for a slot or for its start."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable

from webhook.domain.config import WebhookConfig
from webhook.domain.lifecycle import interrupt, release
from webhook.engine.attempt import Attempt, has_time
from webhook.engine.held import Held, StartTimer
from webhook.engine.limits import Limits
from webhook.engine.settle import Settler
from webhook.ports import Clock

_log = logging.getLogger("webhook.delivery")


class Slots:
    """Starts what it is given as soon as there is a slot, and hands each outcome to the settler.

    One endpoint has at most ``per_endpoint`` slots. What waits for its start holds none.
    ``note_progress`` is called at each end of an attempt. ``reserved`` slots are set aside.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        attempt: Attempt,
        settler: Settler,
        clock: Clock,
        config: WebhookConfig,
        note_progress: Callable[[], None],
    ) -> None:
        self.reserved = 0
        self.per_endpoint = limits.per_endpoint or max(1, limits.slots // 4)
        self.attempts: dict[asyncio.Task[None], Held] = {}
        self.waiting: deque[Held] = deque()
        self._slots = limits.slots
        self._attempt = attempt
        self._settler = settler
        self._clock = clock
        self._config = config
        self._note_progress = note_progress
        self._in_flight: Counter[str] = Counter()
        self._starts = StartTimer(clock, self._start_waiting)

    @property
    def free(self) -> int:
        """How many slots nobody has."""
        return self._slots - len(self.attempts) - self.reserved

    @property
    def room(self) -> int:
        """How many deliveries more may be held: no more may wait than there are slots."""
        return min(self.free, self._slots + self.free - len(self.waiting))

    @property
    def held(self) -> list[Held]:
        """All that is under way or waits."""
        return [*self.attempts.values(), *self.waiting]

    @property
    def per_endpoint_held(self) -> Counter[str]:
        """How much of each endpoint is under way or waits, by endpoint id."""
        return self._in_flight + Counter(held.claimed.delivery.endpoint_id for held in self.waiting)

    def add(self, held: Iterable[Held]) -> None:
        """Start what was claimed, or let it wait."""
        self.waiting.extend(held)
        self._start_waiting()

    def give_back(self, held: Iterable[Held]) -> None:
        """Give back, unsent, what was claimed."""
        for one in held:
            self._release(one)

    def release_waiting(self) -> None:
        """Give back what has not been started."""
        while self.waiting:
            self._release(self.waiting.popleft())
        self._starts.set(None)

    async def break_off(self) -> int:
        """Stop every attempt under way and end its lease; return how many there were."""
        self.release_waiting()
        attempts = dict(self.attempts)
        for task in attempts:
            task.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
        now, lease_end_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        broken_off = [held.claimed for task, held in attempts.items() if task.cancelled()]
        for claimed in broken_off:
            self._settler.add(interrupt(claimed.delivery, now), lease_end_ms)
        return len(broken_off)

    def _release(self, held: Held) -> None:
        settlement = release(held.claimed.delivery, self._clock.now_ms())
        self._settler.add(settlement, held.lease_end_ms)

    def _start_waiting(self) -> None:
        """Start what waits and may, while there are slots; pass over endpoints with their share.

        What waited too long for its lease is given back.
        """
        kept: list[Held] = []
        starts: list[float] = []
        now_ms = self._clock.monotonic_ms()
        while self.waiting:
            held = self.waiting.popleft()
            if held.start_ms > now_ms:
                starts.append(held.start_ms)
                kept.append(held)
            elif not self._has_time(held):
                self._release(held)
            elif (
                self.free > 0
                and self._in_flight[held.claimed.delivery.endpoint_id] < self.per_endpoint
            ):
                self._start_attempt(held)
            else:
                kept.append(held)
        self.waiting.extend(kept)
        self._starts.set(min(starts, default=None))

    def _has_time(self, held: Held) -> bool:
        """Whether what is left of the lease covers the deadline and the settle."""
        endpoint = held.claimed.endpoint
        timeout_ms = (endpoint and endpoint.timeout_ms) or self._config.timeout_ms
        return has_time(self._clock, timeout_ms, held.lease_end_ms)

    def _start_attempt(self, held: Held) -> None:
        endpoint_id = held.claimed.delivery.endpoint_id
        self._in_flight[endpoint_id] += 1
        self._settler.expect(more=True)
        task = asyncio.ensure_future(self._deliver(held))
        self.attempts[task] = held
        task.add_done_callback(lambda done: self._end_attempt(done, endpoint_id))

    async def _deliver(self, held: Held) -> None:
        self._settler.add(await self._attempt.make(held), held.lease_end_ms)

    def _end_attempt(self, task: asyncio.Task[None], endpoint_id: str) -> None:
        del self.attempts[task]
        self._in_flight[endpoint_id] -= 1
        if not self._in_flight[endpoint_id]:
            del self._in_flight[endpoint_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            # A fault of ours: the lease ends by itself and the delivery is tried again.
            _log.error("attempt broke off", exc_info=error)
        self._start_waiting()
        if not self.attempts:
            self._settler.expect(more=False)
        self._note_progress()
