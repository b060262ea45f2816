"""Runs an ASGI application for one request of a Worker.

The SDK's own bridge reads the whole body before the application sees the request and runs the
lifespan each time; this one hands the body over as it comes, so that a body over the limit is
refused without reading it, and knows no lifespan.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
_NO_BODY = frozenset((101, 204, 205, 304))


async def run_asgi(app: App, request: Any, **scope: Any) -> Any:
    """Return the ``workers.Response`` of ``app``; ``scope`` adds keys to its ASGI scope."""
    from workers import Response  # noqa: PLC0415 - exists in a Worker only

    answer = _Answer()
    await app({**_http_scope(request), **scope}, _receiver(request), answer.send)
    body = None if answer.status in _NO_BODY else bytes(answer.body)
    return Response(body, status=answer.status, headers=answer.headers)


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


def _receiver(request: Any) -> Receive:
    reader = request.js_object.body.getReader() if request.js_object.body else None
    done = False

    async def receive() -> Message:
        nonlocal done
        if done:
            return {"type": "http.disconnect"}
        if reader is None:
            done = True
            return {"type": "http.request", "body": b"", "more_body": False}
        chunk = await reader.read()
        done = bool(chunk.done)
        body = b"" if done else chunk.value.to_bytes()
        return {"type": "http.request", "body": body, "more_body": not done}

    return receive


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
