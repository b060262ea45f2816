"""Sends in threads, where an event loop has no aiohttp."""

from __future__ import annotations

import asyncio

from webhook.client.exchange import HttpRequest, HttpResponse, Transport


class ThreadTransport:
    """A blocking transport in threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def send(self, request: HttpRequest) -> HttpResponse:
        """See ``AsyncTransport``."""
        return await asyncio.to_thread(self._transport.send, request)

    async def close(self) -> None:
        """See ``AsyncTransport``."""
        self._transport.close()
