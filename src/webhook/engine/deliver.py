"""The one loop: claim, send, settle, wake. Server, Worker and ``flush`` all run it.

A ``Deliverer`` holds the attempts under way of one claimer. In a server there is one for the life
of the process; in a Worker one per invocation, since nothing may be shared between requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterable

import msgspec

from webhook.domain.config import SETTLE_MARGIN_MS, TIMEOUT_MS_MAX, WebhookConfig
from webhook.domain.errors import StoreUnavailable
from webhook.domain.lifecycle import (
    Settlement,
    cancel,
    decide,
    give_up,
    interrupt,
    postpone,
    release,
)
from webhook.domain.model import Delivery, Endpoint, Outcome
from webhook.domain.url_rules import url_host
from webhook.engine.request import build_headers
from webhook.engine.settle import STORE_PAUSE_MS, Settler
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
_PAUSED_WAIT_MS = 60_000
_IDLE_MS_MIN = 20


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one claimer may hold.

    ``slots`` attempts at once, ``per_endpoint`` of them to one endpoint (a quarter unless given).
    ``ahead`` deliveries may be claimed at once to wait for a slot, which saves round trips where
    each is dear; ``take_max`` bounds what it claims in all. ``linger_ms`` is how long an outcome
    waits for others to be settled together with. ``timeout_ms_max`` bounds the endpoints that it
    sends to: those that need more are given back.
    """

    slots: int
    per_endpoint: int | None = None
    ahead: int = 0
    take_max: int | None = None
    linger_ms: float = 0
    timeout_ms_max: int | None = None


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
        self._endpoints = persistence.endpoint_store
        self._store = persistence.delivery_store
        self._sender = sender
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
        self._settler = Settler(
            store=persistence.delivery_store,
            wake_queue=wake_queue,
            clock=clock,
            linger_ms=limits.linger_ms,
            note_progress=self._note_progress,
        )
        self._claiming = self._more = False
        # Set at each end of a claim, an attempt or a settle; and what the loop waits for.
        self._progress = asyncio.Event()
        self._wake = asyncio.Event()
        self._start = ""

    # --- first attempts ---------------------------------------------------------------------------

    def reserve(self) -> FirstAttempts:
        """Set the free slots aside for the first attempts of an accept; ``begin`` returns them.

        Not while as many as there are slots wait for endpoints that have their share.
        """
        free = max(0, min(self._free(), self._limits.slots - len(self._waiting)))
        self._reserved += free
        return FirstAttempts(
            limit=free,
            lease_ms=self._config.lease_ms,
            timeout_ms_max=self._limits.timeout_ms_max or TIMEOUT_MS_MAX,
            timeout_ms_default=self._config.timeout_ms,
        )

    def begin(self, first: FirstAttempts, claimed: Iterable[Claimed]) -> None:
        """Give the reserved slots back and start what was leased."""
        self._reserved -= first.limit
        self._waiting.extend((one, self._lease_end_ms(one)) for one in claimed)
        self._start_waiting()

    # --- the loop ---------------------------------------------------------------------------------

    async def run(self, wake: asyncio.Event, stop: WaitEvent) -> None:
        """Deliver until ``stop`` is set; whoever sets it sets ``wake`` too."""
        self._wake = wake
        while not stop.is_set():
            wake.clear()
            try:
                took = await self._claim_into_slots()
            except Exception:  # noqa: BLE001 - a loop that ends would leave accepted events lying
                _log.exception("claim failed, trying again")
                await self._clock.wait(asyncio.Event(), STORE_PAUSE_MS)
                continue
            if not took:
                await self._clock.wait(wake, self._idle_ms())

    async def drain(self, *, until_ms: float | None = None) -> bool:
        """Deliver until nothing is due, or as much as may be taken has been, or time is up.

        Time is up when the monotonic clock passes ``until_ms``. Return whether due work may be left
        of which nobody has been told.
        """
        while until_ms is None or self._clock.monotonic_ms() < until_ms:
            self._more = False
            took = await self._claim_into_slots()
            if not took and not self.busy and not self._more:
                return False
            if not took:
                await self._wait_for_change()
        self._release_waiting()
        await self.finish()
        return True

    async def finish(self) -> None:
        """Wait for every attempt under way and its settle."""
        while self.busy:
            await self._wait_for_change()

    async def abandon(self) -> int:
        """Stop every attempt under way and end its lease; return how many there were.

        If that cannot be written, the leases end by themselves.
        """
        self._release_waiting()
        attempts = dict(self._attempts)
        for task in attempts:
            task.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
        now, lease_end_ms = self._clock.now_ms(), self._clock.monotonic_ms()
        broken_off = [claimed for task, claimed in attempts.items() if task.cancelled()]
        for claimed in broken_off:
            self._settler.add(interrupt(claimed.delivery, now), lease_end_ms)
        await self.finish()
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
        # Claiming a few at a time would cost a round trip for each; wait for a quarter to be free.
        if free <= 0 or (self._attempts and free < self._limits.slots // 4):
            return 0
        ahead = self._limits.ahead - len(self._waiting) - len(self._attempts)
        room = min(max(free, ahead), self._config.batch_size)
        take_max = self._limits.take_max
        return room if take_max is None else min(room, take_max - self.taken)

    async def _claim_into_slots(self) -> int:
        """Claim as much as there is room for and start it; return how much it was."""
        room = self._room()
        if room <= 0:
            return 0
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
            return await self._take(await self._store.claim(request))
        except StoreUnavailable as error:
            _log.warning("claim failed, trying again: %s", error)
            await self._clock.wait(asyncio.Event(), STORE_PAUSE_MS)
            return 0
        finally:
            self._claiming = False
            self._progress.set()

    async def _take(self, claim: Claim) -> int:
        """Start what was claimed, or let it wait for a slot; return how much it was."""
        self._settler.next_due_at = claim.next_due_at
        # After an empty walk the next one begins elsewhere, so that paused lanes hide nobody.
        self._start = claim.next_start if claim.claimed else self._chance.random_bytes(8).hex()
        if claim.claimed and claim.more:
            # Before sending, so that other claimers share the work.
            await self._wake_queue.wake(0)
        self.taken += len(claim.claimed)
        self._more = claim.more
        self._waiting.extend((one, self._lease_end_ms(one)) for one in claim.claimed)
        self._start_waiting()
        return len(claim.claimed)

    def _idle_ms(self) -> float:
        """How long to wait for a wake-up or a change: until work falls due, or a look is due."""
        idle_ms = float(self._config.batch_timeout_ms)
        due_at = self._settler.next_due_at
        if due_at is None or self._free() <= 0:
            return idle_ms
        return min(idle_ms, max(_IDLE_MS_MIN, due_at - self._clock.now_ms()))

    async def _wait_for_change(self) -> None:
        self._progress.clear()
        if self.busy:
            await self._clock.wait(self._progress, None)

    # --- one attempt ------------------------------------------------------------------------------

    def _lease_end_ms(self, claimed: Claimed) -> float:
        return self._clock.monotonic_ms() + claimed.lease_left_ms

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
        return self._clock.monotonic_ms() + timeout_ms + SETTLE_MARGIN_MS <= lease_end_ms

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
        self._settler.add(await self._attempt(claimed, lease_end_ms), lease_end_ms)

    async def _attempt(self, claimed: Claimed, lease_end_ms: float) -> Settlement:
        """Take one claimed delivery from its lease to what becomes of it."""
        delivery = claimed.delivery
        endpoint = claimed.endpoint or await self._look_up(delivery.endpoint_id)
        now = self._clock.now_ms()
        if endpoint is None:
            return cancel(delivery, now, "the endpoint was removed")
        if not endpoint.active:
            return postpone(delivery, now, now + _PAUSED_WAIT_MS)
        if (gone := give_up(delivery, now)) is not None:
            return gone
        timeout_ms = endpoint.timeout_ms or self._config.timeout_ms
        if timeout_ms > (self._limits.timeout_ms_max or timeout_ms):
            return release(delivery, now)
        if self._clock.monotonic_ms() + timeout_ms + SETTLE_MARGIN_MS > lease_end_ms:
            return release(delivery, now)
        body = claimed.payload.encode()
        headers = build_headers(endpoint, delivery, body, self._config, now)
        outcome = await self._sender.send(endpoint.url, headers, body, timeout_ms)
        policy = endpoint.retry or self._config.retry_policy
        now = self._clock.now_ms()
        settlement = decide(delivery, outcome, policy, now, self._chance.uniform())
        if _log.isEnabledFor(logging.INFO):
            _log.info("%s", _line(delivery, endpoint, outcome, settlement, now))
        return settlement

    async def _look_up(self, endpoint_id: str) -> Endpoint | None:
        return next(iter(await self._endpoints.get_many([endpoint_id])), None)


def _line(
    delivery: Delivery, endpoint: Endpoint, outcome: Outcome, settlement: Settlement, now: int
) -> str:
    """Return an attempt's line in the log; of the URL it shows the host alone."""
    number = delivery.attempts_made + 1
    came_to = outcome.status_code or outcome.error_kind or ""
    if settlement.due_at is not None:
        then = f"retry in {(settlement.due_at - now) / 1000:.3g} s"
    else:
        then = settlement.state.value
    return (
        f"[{came_to}] {delivery.event_type} to {url_host(endpoint.url)} "
        f"in {outcome.latency_ms} ms, attempt {number}, {then} ({delivery.id})"
    )
