"""The one loop: claim, send, settle, wake. Server, Worker and ``flush`` all run it.

A ``Deliverer`` holds the attempts under way of one claimer. In a server there is one for the life
of the process; in a Worker one per invocation, since nothing may be shared between requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator

from webhook.domain.config import TIMEOUT_MS_MAX, WebhookConfig
from webhook.domain.errors import StoreUnavailable
from webhook.domain.lifecycle import interrupt, release
from webhook.engine.attempt import Attempt, has_time
from webhook.engine.limits import Limits
from webhook.engine.settle import STORE_PAUSE_MS, Settler
from webhook.engine.walk import walk
from webhook.ports import (
    Chance,
    Claim,
    Claimed,
    ClaimRequest,
    Clock,
    FirstAttempts,
    Sender,
    WaitEvent,
    WakeQueue,
    WebhookPersistence,
)

_log = logging.getLogger("webhook.delivery")
_IDLE_MS_MIN = 20
_SMALL_CLAIM_EVERY_MS = 100
_CLAIM_REPEATS_MAX = 2
_EMPTY_CLAIMS_MAX = 100


class Deliverer:
    """Sends what it is given and what it claims, and settles it; see the module."""

    def __init__(
        self,
        limits: Limits,
        *,
        persistence: WebhookPersistence,
        sender: Sender,
        wake_queue: WakeQueue,
        clock: Clock,
        chance: Chance,
        config: WebhookConfig,
    ) -> None:
        self._store = persistence.delivery_store
        self._wake_queue = wake_queue
        self._clock = clock
        self._chance = chance
        self._config = config
        self._limits = limits
        self._per_endpoint = limits.per_endpoint or max(1, limits.slots // 4)
        self.taken = 0
        self._reserved = 0
        self._in_flight: Counter[str] = Counter()
        self._waiting: deque[tuple[Claimed, float]] = deque()
        self._attempts: dict[asyncio.Task[None], Claimed] = {}
        self._attempt = Attempt(
            endpoint_store=persistence.endpoint_store,
            sender=sender,
            clock=clock,
            chance=chance,
            config=config,
            timeout_ms_max=limits.timeout_ms_max,
        )
        self._settler = Settler(
            store=persistence.delivery_store,
            endpoints_apart=None if persistence.joint else persistence.endpoint_store,
            wake_queue=wake_queue,
            clock=clock,
            linger_ms=limits.linger_ms,
            note_progress=self._note_progress,
        )
        self._claiming = self.more = False
        self._claims_ended = 0
        self._claimed_at_ms = 0.0
        self._had_no_room = False
        self._abandoned = False
        # Set at each end of a claim, an attempt or a settle; and what the loop waits for.
        self._progress = asyncio.Event()
        self._wake = asyncio.Event()
        self._start = ""

    # --- first attempts ---------------------------------------------------------------------------

    def reserve(self, *, shared: bool) -> FirstAttempts:
        """Set free slots aside for the first attempts of an accept; ``begin`` returns them.

        ``shared`` leaves some to accepts that run at the same time, and a quarter of all slots to
        the loop, which would starve else while one accept follows another. Not while as many as
        there are slots wait for endpoints that have their share.
        """
        free = self._free()
        if shared:
            free = (free - max(1, self._limits.slots // 4) + 1) // 2
        free = max(0, min(free, self._limits.slots - len(self._waiting)))
        self._reserved += free
        return FirstAttempts(
            limit=free,
            lease_ms=self._config.lease_ms,
            timeout_ms_max=self._limits.timeout_ms_max or TIMEOUT_MS_MAX,
            timeout_ms_default=self._config.timeout_ms,
        )

    def begin(self, first: FirstAttempts, claimed: Iterable[Claimed], asked_ms: float) -> None:
        """Give the reserved slots back and start what was leased; see ``_lease_ends``."""
        self._reserved -= first.limit
        if not self._abandoned:
            self._waiting.extend(_lease_ends(claimed, asked_ms))
            self._start_waiting()
        self._progress.set()
        if self._had_no_room:
            self._wake.set()

    # --- the loop ---------------------------------------------------------------------------------

    async def run(self, wake: asyncio.Event, stop: WaitEvent) -> None:
        """Deliver until ``stop`` is set; whoever sets it sets ``wake`` too."""
        self._wake = wake
        while not stop.is_set():
            wake.clear()
            try:
                took = await self._claim_into_slots()
            except StoreUnavailable as error:
                _log.warning("claim failed, trying again: %s", error)
                await self._clock.wait(stop, STORE_PAUSE_MS)
            except Exception:  # noqa: BLE001 - a loop that ends would leave accepted events lying
                _log.exception("claim failed, trying again")
                await self._clock.wait(stop, STORE_PAUSE_MS)
            else:
                if not took:
                    await self._clock.wait(wake, self._idle_ms())

    async def drain(self, *, until_ms: float | None = None) -> bool:
        """Deliver until nothing is due, or as much as may be taken has been, or time is up.

        Time is up when the monotonic clock passes ``until_ms``. Return whether due work may be left
        of which nobody has been told. Raises ``StoreUnavailable`` when three claims in a row fail;
        what is under way is finished before.
        """
        empty = 0
        while until_ms is None or self._clock.monotonic_ms() < until_ms:
            took = await self._claim_patiently()
            if took:
                empty = 0
            elif self.busy and (took is None or self.more):
                await self._wait_for_change()
            else:
                await self.finish()
                # What was given back is due again, and a walk past many paused lanes goes on.
                due_at = self._settler.next_due_at
                due = self.more or (due_at is not None and due_at <= self._clock.now_ms())
                empty += 1
                if took is None or not due or empty > _EMPTY_CLAIMS_MAX:
                    return due and took is not None
        self._release_waiting()
        await self.finish()
        return True

    async def deliver_some(self) -> bool:
        """Claim once and deliver that; return whether there was anything."""
        took = await self._claim_patiently()
        await self.finish()
        return bool(took)

    async def _claim_patiently(self) -> int | None:
        for _ in range(_CLAIM_REPEATS_MAX):
            try:
                return await self._claim_into_slots()
            except StoreUnavailable as error:
                _log.warning("claim failed, trying again: %s", error)
                await self._clock.wait(asyncio.Event(), STORE_PAUSE_MS)
        try:
            return await self._claim_into_slots()
        except StoreUnavailable:
            self._release_waiting()
            await self.finish()
            raise

    async def finish(self) -> None:
        """Wait until nothing is under way or to be settled, and no accept will begin more."""
        await self._until(lambda: not (self.busy or self._reserved))

    async def finish_present(self) -> bool:
        """Wait for what is under way and its settle, not for what comes meanwhile.

        Return whether some of it may have been given back and be due again.
        """
        given_back = self._settler.given_back
        claims = self._claims_ended + self._claiming
        await self._until(lambda: self._claims_ended >= claims)
        held = [*self._attempts.values(), *(claimed for claimed, _ in self._waiting)]
        present = {claimed.delivery.ref for claimed in held}
        await self._until(
            lambda: (
                present.isdisjoint(c.delivery.ref for c in self._attempts.values())
                and present.isdisjoint(c.delivery.ref for c, _ in self._waiting)
            )
        )
        added = self._settler.added
        await self._until(lambda: self._settler.ended >= added)
        return self._settler.given_back > given_back

    async def abandon(self) -> int:
        """Stop every attempt under way and end its lease; return how many there were.

        If that cannot be written, the leases end by themselves.
        """
        self._abandoned = True
        self._settler.hurry()
        self._release_waiting()
        attempts = dict(self._attempts)
        for task in attempts:
            task.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
        now, lease_end_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        broken_off = [claimed for task, claimed in attempts.items() if task.cancelled()]
        for claimed in broken_off:
            self._settler.add(interrupt(claimed.delivery, now), lease_end_ms)
        await self._until(lambda: not self.busy)
        return len(broken_off)

    def _release_waiting(self) -> None:
        while self._waiting:
            claimed, lease_end_ms = self._waiting.popleft()
            self._settler.add(release(claimed.delivery, self._clock.now_ms()), lease_end_ms)

    @property
    def under_way(self) -> int:
        """How many attempts are under way."""
        return len(self._attempts)

    @property
    def busy(self) -> bool:
        """Whether anything is claimed, waits, is under way or is to be settled."""
        return bool(self._claiming or self._waiting or self._attempts or self._settler.busy)

    def _note_progress(self) -> None:
        self._progress.set()
        self._wake.set()

    def _free(self) -> int:
        return self._limits.slots - len(self._attempts) - self._reserved

    def _room(self) -> int:
        """How many deliveries a claim may take now."""
        free = self._free()
        self._had_no_room = free <= 0 or self._small_claim_wait_ms() > 0
        if self._had_no_room:
            return 0
        ahead = self._limits.ahead - len(self._waiting) - len(self._attempts)
        room = min(max(free, ahead), self._config.batch_size)
        take_max = self._limits.take_max
        return room if take_max is None else min(room, take_max - self.taken)

    def _small_claim_wait_ms(self) -> float:
        """How long to wait for a quarter of the slots to be free.

        Claiming a few at a time would cost a round trip for each; but attempts that hang must not
        hold up what the other slots could send.
        """
        if not self._attempts or self._free() >= self._limits.slots // 4:
            return 0
        return self._claimed_at_ms + _SMALL_CLAIM_EVERY_MS - self._clock.monotonic_ms()

    async def _claim_into_slots(self) -> int | None:
        """Claim as much as there is room for and start it; return how much, None without room."""
        room = self._room()
        if room <= 0:
            return None
        asked_ms = self._clock.monotonic_ms()
        request = ClaimRequest(
            now=self._clock.now_ms(),
            lease_ms=self._config.lease_ms,
            limit=room,
            per_endpoint=max(self._per_endpoint, self._limits.ahead // 4),
            in_flight=self._in_flight + self._held,
            start=self._start,
        )
        self._claiming = True
        try:
            return await self._take(await walk(self._store, request), asked_ms)
        finally:
            self._claiming = False
            self._claims_ended += 1
            self._progress.set()

    async def _take(self, claim: Claim, asked_ms: float) -> int:
        """Start what was claimed, or let it wait for a slot; return how much it was."""
        self._settler.next_due_at = claim.next_due_at
        self.more = claim.more
        self._claimed_at_ms = self._clock.monotonic_ms()
        # After an empty walk the next one begins elsewhere, so that paused lanes hide nobody.
        self._start = claim.next_start if claim.claimed else self._chance.random_bytes(8).hex()
        if claim.claimed and claim.more:
            # Before sending, so that other claimers share the work.
            await self._wake_queue.wake(0)
        self.taken += len(claim.claimed)
        self._waiting.extend(_lease_ends(claim.claimed, asked_ms))
        self._start_waiting()
        return len(claim.claimed)

    def _idle_ms(self) -> float:
        """How long to wait for a wake-up or a change: until work falls due, or a look is due."""
        idle_ms = float(self._config.batch_timeout_ms)
        if self._free() > 0 and (small_ms := self._small_claim_wait_ms()) > 0:
            return min(idle_ms, small_ms)
        due_at = self._settler.next_due_at
        if due_at is None or self._free() <= 0:
            return idle_ms
        return min(idle_ms, max(_IDLE_MS_MIN, due_at - self._clock.now_ms()))

    async def _wait_for_change(self) -> None:
        """Wait for the next end of a claim, an attempt or a settle, or for a small claim's time."""
        self._progress.clear()
        small_ms = self._small_claim_wait_ms() if self._free() > 0 else 0
        await self._clock.wait(self._progress, small_ms if small_ms > 0 else None)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._progress.clear()
            await self._clock.wait(self._progress, None)

    # --- one attempt ------------------------------------------------------------------------------

    def _start_waiting(self) -> None:
        """Start what waits while there are slots, passing over endpoints that have their share.

        What waited too long for its lease is given back.
        """
        kept: list[tuple[Claimed, float]] = []
        while self._waiting:
            claimed, lease_end_ms = self._waiting.popleft()
            if not self._has_time(claimed, lease_end_ms):
                self._settler.add(release(claimed.delivery, self._clock.now_ms()), lease_end_ms)
            elif (
                self._free() > 0
                and self._in_flight[claimed.delivery.endpoint_id] < self._per_endpoint
            ):
                self._start_attempt(claimed, lease_end_ms)
            else:
                kept.append((claimed, lease_end_ms))
        self._waiting.extend(kept)

    @property
    def _held(self) -> Counter[str]:
        return Counter(claimed.delivery.endpoint_id for claimed, _ in self._waiting)

    def _has_time(self, claimed: Claimed, lease_end_ms: float) -> bool:
        """Whether what is left of the lease covers the deadline and the settle."""
        timeout_ms = (claimed.endpoint and claimed.endpoint.timeout_ms) or self._config.timeout_ms
        return has_time(self._clock, timeout_ms, lease_end_ms)

    def _start_attempt(self, claimed: Claimed, lease_end_ms: float) -> None:
        endpoint_id = claimed.delivery.endpoint_id
        self._in_flight[endpoint_id] += 1
        self._settler.expect(more=True)
        task = asyncio.ensure_future(self._deliver(claimed, lease_end_ms))
        self._attempts[task] = claimed
        task.add_done_callback(lambda done: self._end_attempt(done, endpoint_id))

    def _end_attempt(self, task: asyncio.Task[None], endpoint_id: str) -> None:
        del self._attempts[task]
        self._in_flight[endpoint_id] -= 1
        if not self._in_flight[endpoint_id]:
            del self._in_flight[endpoint_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            # A fault of ours: the lease ends by itself and the delivery is tried again.
            _log.error("attempt broke off", exc_info=error)
        self._start_waiting()
        if not self._attempts:
            self._settler.expect(more=False)
        self._note_progress()

    async def _deliver(self, claimed: Claimed, lease_end_ms: float) -> None:
        self._settler.add(await self._attempt.make(claimed, lease_end_ms), lease_end_ms)


def _lease_ends(claimed: Iterable[Claimed], asked_ms: float) -> Iterator[tuple[Claimed, float]]:
    """Say when each lease ends at the earliest: counted from when it was asked for.

    Where the claimer's clock counts, that is when it began, however long the store took.
    """
    return ((one, asked_ms + one.lease_left_ms) for one in claimed)
