"""``Client`` and ``AsyncClient``: the same methods, blocking and in an event loop."""

from __future__ import annotations

import os
import time
from typing import Self

from webhook.client.errors import Unreachable
from webhook.client.exchange import (
    AsyncTransport,
    HttpRequest,
    Service,
    Transport,
    exchange,
)
from webhook.client.operation import AsyncCaller, Caller
from webhook.client.operations import Operations
from webhook.client.request import Request
from webhook.client.transports import async_transport, transport_of

TIMEOUT_S = 30.0
RETRIES = 5


class Client(Operations, Caller):
    """A service's client; use it from as many threads as you like.

    ``url`` and ``token`` are ``WEBHOOK_URL`` and ``WEBHOOK_API_TOKEN`` of the environment unless
    given. Each try is answered within ``timeout_s`` or given up; after it come up to ``retries``
    more when nothing answers, on 429 and on 503, with pauses that grow or that ``Retry-After``
    asks for. What must not be done twice is not tried again when it may have been done. A call
    raises ``ApiError`` or one of its classes, ``Unreachable`` or ``BadAnswer``.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        transport: Transport | None = None,
    ) -> None:
        self._service = _service(url, token, timeout_s, retries)
        self._transport = transport_of(self._service.url) if transport is None else transport

    def call[T](self, request: Request[T]) -> T:
        """Return the result of a request, such as ``Client.get_event("evt_...")`` builds one."""
        steps = exchange(request, self._service)
        step = next(steps)
        while True:
            try:
                if isinstance(step, HttpRequest):
                    try:
                        answer = self._transport.send(step)
                    except Unreachable as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(answer)
                else:
                    time.sleep(step)
                    step = steps.send(None)
            except StopIteration as end:
                result: T = end.value
                return result

    def close(self) -> None:
        """Give back connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(Operations, AsyncCaller):
    """As ``Client``, for an event loop; lists are for ``async for``."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        transport: AsyncTransport | None = None,
    ) -> None:
        self._service = _service(url, token, timeout_s, retries)
        self._transport = async_transport(self._service.url) if transport is None else transport

    async def call[T](self, request: Request[T]) -> T:
        """Return the result of a request, such as ``AsyncClient.get_event("evt_...")`` builds."""
        steps = exchange(request, self._service)
        step = next(steps)
        while True:
            try:
                if isinstance(step, HttpRequest):
                    try:
                        answer = await self._transport.send(step)
                    except Unreachable as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(answer)
                else:
                    import asyncio  # noqa: PLC0415 - only who awaits pays for it

                    await asyncio.sleep(step)
                    step = steps.send(None)
            except StopIteration as end:
                result: T = end.value
                return result

    async def close(self) -> None:
        """Give back connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _service(url: str | None, token: str | None, timeout_s: float, retries: int) -> Service:
    url = url or os.environ.get("WEBHOOK_URL")
    if not url:
        raise ValueError("Say where the service is: url=, or WEBHOOK_URL in the environment.")
    token = token or os.environ.get("WEBHOOK_API_TOKEN") or None
    return Service(url.rstrip("/"), token, timeout_s, retries)
