"""Misbehaviours for ``tests.receiver``: what receivers do, by bad luck or on purpose."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct

from tests.receiver import Answer, Misbehaviour, Request, encode

TEN_GB = 10 * 1024**3
FOREVER_S = 3_600.0


def cut(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    # Lingering for zero seconds is how a socket is told to send RST.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def never_answers(_request: Request, _writer: asyncio.StreamWriter) -> None:
    """Read the request and say nothing."""
    await asyncio.sleep(FOREVER_S)


async def closes(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Hang up politely before any answer."""
    writer.close()


async def resets(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Hang up with RST before any answer."""
    cut(writer)


async def half_a_status_line(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Hang up in the middle of the headers."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await writer.drain()


async def not_http(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Speak another protocol."""
    writer.write(b"220 mail.example.test ESMTP ready\r\n")
    await writer.drain()


def drips(status: int = 200, pause_s: float = 0.05) -> Misbehaviour:
    """Answer with headers at once and a body of one byte at a time, for ever."""

    async def drip(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(encode(Answer(status, [("Content-Length", str(TEN_GB))])))
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(pause_s)

    return drip


async def drips_headers(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Answer one header at a time, for ever, so that the headers are never complete."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    number = 0
    while True:
        number += 1
        writer.write(f"X-{number}: {number}\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.05)


class TenGigabytes:
    """Answer with a body of 10 GB, as fast as it is taken; ``sent`` counts."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.sent = 0

    async def __call__(self, _request: Request, writer: asyncio.StreamWriter) -> None:
        """Send until the client hangs up."""
        writer.write(encode(Answer(self.status, [("Content-Length", str(TEN_GB))])))
        chunk = b"x" * 65_536
        while self.sent < TEN_GB:
            writer.write(chunk)
            await writer.drain()
            self.sent += len(chunk)


def many_headers(count: int = 100_000) -> Answer:
    """Answer with so many headers."""
    return Answer(200, [(f"X-Header-{number}", "value") for number in range(count)])


def huge_header(size: int = 1_000_000) -> Answer:
    """Answer with one header of so many bytes."""
    return Answer(200, [("X-Huge", "x" * size)])


def resets_after(status: int = 200) -> Misbehaviour:
    """Answer with headers, promise a body, send a little of it and RST."""

    async def reset_after(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(encode(Answer(status, [("Content-Length", "1000")], b"so far")))
        await writer.drain()
        # RST throws away what the client has not read yet; let the headers arrive.
        await asyncio.sleep(0.2)
        cut(writer)

    return reset_after


def gzip_bomb(megabytes: int = 100) -> Answer:
    """Answer with a small gzip body that grows to so many MB."""
    body = gzip.compress(bytes(megabytes * 1024 * 1024), compresslevel=9)
    return Answer(200, [("Content-Encoding", "gzip")], body)
