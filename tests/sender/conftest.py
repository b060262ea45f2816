"""Senders that are closed when their test ends."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import pytest

from tests.sender.attempts import LOCAL, Make
from webhook.adapters.aiohttp_sender import AiohttpSender
from webhook.adapters.checked_resolver import Lookup, system_lookup
from webhook.adapters.env_proxies import ProxyFor
from webhook.adapters.system import SystemClock
from webhook.domain.url_rules import UrlRules


@pytest.fixture
async def make_sender() -> AsyncIterator[Make]:
    made: list[AiohttpSender] = []

    def make(
        rules: UrlRules = LOCAL,
        *,
        connections: int = 256,
        tls: ssl.SSLContext | None = None,
        lookup: Lookup = system_lookup,
        proxy_for: ProxyFor | None = None,
    ) -> AiohttpSender:
        sender = AiohttpSender(
            rules,
            clock=SystemClock(),
            connections=connections,
            tls=tls,
            lookup=lookup,
            proxy_for=proxy_for,
        )
        made.append(sender)
        return sender

    yield make
    for sender in made:
        await sender.close()


@pytest.fixture
def sender(make_sender: Make) -> AiohttpSender:
    return make_sender()
