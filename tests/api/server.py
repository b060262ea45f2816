"""The app behind a real uvicorn on a port of its own, in a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from typing import Self

import uvicorn

from webhook import ErrorKind, Outcome, Sender, WebhookConfig, WebhookRuntimeService
from webhook.api import ApiSettings, create_app

TOKEN = "correct-horse-battery-staple"
WAIT_S = 120.0
LOCAL = WebhookConfig(allow_private_hosts=True, allow_http=True)


class Nowhere:
    """A ``Sender`` that lets nothing out, whatever the URLs of a test are."""

    async def send(
        self, _url: str, _headers: Mapping[str, str], _body: bytes, _timeout_ms: int
    ) -> Outcome:
        return Outcome(started_at=0, latency_ms=0, error_kind=ErrorKind.REFUSED, error="not sent")

    async def close(self) -> None:
        pass


class Served:
    """A service that keeps everything in memory, answering at ``url`` while entered."""

    def __init__(self, *, sender: Sender | None = None, auto_start: bool = True) -> None:
        self.token = TOKEN
        self._auto_start = auto_start
        self._sender = sender
        # Named as TCP, since asyncio switches Nagle off only then; otherwise an answer takes 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(WAIT_S)
        self._socket.close()

    async def _serve(self) -> None:
        async with WebhookRuntimeService(
            LOCAL, sender=self._sender, auto_start=self._auto_start
        ) as service:
            app = create_app(ApiSettings(token=self.token), service)
            config = uvicorn.Config(app, log_config=None, lifespan="off", access_log=False)
            self._server = _Server(config, self._ready)
            await self._server.serve(sockets=[self._socket])


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()
