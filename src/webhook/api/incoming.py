"""The body of a request while it comes in, and what to do with one that nobody will read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive, Scope

# Where a platform puts a function that throws away the rest of a body better than piece by piece.
DRAIN = "webhook.drain"
# A shorter rest lies in the server's own buffer, and needs no care.
SHORT_BYTES = 64 * 1024
LINGER_BYTES_MAX = 128 * 1024 * 1024
LINGER_S_MAX = 5.0
LINGER_IDLE_S = 0.5


class Incoming:
    """Hands a body on and knows whether all of it has come."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._complete = False

    async def receive(self) -> Message:
        """Receive the next piece, as ASGI has it."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._complete = True
        return message

    @property
    def has_long_rest(self) -> bool:
        """Whether much, or nobody knows how much, is still to come."""
        if self._complete or self._scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            return False
        length = dict(self._scope["headers"]).get(b"content-length")
        return length is None or not length.isdigit() or int(length[:15]) > SHORT_BYTES

    async def linger(self) -> None:
        """Throw away what still comes, within bounds of size and time.

        A caller who is still sending when the connection closes gets a reset in place of the
        answer, and so does a proxy; workerd wants the body taken before it answers at all. Other
        servers call this a lingering close.
        """
        drain: Callable[[], Awaitable[None]] | None
        drain = self._scope.get("extensions", {}).get(DRAIN)
        if drain is not None:
            await drain()
            return
        left = LINGER_BYTES_MAX
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S_MAX):
                while left > 0 and not self._complete:
                    async with asyncio.timeout(LINGER_IDLE_S):
                        left -= len((await self.receive()).get("body", b""))
