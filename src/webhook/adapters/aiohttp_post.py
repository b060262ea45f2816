"""POSTs over the connections of an aiohttp session, without what the session itself adds.

No cookies, redirects, proxies, traces or streamed bodies: of a request nothing is made but its
bytes. Its connector dials and pools, and aiohttp's parser reads the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import yarl
from aiohttp import (
    ClientConnectionResetError,
    ClientRequest,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    StreamReader,
)
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError

_NO_TIMEOUT = ClientTimeout(total=None, sock_connect=None)
_BEGINS_KEPT = 8
_INFORMATIONAL = range(100, 200)
_SWITCHING_PROTOCOLS = 101


class Answer:
    """An answer whose headers are in; the connection is free again once its body was read."""

    def __init__(
        self, connection: Connection, status: int, headers: Mapping[str, str], content: StreamReader
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self._connection = connection
        content.on_eof(self._give_back)

    def close(self) -> None:
        """Cut the connection, unless it was given back."""
        self._connection.close()

    def _give_back(self) -> None:
        transport = self._connection.transport
        # Of a request that was answered before it was written, nobody wants the rest.
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()
            self._connection.close()
        else:
            self._connection.release()


class Target:
    """A URL to POST to; belongs to one event loop."""

    def __init__(self, url: yarl.URL, defaults: Mapping[str, str]) -> None:
        # It is never sent: the connector reads of it where to connect.
        self._request = ClientRequest(
            "POST", url, headers=defaults, loop=asyncio.get_running_loop()
        )
        self._path = url.raw_path_qs
        # What a request begins with, by the names of its own headers.
        self._begins: dict[tuple[str, ...], str] = {}

    async def post(
        self,
        session: ClientSession,
        headers: Mapping[str, str],
        body: bytes,
        read_bytes_ahead: int,
    ) -> Answer:
        """Send and wait for the headers of the answer; raises what the session would raise."""
        head = self._head(headers, len(body))
        if session.connector is None:
            raise ClientConnectionResetError("The sender was closed.")
        connection = await session.connector.connect(self._request, [], _NO_TIMEOUT)
        try:
            protocol = _begin(connection, head + body, read_bytes_ahead)
            return await self._answer(connection, protocol)
        except BaseException:
            connection.close()
            raise

    async def _answer(self, connection: Connection, protocol: ResponseHandler) -> Answer:
        while True:
            try:
                message, content = await protocol.read()
            except HttpProcessingError as error:
                raise ClientResponseError(
                    self._request.request_info,
                    (),
                    status=error.code,
                    message=error.message,
                    headers=error.headers,
                ) from error
            if message.code not in _INFORMATIONAL or message.code == _SWITCHING_PROTOCOLS:
                return Answer(connection, message.code, message.headers, content)

    def _head(self, headers: Mapping[str, str], length: int) -> bytes:
        names = tuple(headers)
        begin = self._begins.get(names) or self._keep_begin(names)
        lines = "\r\n".join([f"{name}: {value}" for name, value in headers.items()])
        breaks = max(0, len(names) - 1)
        if lines.count("\n") != breaks or lines.count("\r") != breaks or "\0" in lines:
            raise ValueError("A header has a line break or NUL in it.")
        return f"{begin}{lines}\r\ncontent-length: {length}\r\n\r\n".encode()

    def _keep_begin(self, names: tuple[str, ...]) -> str:
        """Return the first line, and the headers that aiohttp adds where there are none."""
        given = {name.lower() for name in names} | {"content-length", "content-type"}
        added = [(n, v) for n, v in self._request.headers.items() if n.lower() not in given]
        begin = f"POST {self._path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in added)
        if len(self._begins) >= _BEGINS_KEPT:
            self._begins.clear()
        self._begins[names] = begin
        return begin


def _begin(connection: Connection, request: bytes, read_bytes_ahead: int) -> ResponseHandler:
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or transport.is_closing():
        raise ClientConnectionResetError("Cannot write to closing transport")
    protocol.set_response_params(
        read_until_eof=True, auto_decompress=False, read_bufsize=read_bytes_ahead
    )
    transport.write(request)
    return protocol
