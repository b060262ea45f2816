"""Looks names up and checks every address before it may be dialled.

The addresses that were checked are the ones that aiohttp dials, so a name that changes its address
between registration and delivery (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

from webhook.adapters.aiohttp_errors import BlockedAddressError
from webhook.domain.url_rules import UrlRules, address_problem

LOOKUPS_MAX = 64
Lookup = Callable[[str], Sequence[str]]


def system_lookup(host: str) -> list[str]:
    """Ask the operating system for the addresses of ``host``; blocks."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(address[0]) for *_, address in found]


class CheckedResolver(AbstractResolver):
    """Refuses the whole name when any of its addresses is forbidden by ``rules``.

    A good address beside a bad one is how rebinding looks, not how a receiver does.
    """

    def __init__(self, rules: UrlRules, lookup: Lookup = system_lookup) -> None:
        self._rules = rules
        self._lookup = lookup
        # Threads of its own: a name server that does not answer holds a thread for many seconds,
        # and asyncio's shared pool has only a handful.
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="webhook-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of ``host``; raises ``BlockedAddressError`` or ``gaierror``."""
        loop = asyncio.get_running_loop()
        addresses = await loop.run_in_executor(self._threads, self._lookup, host)
        for address in addresses:
            if problem := address_problem(address, self._rules, host):
                raise BlockedAddressError(problem)
        results = [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]
        wanted = [one for one in results if family in {socket.AF_UNSPEC, one["family"]}]
        if not wanted:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        return wanted

    async def close(self) -> None:
        """Let the threads go; one that still waits for a name server ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
