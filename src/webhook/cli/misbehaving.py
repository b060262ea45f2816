"""The ways in which receivers fail, by bad luck or on purpose: what ``receive --fail`` takes."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import NamedTuple

_TEN_GB = 10 * 1024**3
_BOMB_MB = 100
_PAUSE_S = 1.0
_STATUSES = range(100, 1000)

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Way(NamedTuple):
    """One way to fail: what it does, in a few words, and how."""

    sentence: str
    answer: Answer


def way_of(text: str) -> Way | None:
    """Return the way that a name or a status means, None for nonsense."""
    if text.isascii() and text.isdigit() and len(text) < 5 and int(text) in _STATUSES:  # noqa: PLR2004 - no status has more
        return Way(f"HTTP {text}", whole(int(text)))
    return WAYS.get(text)


def whole(status: int, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> Answer:
    """Answer with this, and hang up."""
    data = _head(status, [("Content-Length", str(len(body))), *headers]) + body

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


def _head(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    with contextlib.suppress(ValueError):
        phrase = HTTPStatus(status).phrase
        return _lines(f"HTTP/1.1 {status} {phrase}", headers)
    return _lines(f"HTTP/1.1 {status} Unheard Of", headers)


def _lines(first: str, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [first, "Connection: close", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _exactly(data: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


async def _never(writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def _close(_writer: asyncio.StreamWriter) -> None:
    """Hang up without a word."""


async def _reset(writer: asyncio.StreamWriter) -> None:
    # Lingering for zero seconds is how a socket is told to send RST.
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _reset_in_body(writer: asyncio.StreamWriter) -> None:
    writer.write(_head(200, [("Content-Length", "1000")]) + b"so far")
    await writer.drain()
    # RST throws away what has not been read; let the headers arrive.
    await asyncio.sleep(_PAUSE_S)
    await _reset(writer)


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(_head(200, [("Content-Length", str(_TEN_GB))]))
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(_PAUSE_S)


async def _drip_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    number = 0
    while True:
        number += 1
        writer.write(f"X-{number}: {number}\r\n".encode())
        await writer.drain()
        await asyncio.sleep(_PAUSE_S)


async def _huge_body(writer: asyncio.StreamWriter) -> None:
    writer.write(_head(200, [("Content-Length", str(_TEN_GB))]))
    while True:
        writer.write(bytes(65_536))
        await writer.drain()


async def _gzip_bomb(writer: asyncio.StreamWriter) -> None:
    body = await asyncio.to_thread(gzip.compress, bytes(_BOMB_MB * 1024 * 1024), 9)
    await whole(200, [("Content-Encoding", "gzip")], body)(writer)


async def _many_headers(writer: asyncio.StreamWriter) -> None:
    await whole(200, [(f"X-{number}", "value") for number in range(100_000)])(writer)


def _busy(retry_after: str) -> Answer:
    return whole(503, [("Retry-After", retry_after)])


WAYS: Mapping[str, Way] = {
    "never": Way("never answers", _never),
    "close": Way("hangs up without a word", _close),
    "reset": Way("hangs up with RST", _reset),
    "reset-in-body": Way("200, and RST in the middle of the body", _reset_in_body),
    "half": Way("hangs up in the middle of the headers", _exactly(b"HTTP/1.1 200 OK\r\nContent-")),
    "not-http": Way("speaks another protocol", _exactly(b"220 mail.example.test ESMTP\r\n")),
    "drip": Way("200, and a body of a byte a second without end", _drip),
    "drip-headers": Way("a header a second without end", _drip_headers),
    "huge-body": Way("200, and a body of 10 GB", _huge_body),
    "huge-header": Way("a header of 1 MB", whole(200, [("X-Huge", "x" * 1_000_000)])),
    "many-headers": Way("100,000 headers", _many_headers),
    "gzip-bomb": Way("200, and a small body that grows to 100 MB", _gzip_bomb),
    "not-utf8": Way("500, and a body that is no text", whole(500, body=b"\xff\xfe\x00\x80")),
    "204-with-body": Way("204, and a body all the same", _exactly(_head(204, ()) + b"surplus")),
    "redirect-loop": Way("301 to itself", whole(301, [("Location", "/")])),
    "retry-after-huge": Way("503 with Retry-After: 1e99", _busy("1e99")),
    "retry-after-negative": Way("503 with Retry-After: -5", _busy("-5")),
    "retry-after-2099": Way("503 until the year 2099", _busy("Thu, 31 Dec 2099 23:59:59 GMT")),
    "retry-after-garbage": Way("503 with Retry-After: soon", _busy("soon")),
    "status-999": Way("HTTP 999", whole(999)),
}
