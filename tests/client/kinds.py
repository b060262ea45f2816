"""The kinds of clients that CPython has, each used as if it blocked, so that one test tries all."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from webhook.client import AsyncClient, AsyncPages, Client
from webhook.client.aio import AiohttpTransport
from webhook.client.blocking import UrllibTransport
from webhook.client.threads import ThreadTransport

type Calls = Any
"""Has the methods of ``Client``."""


class _Awaited:
    """An ``AsyncClient`` in a loop of its own."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.loop = asyncio.new_event_loop()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            given = getattr(self.client, name)(*args, **kwargs)
            if isinstance(given, AsyncPages):
                return self.loop.run_until_complete(_all(given))
            assert inspect.isawaitable(given)
            return self.loop.run_until_complete(_result(given))

        return call


async def _all(pages: AsyncPages[Any]) -> list[Any]:
    return [item async for item in pages]


async def _result(given: Any) -> Any:
    return await given


@contextmanager
def _urllib(url: str, token: str | None, **options: Any) -> Iterator[Calls]:
    with Client(url, token, transport=UrllibTransport(url), **options) as client:
        yield client


@contextmanager
def _awaited(client: AsyncClient) -> Iterator[Calls]:
    awaited = _Awaited(client)
    try:
        yield awaited
    finally:
        awaited.close()
        awaited.loop.run_until_complete(awaited.loop.shutdown_default_executor())
        awaited.loop.close()


def _aiohttp(url: str, token: str | None, **options: Any) -> AbstractContextManager[Calls]:
    return _awaited(AsyncClient(url, token, transport=AiohttpTransport(url), **options))


def _threads(url: str, token: str | None, **options: Any) -> AbstractContextManager[Calls]:
    transport = ThreadTransport(UrllibTransport(url))
    return _awaited(AsyncClient(url, token, transport=transport, **options))


KINDS: dict[str, Callable[..., AbstractContextManager[Calls]]] = {
    "urllib": _urllib,
    "aiohttp": _aiohttp,
    "threads": _threads,
}
