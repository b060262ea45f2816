"""The one loop: claim, send, settle, wake. Server, Worker and ``flush`` all run it.

A ``Deliverer`` holds the attempts under way of one claimer. In a server there is one for the life
of the process; in a Worker one per invocation, since nothing may be shared between requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from webhook.domain.config import TIMEOUT_MS_MAX, WebhookConfig
from webhook.domain.errors import StoreUnavailable
from webhook.domain.ids import KeyMaker
from webhook.engine.announce import Announcer
from webhook.engine.attempt import Attempt
from webhook.engine.held import Held, held_since
from webhook.engine.last_claim import LastClaim
from webhook.engine.limits import Limits
from webhook.engine.settle import STORE_PAUSE_MS, WAKE_DELAY_MS_MAX, Settler
from webhook.engine.slots import Slots
from webhook.engine.walk import walk
from webhook.ports import (
    Chance,
    Claim,
    Claimed,
    ClaimRequest,
    Clock,
    Crypto,
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
# Most events go to a few endpoints; what more there are are claimed.
_FIRST_PER_EVENT = 4


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
        crypto: Crypto,
        config: WebhookConfig,
    ) -> None:
        self._store = persistence.delivery_store
        self._wake_queue = wake_queue
        self._clock = clock
        self._chance = chance
        self._config = config
        self._limits = limits
        self.taken = 0
        attempt = Attempt(
            delivery_store=persistence.delivery_store,
            endpoint_store=persistence.endpoint_store,
            sender=sender,
            clock=clock,
            chance=chance,
            crypto=crypto,
            config=config,
            timeout_ms_max=limits.timeout_ms_max,
        )
        self._settler = Settler(
            store=persistence.delivery_store,
            endpoints_apart=None if persistence.joint else persistence.endpoint_store,
            announcer=Announcer(
                persistence,
                wake_queue=wake_queue,
                clock=clock,
                keys=KeyMaker(chance.random_bytes),
            ),
            wake_queue=wake_queue,
            clock=clock,
            linger_ms=limits.linger_ms,
            note_progress=self._note_progress,
        )
        self._slots = Slots(
            limits,
            attempt=attempt,
            settler=self._settler,
            clock=clock,
            config=config,
            note_progress=self._note_progress,
        )
        self._claiming = self.more = False
        # What the last claim said of gates, whether any claim took something behind one or with an
        # ordering key, and how many outcomes were settled when the last one began.
        self._held_back = self._took_gated = self._took_ordered = False
        self._next_gate_at: int | None = None
        self._ended_before = self._released_before = 0
        self._claims_ended = 0
        self._claimed_at_ms = 0.0
        self._last_claim = LastClaim(lambda: self._slots.per_endpoint_held)
        self._had_no_room = False
        self._abandoned = False
        # Set at each end of a claim, an attempt or a settle; and what the loop waits for.
        self._progress = asyncio.Event()
        self._wake = asyncio.Event()
        self._start = ""

    # --- first attempts ---------------------------------------------------------------------------

    def reserve(self, events: int, *, shared: bool) -> FirstAttempts:
        """Set room aside for the first attempts of an accept; ``begin`` returns it.

        ``shared`` leaves some to accepts that run at the same time, and a quarter of all slots to
        the loop, which would starve else while one accept follows another.
        """
        room = self._slots.room_for_first
        if shared:
            room = (room - max(1, self._limits.slots // 4) + 1) // 2
            room = min(room, events * _FIRST_PER_EVENT)
        room = max(0, room)
        self._slots.reserved += room
        return FirstAttempts(
            limit=room,
            lease_ms=self._config.lease_ms,
            timeout_ms_max=self._limits.timeout_ms_max or TIMEOUT_MS_MAX,
            timeout_ms_default=self._config.timeout_ms,
        )

    def begin(self, first: FirstAttempts, claimed: Iterable[Claimed], asked_ms: float) -> None:
        """Give the reserved room back and start what was leased; see ``held_since``."""
        self._slots.reserved -= first.limit
        self._hold(held_since(claimed, asked_ms))
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
        of which nobody has been told; for what a gate holds back see ``gate_wait_ms``. Raises
        ``StoreUnavailable`` when three claims in a row fail; what is under way is finished before.
        """
        empty = gate_waits = 0
        while until_ms is None or self._clock.monotonic_ms() < until_ms:
            took = await self._claim_patiently()
            if took:
                empty = 0
            elif self.busy and (took is None or self.more):
                await self._wait_for_change()
            elif self.busy and self._at_a_gate and gate_waits != self._limits.gate_waits:
                gate_waits += 1
                await self._wait_for_a_gate()
            else:
                await self.finish()
                if self._made_room and (took is None or gate_waits == self._limits.gate_waits):
                    return self._next_gate_at is None or self.released
                # What was given back is due again, and a walk past many paused lanes goes on.
                due_at = self._settler.next_due_at
                due = self.more or (due_at is not None and due_at <= self._clock.now_ms())
                empty += 1
                if took is None or not (due or self._made_room) or empty > _EMPTY_CLAIMS_MAX:
                    return due and took is not None
        self._slots.release_waiting()
        await self.finish()
        return True

    @property
    def _at_a_gate(self) -> bool:
        """Whether more may become due as what this claimer took is settled."""
        return (self._held_back and self._took_gated) or self._took_ordered

    @property
    def _made_room(self) -> bool:
        """Whether something was settled since the last claim that may have let more become due."""
        ended = self._settler.ended > self._ended_before
        return (self._held_back and self._took_gated and ended) or self.released

    @property
    def released(self) -> bool:
        """Whether the next of an ordering key may have become due since the last claim."""
        return self._settler.released > self._released_before

    @property
    def gate_wait_ms(self) -> int | None:
        """After how long to wake somebody for a gate that the last claim found shut.

        None if there is none, or none soon, or if this claimer took nothing behind any: who took
        the last of it wakes the next one, so that hints never grow in number.
        """
        if self._next_gate_at is None or not self._took_gated:
            return None
        wait_ms = max(0, self._next_gate_at - self._clock.now_ms())
        return wait_ms if wait_ms <= WAKE_DELAY_MS_MAX else None

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
            self._slots.release_waiting()
            await self.finish()
            raise

    async def finish(self) -> None:
        """Wait until nothing is under way or to be settled, and no accept will begin more."""
        await self._until(lambda: not (self.busy or self._slots.reserved))

    async def finish_present(self) -> bool:
        """Wait for what is under way and its settle, not for what comes meanwhile.

        Return whether some of it may have been given back and be due again.
        """
        given_back = self._settler.given_back
        claims = self._claims_ended + self._claiming
        await self._until(lambda: self._claims_ended >= claims)
        present = {held.claimed.delivery.ref for held in self._slots.held}
        await self._until(
            lambda: present.isdisjoint(held.claimed.delivery.ref for held in self._slots.held)
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
        broken_off = await self._slots.break_off()
        await self._until(lambda: not self.busy)
        return broken_off

    @property
    def under_way(self) -> int:
        """How many attempts are under way."""
        return len(self._slots.attempts)

    @property
    def busy(self) -> bool:
        """Whether anything is claimed, waits, is under way or is to be settled."""
        return bool(self._claiming or self._slots.held_count or self._settler.busy)

    def _note_progress(self) -> None:
        self._progress.set()
        due_at = self._settler.next_due_at
        if self._made_room or self._had_no_room or self._last_claim.may_find_more(due_at):
            self._wake.set()

    def _room(self) -> int:
        """How many deliveries a claim may take now."""
        room = self._slots.room
        self._had_no_room = room <= 0 or self._small_claim_wait_ms() > 0
        if self._had_no_room:
            return 0
        ahead = self._limits.ahead - self._slots.held_count
        room = min(max(room, ahead), self._config.batch_size)
        take_max = self._limits.take_max
        return room if take_max is None else min(room, take_max - self.taken)

    def _small_claim_wait_ms(self) -> float:
        """How long to wait for more room, so as not to claim a few at a time."""
        if self._slots.room_is_worth_a_claim:
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
            per_endpoint=max(self._slots.per_endpoint, self._limits.ahead // 4),
            in_flight=self._slots.per_endpoint_held,
            start=self._start,
        )
        self._claiming = True
        self._last_claim.begin()
        self._ended_before, self._released_before = self._settler.ended, self._settler.released
        try:
            return await self._take(await walk(self._store, request), request, asked_ms)
        finally:
            self._claiming = False
            self._claims_ended += 1
            self._progress.set()

    async def _take(self, claim: Claim, request: ClaimRequest, asked_ms: float) -> int:
        """Start what was claimed, or let it wait for a slot; return how much it was."""
        # The store's times by the clock here, and rather too late than too early.
        behind_ms = self._clock.now_ms() - claim.now
        self._settler.next_due_at = _later(claim.next_due_at, behind_ms)
        due_at = self._settler.next_due_at
        self._last_claim.end(claim, request.in_flight, request.per_endpoint, due_at)
        self._next_gate_at = _later(claim.next_gate_at, behind_ms)
        self._held_back = claim.held_back
        self.more = claim.more
        self._claimed_at_ms = self._clock.monotonic_ms()
        # After an empty walk the next one begins elsewhere, so that paused lanes hide nobody.
        self._start = claim.next_start if claim.claimed else self._chance.random_bytes(8).hex()
        if claim.claimed and claim.more:
            # Before sending, so that other claimers share the work.
            await self._wake_queue.wake(0)
        self.taken += len(claim.claimed)
        taken = list(held_since(claim.claimed, asked_ms))
        self._took_gated |= any(held.gated for held in taken)
        self._took_ordered |= any(held.ordered for held in taken)
        self._hold(taken)
        return len(taken)

    def _hold(self, held: Iterable[Held]) -> None:
        """Start what was leased, or let it wait; after ``abandon`` give it back."""
        if self._abandoned:
            self._slots.give_back(held)
        else:
            self._slots.add(held)

    def _idle_ms(self) -> float:
        """How long to wait for a wake-up or a change: until work falls due, or a look is due."""
        idle_ms = float(self._config.batch_timeout_ms)
        if self._slots.room > 0 and (small_ms := self._small_claim_wait_ms()) > 0:
            return min(idle_ms, small_ms)
        times = (self._settler.next_due_at, self._next_gate_at)
        due_at = min((at for at in times if at is not None), default=None)
        if due_at is None or self._slots.room <= 0:
            return idle_ms
        return min(idle_ms, max(_IDLE_MS_MIN, due_at - self._clock.now_ms()))

    async def _wait_for_change(self) -> None:
        """Wait for the next end of a claim, an attempt or a settle, or for a small claim's time."""
        self._progress.clear()
        small_ms = self._small_claim_wait_ms() if self._slots.room > 0 else 0
        await self._clock.wait(self._progress, small_ms if small_ms > 0 else None)

    async def _wait_for_a_gate(self) -> None:
        """Wait until an outcome is settled that may make room, or until a gate opens by time."""
        end_ms = None
        if self._next_gate_at is not None:
            end_ms = self._clock.monotonic_ms() + self._next_gate_at - self._clock.now_ms()
        while self.busy and not self._made_room:
            wait_ms = None if end_ms is None else end_ms - self._clock.monotonic_ms()
            if wait_ms is not None and wait_ms <= 0:
                return
            self._progress.clear()
            await self._clock.wait(self._progress, wait_ms)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._progress.clear()
            await self._clock.wait(self._progress, None)


def _later(at: int | None, ms: int) -> int | None:
    return None if at is None else at + ms
