"""Runs an ASGI application for one request of a Worker.

The SDK's own bridge reads the whole body before the application sees the request and runs the
lifespan each time; this one hands the body over as it comes, so that a body over the limit is
refused without reading it, and knows no lifespan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
_DRAIN_S = 2
_DRAIN_BYTES = 1024 * 1024
_NO_BODY = frozenset((101, 204, 205, 304))


async def run_asgi(app: App, request: Any, **scope: Any) -> Any:
    """Return the ``workers.Response`` of ``app``; ``scope`` adds keys to its ASGI scope."""
    from workers import Response  # noqa: PLC0415 - exists in a Worker only

    answer = _Answer()
    body = _Body(request.js_object.body)
    extensions = {"webhook.drain": body.drain}
    whole_scope = {**_http_scope(request), **scope, "extensions": extensions}
    await app(whole_scope, body.receive, answer.send)
    content = None if answer.status in _NO_BODY else bytes(answer.body)
    return Response(content, status=answer.status, headers=answer.headers)


def _http_scope(request: Any) -> dict[str, Any]:
    url = urlsplit(request.url)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": str(request.js_object.method),
        "scheme": url.scheme,
        "server": (url.hostname, url.port),
        "path": unquote(url.path),
        "raw_path": url.path.encode(),
        "query_string": url.query.encode(),
        "root_path": "",
        "headers": [
            (name.lower().encode(), value.encode("latin-1", "replace"))
            for name, value in request.headers.items()
        ],
        "client": None,
    }


class _Body:
    """A request's body, piece by piece."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._reader = stream.getReader() if stream else None
        self._done = False

    async def receive(self) -> Message:
        """Read the next piece, as ASGI has it."""
        if self._done:
            return {"type": "http.disconnect"}
        if self._reader is None:
            self._done = True
            return {"type": "http.request", "body": b"", "more_body": False}
        chunk = await self._reader.read()
        self._done = bool(chunk.done)
        body = b"" if self._done else chunk.value.to_bytes()
        return {"type": "http.request", "body": body, "more_body": not self._done}

    async def drain(self) -> None:
        """Throw the rest away, a megabyte at a time, for at most ``_DRAIN_S``.

        workerd closes the connection under an answer whose request was not taken whole, and the
        proxy before it then has no answer to pass on.
        """
        if self._reader is None or self._done:
            return
        self._done = True
        self._reader.releaseLock()
        drained = asyncio.ensure_future(_throw_away(self._stream))
        # An AbortSignal would cut it off at the next piece only, which may never come.
        await asyncio.wait([drained], timeout=_DRAIN_S)
        drained.cancel()


async def _throw_away(stream: Any) -> None:
    from js import Object, Uint8Array  # noqa: PLC0415 - exist in a Worker only

    reader = stream.getReader(Object.fromEntries([["mode", "byob"]]))
    room = Uint8Array.new(_DRAIN_BYTES)
    while True:
        # The same memory over and over: pieces of their own would be garbage of the body's size.
        piece = await reader.readAtLeast(_DRAIN_BYTES, room)
        if piece.done:
            return
        room = Uint8Array.new(piece.value.buffer)


class _Answer:
    """What the application sends: the start and, since answers are small, the body as a whole."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in message.get("headers", ())
                if name.lower() != b"content-length"
            ]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
