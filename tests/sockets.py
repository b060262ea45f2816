"""Watches what this process dials and looks up, whoever does it: Python's own audit events.

with watched_sockets() as seen:
    ...
assert seen.dialled == [("93.184.215.14", 443)]

And ``deaf_port`` is one at which nobody answers.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Seen:
    """Addresses that a socket was told to connect to, and names that the system was asked for.

    With ``refuse`` the connection is refused before it leaves the machine.
    """

    refuse: bool
    dialled: list[tuple[Any, ...]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)


_watching: list[Seen] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "socket.connect":
        address = arguments[1]
        for seen in _watching:
            seen.dialled.append(address)
        if any(seen.refuse for seen in _watching):
            raise ConnectionRefusedError
    elif event == "socket.getaddrinfo":
        for seen in _watching:
            seen.looked_up.append(arguments[0])


class _Installed:
    """An audit hook cannot be taken away again."""

    done = False


@contextmanager
def watched_sockets(*, refuse: bool = False) -> Iterator[Seen]:
    """Watch all sockets of this process."""
    if not _Installed.done:
        sys.addaudithook(_hook)
        _Installed.done = True
    seen = Seen(refuse)
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.remove(seen)


@contextmanager
def deaf_port() -> Iterator[int]:
    """Hold a port of 127.0.0.1 that refuses connections, and that nobody else can take."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        yield port
