"""Runs the API and the background loop in one event loop, and ends both in good order."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from rich.console import Console
from rich.text import Text

# The sender that the service will choose: if it cannot be had, that is said before anything begins.
import webhook.adapters.aiohttp_sender  # noqa: F401 - as said
from webhook import WebhookRuntimeService
from webhook.api import ApiSettings, create_app
from webhook.cli.connections import HEADER_BYTES_MAX, BoundedConnection
from webhook.cli.greeting import Greeting
from webhook.cli.key_files import keep_key
from webhook.cli.listen import listen, url_of
from webhook.cli.migrate import apply
from webhook.cli.stores import find_store, naming
from webhook.cli.terminal import stdout
from webhook.cli.tokens import keep_token, token_file
from webhook.engine.service import Stopped
from webhook.settings import Settings

_KEEP_ALIVE_S = 75
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_AT_ONCE = b"Ended at once. What was under way is sent again after the next start.\n"


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ``WebhookError`` when it cannot begin."""
    out = stdout()
    with _signals() as ending:
        sock = await listen(settings.host, settings.port, loopback_only=settings.insecure)
        with contextlib.closing(sock):
            # First, so that no key is left beside a database that cannot be made.
            migrations = await apply(settings.store)
            persistence, _ = await find_store(settings.store, keep_key(settings))
            service = WebhookRuntimeService(settings.config, persistence=persistence)
            try:
                with naming(settings.store):
                    encrypted = await service.encrypt_all(scrub=True)
                    await service.initialize()
                token, file = _token(settings)
                for name in migrations:
                    out.print(Text(f"Migrated   {name}", "dim"))
                if encrypted.count:
                    out.print(Text(f"Encrypted  secrets of {encrypted.count} endpoints", "dim"))
                server = _Server(_config(settings, token, service))
                greeting = Greeting(settings, url_of(sock), token, file)
                serving = asyncio.ensure_future(server.serve(sockets=[sock]))
                await _first(serving, server.ready.wait())
                if not serving.done():
                    greeting.print(out)
                    out.file.flush()
                    await _first(serving, ending.wait())
                if serving.done():
                    await serving  # it ended by itself: whatever is wrong is raised here
                else:
                    server.should_exit = True
                    await _stop(serving, service, settings.grace_s, out)
            finally:
                await service.shutdown()


def _token(settings: Settings) -> tuple[str | None, Path | None]:
    """Return the token to ask for and where it is kept, if it is ours."""
    if settings.api_token is not None:
        return settings.api_token, None
    if settings.insecure:
        return None, None
    file = token_file(settings.store)
    return keep_token(file), file


def _config(
    settings: Settings, token: str | None, service: WebhookRuntimeService
) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(
            ApiSettings(
                token,
                insecure=settings.insecure,
                requests_per_second=settings.requests_per_second,
            ),
            service,
        ),
        http=BoundedConnection.bounded(settings.connections_max, settings.request_s),
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(settings.grace_s),
    )


class _Server(uvicorn.Server):
    """A server that leaves the signals to us and tells when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


async def _stop(
    serving: asyncio.Future[None], service: WebhookRuntimeService, grace_s: float, out: Console
) -> None:
    """End the server first, so that nothing new comes in, then the deliveries."""
    over_ctrl_c = "\r" if out.is_terminal else ""  # the terminal has printed ^C just now
    out.print(
        f"{over_ctrl_c}Stopping. No more requests; what is under way has {grace_s:g} s to finish."
    )
    out.file.flush()
    loop = asyncio.get_running_loop()
    end = loop.time() + grace_s
    service.stop_claiming()
    await serving
    stopped = await service.stop(max(0.0, end - loop.time()) * 1000)
    out.print(_farewell(stopped))


def _farewell(stopped: Stopped) -> str:
    finished, given_back = stopped
    if not finished + given_back:
        return "Stopped. Nothing was under way."
    text = f"Stopped. Of the attempts under way {finished} finished"
    if given_back:
        text += f", {given_back} broken off: sent again after the next start"
    return f"{text}."


async def _first(serving: asyncio.Future[None], other: Coroutine[Any, Any, object]) -> None:
    """Wait for either, and leave the server running."""
    waiting = asyncio.ensure_future(other)
    both: list[asyncio.Future[Any]] = [serving, waiting]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


@contextlib.contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """Give an event that the first SIGTERM or SIGINT sets; the second ends the process."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    asked = False

    # The interpreter's own handlers, since they come through even while the loop is stuck.
    def on_signal(number: int, _: FrameType | None) -> None:
        nonlocal asked
        if asked:
            # Straight to the file: whoever was printing when the signal came holds the buffer.
            os.write(sys.stdout.fileno(), _AT_ONCE)
            os._exit(128 + number)
        asked = True
        loop.call_soon_threadsafe(ending.set)

    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
