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
        self._defaults = {
            name: value
            for name, value in self._request.headers.items()
            if name.lower() not in {"content-length", "content-type"}
        }

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
        names = {name.lower() for name in headers}
        lines = [f"POST {self._path} HTTP/1.1"]
        lines += [f"{n}: {v}" for n, v in self._defaults.items() if n.lower() not in names]
        lines += [f"{n}: {v}" for n, v in headers.items()]
        text = "\r\n".join(lines)
        breaks = len(lines) - 1
        if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
            raise ValueError("A header has a line break or NUL in it.")
        return f"{text}\r\ncontent-length: {length}\r\n\r\n".encode()


def _begin(connection: Connection, request: bytes, read_bytes_ahead: int) -> ResponseHandler:
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or transport.is_closing():
        raise ClientConnectionResetError("Cannot write to closing transport")
    protocol.set_response_params(
        read_until_eof=True, auto_decompress=False, read_bufsize=read_bytes_ahead
    )
    transport.write(request)
    return protocol
