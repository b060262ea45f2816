"""Settle and wake: outcomes are written together, and retries ask to be woken for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from webhook.domain.errors import StoreUnavailable
from webhook.domain.lifecycle import Settlement
from webhook.ports import Clock, WakeQueue, WebhookDeliveryStore

_log = logging.getLogger("webhook.delivery")
WAKE_DELAY_MS_MAX = 120_000
STORE_PAUSE_MS = 500
_WAKE_STEP_MS = 5_000
_TOGETHER_MAX = 100


class Settler:
    """Writes outcomes as they come, together whatever came while a write was under way.

    While more is to come, an outcome waits ``linger_ms`` for others. ``note_progress`` is called
    after each round. ``next_due_at`` is the earliest time at which something that it wrote falls
    due, until somebody takes note of it and clears it.
    """

    def __init__(
        self,
        *,
        store: WebhookDeliveryStore,
        wake_queue: WakeQueue,
        clock: Clock,
        linger_ms: float,
        note_progress: Callable[[], None],
    ) -> None:
        self.next_due_at: int | None = None
        self._store = store
        self._wake_queue = wake_queue
        self._clock = clock
        self._linger_ms = linger_ms
        self._note_progress = note_progress
        self._unsettled: list[tuple[Settlement, float]] = []
        self._settling: asyncio.Task[None] | None = None
        self._last_one_came = asyncio.Event()
        self._last_one_came.set()

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

    def add(self, settlement: Settlement, lease_end_ms: float) -> None:
        """Take an outcome whose lease ends when the monotonic clock says ``lease_end_ms``."""
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
        finally:
            self._settling = None
            self._note_progress()

    async def _settle(self, batch: list[tuple[Settlement, float]]) -> None:
        """Write a batch, again and again until the last of its leases has ended."""
        settlements = [settlement for settlement, _ in batch]
        give_up_at_ms = max(lease_end_ms for _, lease_end_ms in batch)
        while True:
            try:
                await self._store.settle(settlements)
                break
            except StoreUnavailable as error:
                if self._clock.monotonic_ms() >= give_up_at_ms:
                    _log.error("%d outcomes are lost, their leases end: %s", len(batch), error)
                    return
                _log.warning("settle failed, trying again: %s", error)
                await self._clock.wait(asyncio.Event(), STORE_PAUSE_MS)
            except Exception:  # noqa: BLE001 - a fault of ours must not hold up other settles
                _log.exception("settle failed, %d leases will end", len(batch))
                return
        await self._wake_for(settlements)

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
