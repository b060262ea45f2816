"""One HTTP request over a plain socket, which may be as wrong as it likes, and its answer."""

from __future__ import annotations

import http.client
import json
import select
import socket
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and how much of the body went out before it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    bytes_sent: int

    def json(self) -> Any:
        return json.loads(self.body)


def exchange(
    base_url: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | Iterable[bytes] = b"",
    *,
    timeout_s: float = 30.0,
) -> Answered:
    """Send a request and read the answer; a body in pieces goes out chunked.

    Stops sending as soon as something comes back, as a careful client does.
    """
    url = urlsplit(base_url)
    assert url.hostname is not None
    assert url.port is not None
    lines = [f"{method} {path} HTTP/1.1", f"host: {url.hostname}:{url.port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if not isinstance(body, bytes):
        lines.append("transfer-encoding: chunked")
    elif (body or method in {"POST", "PATCH"}) and "content-length" not in headers:
        lines.append(f"content-length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    with socket.create_connection((url.hostname, url.port), timeout_s) as connection:
        sent = _send(connection, head, [body] if isinstance(body, bytes) else _framed(body))
        response = http.client.HTTPResponse(connection, method=method)
        with closing(response):
            response.begin()
            content = response.read()
        return Answered(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            content,
            sent,
        )


def _framed(pieces: Iterable[bytes]) -> Iterable[bytes]:
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _send(connection: socket.socket, head: bytes, pieces: Iterable[bytes]) -> int:
    connection.sendall(head)
    sent = 0
    for piece in pieces:
        for start in range(0, len(piece), PIECE_BYTES):
            if select.select([connection], [], [], 0)[0]:
                return sent
            part = piece[start : start + PIECE_BYTES]
            try:
                connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                return sent
            sent += len(part)
    return sent
