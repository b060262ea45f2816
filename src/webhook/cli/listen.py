"""Opens the address to listen on, before anything else is touched."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from ipaddress import ip_address

from webhook.domain.errors import ConfigError

_BACKLOG = 2048


async def listen(host: str, port: int, *, loopback_only: bool) -> socket.socket:
    """Return a socket that listens. Raises ``ConfigError`` with the reason and the remedy."""
    family, address = await _resolve(host, port)
    if loopback_only and not ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise ConfigError(
            f"--insecure lets everybody in who can reach {host}, so it is for loopback addresses "
            "alone. Leave it out, or listen on 127.0.0.1."
        )
    # Named as TCP, since asyncio switches Nagle's algorithm off only then: without, every answer on
    # a connection that is kept open waits 40 ms for the caller's delayed acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        # At once: who connects before the store is open waits, and a second server is refused.
        sock.listen(_BACKLOG)
        sock.settimeout(0)
    except OSError as error:
        sock.close()
        raise ConfigError(_reason(error, host, port)) from error
    return sock


def url_of(sock: socket.socket) -> str:
    """Return the URL under which this machine reaches a socket."""
    host, port = sock.getsockname()[:2]
    if ip_address(host.partition("%")[0]).is_unspecified:
        host = "127.0.0.1" if sock.family == socket.AF_INET else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _resolve(host: str, port: int) -> tuple[int, tuple[str | int, ...]]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(
            f"{host!r} is no address of this machine ({error.strerror or error}). Choose another "
            "with --host or WEBHOOK_HOST."
        ) from error
    # A name such as localhost has several; everybody who tries them in turn finds the IPv4 one.
    found.sort(key=lambda info: info[0] != socket.AF_INET)
    family, _, _, _, address = found[0]
    return family, (str(address[0]), *address[1:])


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is taken by another program. Choose another with --port or "
            "WEBHOOK_PORT; 0 takes a free one."
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return (
            f"This user may not listen on port {port}. Choose one above 1023 with --port or "
            "WEBHOOK_PORT."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"This machine has no address {host}. Choose another with --host or WEBHOOK_HOST."
    return f"Cannot listen on port {port} of {host}: {error.strerror or error}."
