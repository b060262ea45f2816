"""Settle, wake, announce: outcomes are written together, and what comes of them is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from webhook.domain.errors import Conflict, NotFound, StoreUnavailable
from webhook.domain.event_types import OperationalEventType
from webhook.domain.ids import DeliveryRef
from webhook.domain.lifecycle import GONE_REASON, Settlement
from webhook.domain.model import DeliveryState, Endpoint, EndpointStatus
from webhook.domain.notice import notice_of_update
from webhook.engine.announce import Announcer
from webhook.ports import Clock, WakeQueue, WebhookDeliveryStore, WebhookEndpointStore

_log = logging.getLogger("webhook.delivery")
WAKE_DELAY_MS_MAX = 120_000
STORE_PAUSE_MS = 500
_WAKE_STEP_MS = 5_000
_TOGETHER_MAX = 100
_DISABLE_TRIES = 3


class Settler:
    """Writes outcomes as they come, together whatever came while a write was under way.

    ``endpoints_apart`` are disabled here after the settle, since the delivery store cannot.
    While more is to come, an outcome waits ``linger_ms`` for others. ``note_progress`` is called
    after each round. ``next_due_at`` is the earliest time at which something that it wrote falls
    due, until somebody takes note of it and clears it.
    """

    def __init__(
        self,
        *,
        store: WebhookDeliveryStore,
        endpoints_apart: WebhookEndpointStore | None,
        announcer: Announcer,
        wake_queue: WakeQueue,
        clock: Clock,
        linger_ms: float,
        note_progress: Callable[[], None],
    ) -> None:
        self.next_due_at: int | None = None
        # How many outcomes came, how many of them are written or given up, and how many of those
        # gave a delivery back unsent, or ended one that others may have waited for.
        self.added = self.ended = self.given_back = self.released = 0
        self._store = store
        self._endpoints_apart = endpoints_apart
        self._announcer = announcer
        self._wake_queue = wake_queue
        self._clock = clock
        self._linger_ms = linger_ms
        self._note_progress = note_progress
        self._unsettled: list[tuple[Settlement, float]] = []
        self._settling: asyncio.Task[None] | None = None
        self._last_one_came = asyncio.Event()
        self._last_one_came.set()
        self._hurry = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Whether outcomes are still to be written."""
        return bool(self._unsettled or self._settling)

    def expect(self, *, more: bool) -> None:
        """Say whether more outcomes are to come."""
        if more:
            self._last_one_came.clear()
        else:
            self._last_one_came.set()

    def hurry(self) -> None:
        """Try only once from now on: who cannot wait leaves the rest to the leases."""
        self._hurry.set()

    def add(self, settlement: Settlement, lease_end_ms: float) -> None:
        """Take an outcome whose lease ends when the monotonic clock says ``lease_end_ms``."""
        self.added += 1
        self._unsettled.append((settlement, lease_end_ms))
        if self._settling is None:
            self._settling = asyncio.ensure_future(self._settle_all())

    async def _settle_all(self) -> None:
        try:
            while self._unsettled:
                if self._linger_ms and len(self._unsettled) < _TOGETHER_MAX:
                    await self._clock.wait(self._last_one_came, self._linger_ms)
                batch = self._unsettled[:_TOGETHER_MAX]
                await self._settle(batch)
                del self._unsettled[: len(batch)]
                self.ended += len(batch)
                self.given_back += sum(s.state is DeliveryState.READY for s, _ in batch)
                self.released += sum(s.ordered and s.completed_at is not None for s, _ in batch)
                self._note_progress()
        finally:
            self._settling = None
            self._note_progress()

    async def _settle(self, batch: list[tuple[Settlement, float]]) -> None:
        """Write a batch, again and again until the last of its leases has ended."""
        settlements = [settlement for settlement, _ in batch]
        give_up_at_ms = max(lease_end_ms for _, lease_end_ms in batch)
        while True:
            try:
                settled = await self._store.settle(settlements)
            except StoreUnavailable as error:
                if self._hurry.is_set() or self._clock.monotonic_ms() >= give_up_at_ms:
                    _log.error("%d outcomes are lost, their leases end: %s", len(batch), error)
                    return
                _log.warning("settle failed, trying again: %s", error)
                await self._clock.wait(self._hurry, STORE_PAUSE_MS)
            except Exception:  # noqa: BLE001 - a fault of ours must not hold up other settles
                _log.exception("settle failed, %d leases will end", len(batch))
                return
            else:
                await self._disable_endpoints(settlements, settled.applied)
                await self._wake_for(settlements)
                if not self._hurry.is_set():
                    await self._announcer.announce(settled.notices)
                return

    async def _disable_endpoints(
        self, settlements: list[Settlement], applied: list[DeliveryRef]
    ) -> None:
        if self._endpoints_apart is None:
            return
        disabling = [s for s in settlements if s.disable_endpoint and s.ref in applied]
        told = {s.ref.endpoint_id for s in disabling if not s.quiet}
        for endpoint_id in {s.ref.endpoint_id for s in disabling}:
            disabled = await self._disable(self._endpoints_apart, endpoint_id)
            if disabled is not None and endpoint_id in told:
                kind = OperationalEventType.ENDPOINT_DISABLED
                await self._announcer.announce([notice_of_update(disabled, kind, GONE_REASON)])

    async def _disable(self, endpoints: WebhookEndpointStore, endpoint_id: str) -> Endpoint | None:
        """Disable an active endpoint and return it; if that fails, the next 410 does it."""
        try:
            for _ in range(_DISABLE_TRIES):
                found = await endpoints.get_many([endpoint_id])
                if not found or not found[0].active:
                    return None
                changed = msgspec.structs.replace(
                    found[0],
                    status=EndpointStatus.ERROR,
                    revision=found[0].revision + 1,
                    updated_at=max(found[0].updated_at, self._clock.now_ms()),
                )
                try:
                    await endpoints.update(changed)
                except Conflict:
                    continue  # somebody else has changed it meanwhile
                return changed
        except (NotFound, StoreUnavailable) as error:
            _log.warning("endpoint %s not disabled: %s", endpoint_id, error)
        return None

    async def _wake_for(self, settlements: list[Settlement]) -> None:
        """Ask to be woken when retries fall due; long waits are left to the sweep."""
        now = self._clock.now_ms()
        delays: dict[int, int] = {}
        for settlement in settlements:
            if settlement.due_at is None:
                continue
            self.next_due_at = min(self.next_due_at or settlement.due_at, settlement.due_at)
            delay_ms = max(0, settlement.due_at - now)
            if delay_ms <= WAKE_DELAY_MS_MAX:
                step = delay_ms // _WAKE_STEP_MS
                delays[step] = max(delays.get(step, 0), delay_ms)
        for delay_ms in delays.values():
            await self._wake_queue.wake(delay_ms)
