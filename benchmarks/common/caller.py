"""An HTTP client that costs little, so that the machine is left to what is measured."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Caller:
    """Sends JSON over one connection, which stays open; an answer that is no 2xx ends it all."""

    def __init__(self, port: int, token: str = "") -> None:
        self._port = port
        self._token = token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def request(self, method: str, path: str, body: bytes) -> bytes:
        """Return the bytes of a request, to be sent as often as one likes."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def send(self, request: bytes) -> bytes:
        """Send a whole request and return the answer's body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        if not head.startswith(b"HTTP/1.1 2"):
            sys.exit(f"{request[:60]!r} was answered {(head + body).decode()}")
        return body

    def json_request(self, path: str, value: object) -> bytes:
        """Return the bytes of a request that posts a value as JSON, without spaces."""
        return self.request("POST", path, json.dumps(value, separators=(",", ":")).encode())

    async def post(self, path: str, value: object) -> bytes:
        """POST a value as JSON and return the answer's body."""
        return await self.send(self.json_request(path, value))

    async def get(self, path: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """GET a path and return the value that the JSON there holds."""
        return json.loads(await self.send(self.request("GET", path, b"")))

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
