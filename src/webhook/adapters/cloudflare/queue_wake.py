"""``WakeQueue`` over a Cloudflare Queue."""

from __future__ import annotations

import logging
from typing import Any

_log = logging.getLogger("webhook.queue")
DELAY_S_MAX = 12 * 3600


class CloudflareWake:
    """Sends hints into the queue whose consumer claims. A hint that is lost costs a minute."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    async def wake(self, delay_ms: int) -> None:
        """Ask for a claim after ``delay_ms``, rounded up to seconds."""
        delay_s = min(-(-max(delay_ms, 0) // 1000), DELAY_S_MAX)
        try:
            await self._queue.send({"due": True}, delaySeconds=delay_s)
        except Exception as error:  # noqa: BLE001 - the cron finds what a hint would have told
            _log.warning("a wake-up was not queued, the cron will do: %s", error)
