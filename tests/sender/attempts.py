"""How the tests of the sender send."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import TCPConnector

from tests.receiver import Receiver, Reply
from webhook.adapters.aiohttp_sender import AiohttpSender
from webhook.adapters.checked_resolver import Lookup, system_lookup
from webhook.adapters.env_proxies import ProxyFor
from webhook.domain.model import Outcome
from webhook.domain.url_rules import UrlRules

LOCAL = UrlRules(allow_private_hosts=True, allow_http=True)
PUBLIC_HTTP = UrlRules(allow_http=True)
TIMEOUT_MS = 20_000
SHORT_MS = 400
# A deadline that is met late on a busy machine is still met; one that is not met takes for ever.
GENEROUS_S = 60.0
LOOKS, LOOK_S = 6_000, 0.01


class Make(Protocol):
    """Makes senders that are closed when the test ends."""

    def __call__(
        self,
        rules: UrlRules = LOCAL,
        *,
        connections: int = 256,
        tls: ssl.SSLContext | None = None,
        lookup: Lookup = system_lookup,
        proxy_for: ProxyFor | None = None,
    ) -> AiohttpSender: ...


async def post(
    sender: AiohttpSender, url: str, timeout_ms: int = TIMEOUT_MS, body: bytes = b"{}"
) -> Outcome:
    return await sender.send(url, {"content-type": "application/json"}, body, timeout_ms)


async def answer_to(sender: AiohttpSender, reply: Reply, timeout_ms: int = TIMEOUT_MS) -> Outcome:
    async with Receiver([reply]) as receiver:
        return await post(sender, receiver.url, timeout_ms)


async def idle_connections_end(sender: AiohttpSender) -> None:
    """Wait until the ends of all connections that the receiver has closed have arrived."""
    session = sender._session
    assert session is not None
    assert isinstance(session.connector, TCPConnector)
    kept = session.connector._conns
    for _ in range(LOOKS):
        if not any(one.is_connected() for group in kept.values() for one, _ in group):
            return
        await asyncio.sleep(LOOK_S)
    raise AssertionError("a connection that was closed stays open")


async def timed(attempt: Awaitable[Outcome]) -> tuple[Outcome, float]:
    began = time.monotonic()
    return await attempt, time.monotonic() - began


def lookup(*addresses: str) -> Callable[[str], list[str]]:
    return lambda _host: list(addresses)
