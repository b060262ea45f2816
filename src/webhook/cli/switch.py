"""``webhook pause`` and ``webhook resume``: the operator's switch, on the store itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

from webhook.adapters.system import SystemClock
from webhook.cli.stores import find_store, naming
from webhook.cli.terminal import fail, stdout
from webhook.domain.errors import WebhookError
from webhook.settings import Settings, StoreAddress


def pause(settings: Settings) -> None:
    """Pause all sending from a store, also by servers that run: what is accepted waits.

    Example: webhook pause --store sqlite:///webhook.db
    """
    _switch(settings.store, paused=True)
    stdout().print(f"{settings.store}: sending is paused. `webhook resume` lets it go on.")


def resume(settings: Settings) -> None:
    """Let sending go on, with what waited first; a server notices within seconds.

    Example: webhook resume --store sqlite:///webhook.db
    """
    _switch(settings.store, paused=False)
    stdout().print(f"{settings.store}: sending goes on.")


def _switch(address: StoreAddress, *, paused: bool) -> None:
    if address.path is None:
        fail("memory:// lives in its server alone: POST /v1/sending/pause there.")
    if not Path(address.path).exists():
        fail(f"{address}: there is no such file.")
    try:
        asyncio.run(_turn(address, paused=paused))
    except WebhookError as error:
        fail(error.message)


async def _turn(address: StoreAddress, *, paused: bool) -> None:
    persistence, _ = await find_store(address)
    deliveries = persistence.delivery_store
    try:
        with naming(address):
            if persistence.init is not None:
                await persistence.init()
            if paused:
                await deliveries.pause_sending(SystemClock().now_ms())
            else:
                await deliveries.resume_sending()
    finally:
        if persistence.close is not None:
            await persistence.close()
