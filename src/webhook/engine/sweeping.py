"""The sweep beside the service: small pieces with pauses, which no accept or settle notices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from webhook.domain.errors import WebhookError
from webhook.ports import Clock, SweepReport

_log = logging.getLogger("webhook.service")
ROWS_BESIDE = 100
_EVERY_MS = 60_000
_PAUSE_MS = 50


async def sweep_for_ever(
    sweep: Callable[[], Awaitable[SweepReport]], clock: Clock, stop: asyncio.Event
) -> None:
    """Do a piece each minute, and further ones until nothing is left."""
    wait_ms = _EVERY_MS
    while not await clock.wait(stop, wait_ms):
        wait_ms = _EVERY_MS
        try:
            if (await sweep()).more:
                wait_ms = _PAUSE_MS
        except WebhookError as error:
            _log.warning("sweep failed, trying again in a minute: %s", error)
        except Exception:  # noqa: BLE001 - a sweep that ends would let the store grow
            _log.exception("sweep failed, trying again in a minute")
