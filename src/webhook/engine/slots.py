"""The slots of one claimer: attempts under way, and what waits for a slot or for its start."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable

from webhook.domain.config import WebhookConfig
from webhook.domain.lifecycle import interrupt, release
from webhook.engine.attempt import Attempt, start_by_ms
from webhook.engine.held import Held, StartTimer
from webhook.engine.limits import Limits
from webhook.engine.settle import Settler
from webhook.ports import Clock

_log = logging.getLogger("webhook.delivery")


class Slots:
    """Starts what it is given as soon as there is a slot, and hands each outcome to the settler.

    One endpoint has at most ``per_endpoint`` slots. What waits for its start holds none.
    ``note_progress`` is called at each end of an attempt. ``reserved`` more are about to come.
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
        self._waiting_max = limits.waiting
        # From when on something of what waits may be too late for its lease.
        self._too_late_ms = math.inf
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
        return self._slots - len(self.attempts)

    @property
    def room(self) -> int:
        """How many deliveries more may be held.

        As many as there are free slots, though others wait for endpoints that have their share; and
        as many as may wait for a slot.
        """
        free, waiting = self.free - self.reserved, len(self.waiting)
        blocked_max = max(self._slots, self._waiting_max)
        return max(min(free, blocked_max + free - waiting), free + self._waiting_max - waiting)

    @property
    def room_for_first(self) -> int:
        """As ``room``, for what nobody chose by whose turn it is.

        None while as many as may wait do so, since they may wait for endpoints with their share.
        """
        return min(self.room, max(self._slots, self._waiting_max) - len(self.waiting))

    @property
    def room_is_worth_a_claim(self) -> bool:
        """Whether a quarter of the slots is free, or half of what may wait has gone.

        Claiming a few at a time would cost a round trip for each; but attempts that hang must not
        hold up what the other slots could send.
        """
        return not self.attempts or self.room >= max(self._slots // 4, self._waiting_max // 2)

    @property
    def held_count(self) -> int:
        """How many are under way or wait."""
        return len(self.attempts) + len(self.waiting)

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
        for one in held:
            self.waiting.append(one)
            self._too_late_ms = min(self._too_late_ms, self._start_by_ms(one))
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
        passed: list[Held] = []
        starts: list[float] = []
        now_ms = self._clock.monotonic_ms()
        look_at_all = now_ms > self._too_late_ms
        while self.waiting and (look_at_all or self.free > 0):
            held = self.waiting.popleft()
            if held.start_ms > now_ms:
                starts.append(held.start_ms)
                passed.append(held)
            elif now_ms > self._start_by_ms(held):
                self._release(held)
            elif (
                self.free > 0
                and self._in_flight[held.claimed.delivery.endpoint_id] < self.per_endpoint
            ):
                self._start_attempt(held)
            else:
                passed.append(held)
        self.waiting.extendleft(reversed(passed))
        if look_at_all:
            self._too_late_ms = min(map(self._start_by_ms, self.waiting), default=math.inf)
        # While there is no free slot, the end of an attempt is what is waited for.
        self._starts.set(min(starts, default=None) if self.free > 0 else None)

    def _start_by_ms(self, held: Held) -> float:
        """Until when what is left of the lease covers the deadline and the settle."""
        endpoint = held.claimed.endpoint
        timeout_ms = (endpoint and endpoint.timeout_ms) or self._config.timeout_ms
        return start_by_ms(timeout_ms, held.lease_end_ms)

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
