"""``WebhookService``: the engine's face in Python. Every face outside calls these methods."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, Self

from webhook.domain.config import WebhookConfig
from webhook.domain.errors import Conflict, InvalidInput
from webhook.domain.event import WebhookEvent
from webhook.domain.model import Delivery, DeliveryState, NewEvent
from webhook.engine.accept import accept, accept_within, prepare_all
from webhook.engine.access import nobody_acting
from webhook.engine.deliver import Deliverer
from webhook.engine.encryption import EncryptionService
from webhook.engine.events import EventService
from webhook.engine.limits import Limits
from webhook.engine.pointers import of_the_only_one
from webhook.engine.recovery import RecoveryService
from webhook.engine.sweeping import ROWS_BESIDE, sweep_for_ever
from webhook.engine.switch import SwitchService
from webhook.ports import (
    NO_FIRST_ATTEMPTS,
    AcceptedEvent,
    AcceptResult,
    Chance,
    Claimed,
    Clock,
    Crypto,
    DeliveryQuery,
    Overdue,
    Page,
    Sender,
    SweepReport,
    WakeQueue,
    WebhookPersistence,
)

_log = logging.getLogger("webhook.service")
_DAY_MS = 86_400_000
_PAGE = 250
_LOOK_AGAIN_MS = 50
_FLUSH_ROUNDS_MAX = 100
SWEEP_ROWS = 500
SWEEP_PIECES = 20
# In a Worker: of 6 connections one stays free, and waitUntil ends 30 s after the response.
FIRST_ATTEMPTS = Limits(slots=5, per_endpoint=5, linger_ms=200, timeout_ms_max=20_000)
WaitUntil = Callable[[Coroutine[Any, Any, None]], object]


class Stopped(NamedTuple):
    """What a stop did with the attempts that were under way."""

    finished: int
    given_back: int


class WebhookService(EncryptionService, EventService, SwitchService, RecoveryService):
    """Endpoints, events, deliveries. Nothing is opened, drawn or timed before the first call.

    ``wakes_somebody`` False says that ``wake_queue`` leads nowhere unless ``start`` is called.
    """

    def __init__(
        self,
        config: WebhookConfig,
        *,
        persistence: WebhookPersistence,
        sender: Sender,
        wake_queue: WakeQueue,
        clock: Clock,
        chance: Chance,
        crypto: Crypto,
        wakes_somebody: bool = True,
    ) -> None:
        super().__init__(
            config,
            persistence=persistence,
            sender=sender,
            wake_queue=wake_queue,
            clock=clock,
            chance=chance,
            crypto=crypto,
        )
        self._wakes_somebody = wakes_somebody
        self._warned = False
        self._background: Deliverer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Future[None]] = []
        self._wake: asyncio.Event | None = None
        self._stop: asyncio.Event | None = None

    async def __aenter__(self) -> Self:
        """Open the store."""
        await self.initialize()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Shut down."""
        await self.shutdown()

    async def shutdown(self) -> None:
        """Finish what is under way, then close the sender and the store."""
        await self.stop()
        await self._sender.close()
        if self._persistence.close is not None:
            await self._persistence.close()
        self._ready = False

    # --- events -----------------------------------------------------------------------------------

    async def emit(
        self, event: WebhookEvent, *, wait_until: WaitUntil | None = None, connection: object = None
    ) -> AcceptedEvent:
        """Accept one event and return; see ``emit_many``."""
        try:
            [accepted] = await self.emit_many([event], wait_until=wait_until, connection=connection)
        except (InvalidInput, Conflict) as error:
            raise of_the_only_one(error) from None
        return accepted

    async def emit_many(
        self,
        events: Sequence[WebhookEvent],
        *,
        wait_until: WaitUntil | None = None,
        connection: object = None,
    ) -> list[AcceptedEvent]:
        """Accept a batch, all or nothing, and return once it is stored.

        First attempts are sent by the background loop where one runs, or by a task that is handed
        to ``wait_until`` (a Worker's ``ctx.waitUntil``); else whoever is woken sends them. Raises
        ``InvalidInput`` and ``Conflict``, whose pointers begin with the event's index.

        ``connection``, asyncpg's or sqlite3's, accepts in its transaction, see ``WebhookOutbox``:
        on PostgreSQL the commit wakes the loop, on SQLite it looks each ``batch_timeout_ms``.
        """
        prepared = prepare_all(events, self._keys, self._clock.now_ms(), self.config)
        if connection is None or self._ready:
            await self.initialize()
        if connection is not None:
            store, ready = self._persistence, self._ready
            self._warn_if_nobody_sends()
            return await accept_within(store, connection, prepared, self._clock, ready=ready)
        deliverer = self._background
        if deliverer is None and wait_until is not None:
            deliverer = self._new_deliverer(FIRST_ATTEMPTS)
        if deliverer is None:
            result = await accept(self._persistence, prepared, NO_FIRST_ATTEMPTS, self._clock)
            self._warn_if_nobody_sends()
        else:
            result = await self._accept_and_begin(deliverer, prepared)
            if wait_until is not None and deliverer is not self._background and result.claimed:
                wait_until(deliverer.finish())
        if result.waiting:
            await self._wake_queue.wake(0)
        return result.events

    async def emit_sync(self, event: WebhookEvent) -> list[Delivery]:
        """Accept an event, make the first attempt of each delivery, and return the deliveries."""
        try:
            prepared = prepare_all([event], self._keys, self._clock.now_ms(), self.config)
        except InvalidInput as error:
            raise of_the_only_one(error) from None
        await self.initialize()
        slots = self.config.concurrency
        deliverer = self._new_deliverer(Limits(slots=slots, per_endpoint=slots))
        try:
            result = await self._accept_and_begin(deliverer, prepared)
        except Conflict as error:
            raise of_the_only_one(error) from None
        await deliverer.finish()
        found = await self._first_attempts_made(deliverer, event.tenant, result.events[0].key)
        if deliverer.released:
            await self._wake_queue.wake(0)
        return found

    async def _first_attempts_made(
        self, deliverer: Deliverer, tenant: str, key: str
    ) -> list[Delivery]:
        """Deliver until each delivery of an event has had its first attempt; return them.

        What somebody else has claimed is waited for, no longer than a lease.
        """
        end_ms = self._clock.monotonic_ms() + self.config.lease_ms
        nothing_due = False
        while True:
            found = await self._all_deliveries(tenant, key)
            untried = {delivery.state for delivery in found if delivery.untried}
            # What is ready and yet not due belongs to an endpoint that was paused meanwhile.
            stuck = nothing_due and untried == {DeliveryState.READY}
            if not untried or stuck or self._clock.monotonic_ms() >= end_ms:
                return found
            if await deliverer.deliver_some():
                end_ms = self._clock.monotonic_ms() + self.config.lease_ms
            else:
                nothing_due = not deliverer.more
                await self._clock.wait(asyncio.Event(), _LOOK_AGAIN_MS)

    async def _accept_and_begin(
        self, deliverer: Deliverer, prepared: list[NewEvent]
    ) -> AcceptResult:
        """Accept with as many first attempts as there are free slots, and start those."""
        first = deliverer.reserve(len(prepared), shared=deliverer is self._background)
        asked_ms = self._clock.monotonic_ms()
        claimed: list[Claimed] = []
        try:
            result = await accept(self._persistence, prepared, first, self._clock)
            claimed = result.claimed
        finally:
            deliverer.begin(first, claimed, asked_ms)
        return result

    async def _all_deliveries(self, tenant: str, key: str) -> list[Delivery]:
        found: list[Delivery] = []
        after: str | None = None
        while True:
            query = DeliveryQuery(tenant=tenant, event_key=key, limit=_PAGE, after=after)
            page = await self._deliveries.list_deliveries(query)
            found.extend(page.items)
            after = page.after
            if after is None:
                return found

    # --- deliveries -------------------------------------------------------------------------------

    async def list_deliveries(self, query: DeliveryQuery | None = None) -> Page[Delivery]:
        """Return one page of a tenant's deliveries, newest event first."""
        await self.initialize()
        return await self._deliveries.list_deliveries(query or DeliveryQuery())

    # --- delivering -------------------------------------------------------------------------------

    @property
    def runs_here(self) -> bool:
        """Whether the background loop runs, and in this event loop."""
        return self._background is not None and self._loop is asyncio.get_running_loop()

    def start(self, wake: asyncio.Event) -> None:
        """Start the background loop and the sweep in the running event loop.

        ``wake`` is set by the wake queue when something is due.
        """
        if self.runs_here:
            return
        # What ran in an event loop that has ended since is left to its leases.
        self._loop = asyncio.get_running_loop()
        slots = self.config.concurrency
        self._background = self._new_deliverer(Limits(slots=slots, waiting=slots))
        self._wake, self._stop = wake, asyncio.Event()
        loops = (
            self._background.run(wake, self._stop),
            sweep_for_ever(lambda: self.sweep(pieces=1, rows=ROWS_BESIDE), self._clock, self._stop),
            self._recover_for_ever(self._stop),
        )
        # Whoever happens to make the first call is not who acts in them.
        self._tasks = [asyncio.create_task(each, context=nobody_acting()) for each in loops]

    def stop_claiming(self) -> None:
        """Let the background loop claim nothing more; first attempts still go out."""
        if self._stop is not None and self._wake is not None:
            self._stop.set()
            self._wake.set()
            if self._recovery_due is not None:
                self._recovery_due.set()

    async def stop(self, grace_ms: float | None = None) -> Stopped:
        """Stop claiming, and finish what is under way; what takes longer is given back.

        What is given back is due at once, for whoever claims next.
        """
        background = self._background
        if background is None or not self.runs_here:
            self._background = None
            return Stopped(0, 0)
        self.stop_claiming()
        under_way = background.under_way
        ended = asyncio.Event()
        ending = asyncio.ensure_future(_end(self._tasks, background))
        ending.add_done_callback(lambda _: ended.set())
        await self._clock.wait(ended, grace_ms)
        ending.cancel()
        # Not the first one: the claim that it may be waiting for has leased what is given back.
        for task in self._tasks[1:]:
            task.cancel()
        given_back = await background.abandon()
        # Not before: an emit that comes meanwhile must not start another loop.
        if self._background is background:
            self._background, self._tasks = None, []
        return Stopped(max(0, under_way - given_back), given_back)

    async def flush(self) -> None:
        """Deliver whatever is due now; retries that fall due later stay for later.

        Raises ``StoreUnavailable`` when the store does not answer for long.
        """
        await self.initialize()
        for _ in range(_FLUSH_ROUNDS_MAX):
            await self._new_deliverer(Limits(slots=self.config.concurrency)).drain()
            # What the background loop gave back meanwhile is due again.
            if self._background is None or not await self._background.finish_present():
                return

    async def deliver_due(
        self,
        *,
        limits: Limits | None = None,
        budget_ms: float | None = None,
    ) -> bool:
        """Claim and deliver until nothing is due, or ``limits`` or ``budget_ms`` are used up.

        Return whether due work may be left. A hint was sent for it, or for when a gate opens that
        time has shut. Raises ``StoreUnavailable`` when the store does not answer for long.
        """
        await self.initialize()
        deliverer = self._new_deliverer(limits or Limits(slots=self.config.concurrency))
        until_ms = None if budget_ms is None else self._clock.monotonic_ms() + budget_ms
        left = await deliverer.drain(until_ms=until_ms)
        wait_ms = 0 if left else deliverer.gate_wait_ms
        if wait_ms is not None:
            await self._wake_queue.wake(wait_ms)
        return left

    async def sweep(
        self,
        *,
        pieces: int = SWEEP_PIECES,
        rows: int = SWEEP_ROWS,
        recovery_pieces: int = SWEEP_PIECES,
    ) -> SweepReport:
        """Tidy up in bounded pieces, of so many rows of each kind.

        Cancels what waits for removed endpoints or too long, removes events and payloads that are
        past their retention, tells what was not told, encrypts anew, and does recoveries where no
        background loop does.
        """
        await self.initialize()
        now = self._clock.now_ms()
        before = now - round(self.config.retention_days * _DAY_MS)
        days = self.config.payload_days
        payloads_before = None if days is None else now - round(days * _DAY_MS)
        total = SweepReport()
        for _ in range(pieces):
            piece = await self._deliveries.sweep(
                now, before, rows, self._overdue(now), payloads_before
            )
            await self._announcer.announce(piece.notices)
            total = SweepReport(
                canceled=total.canceled + piece.canceled,
                events_removed=total.events_removed + piece.events_removed,
                deliveries_removed=total.deliveries_removed + piece.deliveries_removed,
                payloads_erased=total.payloads_erased + piece.payloads_erased,
                more=piece.more,
            )
            if not piece.more:
                break
        if total.canceled:  # others may have waited in line for it
            await self._wake_queue.wake(0)
        if self._recoveries is not None:
            await self._recoveries.remove_ended(before, SWEEP_ROWS)
        await self.access.sweep(now - round(self.config.audit_days * _DAY_MS), SWEEP_ROWS)
        await self.encrypt_some(pieces)
        if not self.runs_here:
            await self.recover_some(pieces=recovery_pieces)
        return total

    def _overdue(self, now: int) -> Overdue:
        days = self.config.pending_days
        reason = f"pending for more than {days:g} {'day' if days == 1 else 'days'}"
        return Overdue(now - round(days * _DAY_MS), reason)

    def _new_deliverer(self, limits: Limits) -> Deliverer:
        return Deliverer(
            limits,
            persistence=self._persistence,
            sender=self._sender,
            wake_queue=self._wake_queue,
            clock=self._clock,
            chance=self._chance,
            crypto=self._crypto,
            config=self.config,
        )

    def _warn_if_nobody_sends(self) -> None:
        if self._wakes_somebody or self._warned or self._background is not None:
            return
        self._warned = True
        _log.warning(
            "Events are stored, but nothing sends them: no background loop, no wake queue, no "
            "wait_until. Call flush(), or give one of them."
        )


async def _end(loops: Sequence[asyncio.Future[None]], background: Deliverer) -> None:
    # In this order: a claim that is still under way brings attempts that are to be finished.
    await asyncio.wait(loops)
    await background.finish()
