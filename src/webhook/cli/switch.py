"""``webhook pause`` and ``webhook resume``: the operator's switch, on the store itself."""

from __future__ import annotations

from webhook.adapters.system import SystemClock
from webhook.cli.stores import access_of, operate
from webhook.cli.terminal import stdout
from webhook.ports import WebhookPersistence
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
    async def turn(persistence: WebhookPersistence) -> None:
        switch = persistence.delivery_store
        async with access_of(persistence).changing("sending.pause" if paused else "sending.resume"):
            if paused:
                await switch.pause_sending(SystemClock().now_ms())
            else:
                await switch.resume_sending()

    wish = f"POST /v1/sending/{'pause' if paused else 'resume'}"
    operate(address, turn, instead=wish)
