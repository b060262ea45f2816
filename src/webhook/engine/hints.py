"""Hints to whoever delivers: a hint may be lost, so one that cannot be given hurts nobody."""

from __future__ import annotations

import logging

from webhook.ports import WakeQueue

_log = logging.getLogger("webhook.delivery")


class Hints:
    """A ``WakeQueue`` that keeps its word to raise nothing, around one that may not."""

    def __init__(self, wake_queue: WakeQueue) -> None:
        self._wake_queue = wake_queue

    async def wake(self, delay_ms: int) -> None:
        """Ask for a claim after ``delay_ms``."""
        try:
            await self._wake_queue.wake(delay_ms)
        except Exception as error:  # noqa: BLE001 - what is due is found without a hint too
            _log.warning("wake-up not sent: %s", error)
