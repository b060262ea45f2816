"""Misbehaviours for ``tests.receiver``: what receivers do, by bad luck or on purpose."""

from __future__ import annotations

import asyncio
import functools
import gzip
import socket
import struct
import zlib

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


class Flood:
    """Answer with ``head``, then with ``chunk`` for ever, as fast as it is taken; ``sent`` counts.

    What waits in buffers of this end counts too, and is kept small.
    """

    def __init__(self, head: bytes, chunk: bytes) -> None:
        self.head = head
        self.chunk = chunk * max(1, 65_536 // len(chunk))
        self.sent = 0
        self.active = 0

    async def __call__(self, _request: Request, writer: asyncio.StreamWriter) -> None:
        """Send until the client hangs up."""
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        writer.write(self.head)
        self.active += 1
        try:
            while True:
                writer.write(self.chunk)
                await writer.drain()
                self.sent += len(self.chunk)
        finally:
            self.active -= 1


class TenGigabytes(Flood):
    """Answer with a body of 10 GB."""

    def __init__(self, status: int = 200) -> None:
        super().__init__(encode(Answer(status, [("Content-Length", str(TEN_GB))])), b"x")


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


def floods() -> dict[str, Flood]:
    """Return every way to go on for ever, as fast as one is read."""
    ok = b"HTTP/1.1 200 OK\r\n"
    chunked = ok + b"Transfer-Encoding: chunked\r\n\r\n"
    return {
        "body": TenGigabytes(),
        "body-of-a-failure": TenGigabytes(503),
        "body-without-length": Flood(ok + b"\r\n", b"x"),
        "chunks-of-one-byte": Flood(chunked, b"1\r\nx\r\n"),
        "chunk-extension": Flood(chunked + b"1;", b"x"),
        "chunk-extensions": Flood(chunked, b"1;a=b;c=d\r\nx\r\n"),
        "chunk-size": Flood(chunked, b"0"),
        "trailers": Flood(chunked + b"0\r\n", b"X-Trailer: value\r\n"),
        "headers": Flood(ok, b"X-Header: value\r\n"),
        "header-line": Flood(ok + b"X-Header: ", b"x"),
        "folded-header": Flood(ok + b"X-Header: a\r\n", b" folded\r\n"),
        "status-line": Flood(b"HTTP/1.1 200 ", b"x"),
        "informational": Flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        "early-hints": Flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        "empty-lines": Flood(b"", b"\r\n"),
        "zeros": Flood(b"", b"\0"),
        "answers": Flood(b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        "switched-protocols": Flood(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"x"
        ),
        "compressed": Flood(ok + b"Content-Encoding: gzip\r\n\r\n" + _endless_gzip(), b"\0"),
    }


@functools.cache
def _endless_gzip() -> bytes:
    """Return the beginning of a gzip body that never ends."""
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(bytes(20 * 1024 * 1024)) + packer.flush(zlib.Z_SYNC_FLUSH)


def garbled() -> dict[str, bytes]:
    """Return answers that are not quite HTTP, each ended by hanging up.

    Those that a client may take for whole say so, lest it keep the connection for its next request.
    """
    last = ("Connection", "close")
    return {
        "nothing-but-zeros": bytes(4096),
        "tls": b"\x15\x03\x01\x00\x02\x02\x50",
        "smtp": b"220 mail.example.test ESMTP ready\r\n",
        "http-0.9": b"<html>hello</html>",
        "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "http-9": b"HTTP/9.9 200 OK\r\n\r\n",
        "no-status": b"HTTP/1.1 OK\r\n\r\n",
        "status-0": b"HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n",
        "status-99": b"HTTP/1.1 99 Less\r\nContent-Length: 0\r\n\r\n",
        "status-1000": b"HTTP/1.1 1000 More\r\nContent-Length: 0\r\n\r\n",
        "status-minus-1": b"HTTP/1.1 -1 Less\r\nContent-Length: 0\r\n\r\n",
        "status-wide": "HTTP/1.1 \uff12\uff10\uff10 OK\r\nContent-Length: 0\r\n\r\n".encode(),
        "length-minus-1": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
        "length-enormous": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 200 + b"\r\n\r\nabc",
        "length-twice": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 3\r\n\r\nabc",
        "length-and-chunked": b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "chunk-size-negative": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc",
        "chunk-size-enormous": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"f" * 32
        + b"\r\nabc",
        "nul-in-a-header": b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
        "bare-line-feeds": b"HTTP/1.1 200 OK\nConnection: close\nContent-Length: 0\n\n",
        "header-without-colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n",
        "header-without-name": b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
        "headers-of-bytes": b"HTTP/1.1 200 \xff\xfe\r\nConnection: close\r\nX: \xff\r\n"
        b"Content-Length: 0\r\n\r\n",
        "half-a-body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "broken-gzip": encode(Answer(200, [last, ("Content-Encoding", "gzip")], b"abcde")),
        "unknown-encoding": encode(Answer(200, [last, ("Content-Encoding", "aes")], b"abcde")),
    }


def writes(answer: bytes) -> Misbehaviour:
    """Answer with these bytes and hang up."""

    async def write(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return write
