"""Looks names up over DNS-over-HTTPS (RFC 8484), for a platform that resolves out of our sight.

What is found is judged before the platform looks the name up again by itself, so a name that
changes its address in between is not caught; one that is simply private is.
"""

from __future__ import annotations

from webhook.adapters.cloudflare.fetching import post, read_beginning
from webhook.domain.dns_message import RecordType, dns_addresses, dns_query
from webhook.domain.model import RESPONSE_BYTES_MAX, ErrorKind
from webhook.domain.url_rules import UrlRules, address_problem
from webhook.ports import Clock

KEPT_MS = 10_000
_HEADERS = {"content-type": "application/dns-message", "accept": "application/dns-message"}
_OK = 200


class NameRefusedError(Exception):
    """A name has a forbidden address, or none, or nobody could tell. ``kind`` says which."""

    def __init__(self, kind: ErrorKind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence


class DnsOverHttps:
    """Asks the resolver at ``url``; what it said of a name holds for ``KEPT_MS``."""

    def __init__(self, url: str, *, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._known: dict[str, tuple[float, list[str]]] = {}

    async def check(self, name: str, rules: UrlRules) -> None:
        """Raise ``NameRefusedError`` unless all addresses of ``name`` may be sent to."""
        addresses = await self._addresses(name)
        if not addresses:
            raise NameRefusedError(ErrorKind.DNS, f"DNS: no address for {name}")
        for address in addresses:
            if problem := address_problem(address, rules, name):
                sentence = f"blocked: {name} resolves to {problem}"
                raise NameRefusedError(ErrorKind.BLOCKED, sentence)

    async def _addresses(self, name: str) -> list[str]:
        until, addresses = self._known.get(name, (0, []))
        if self._clock.monotonic_ms() < until:
            return addresses
        # One after the other: an invocation has six connections.
        addresses = [address for kind in RecordType for address in await self._ask(name, kind)]
        self._known[name] = (self._clock.monotonic_ms() + KEPT_MS, addresses)
        return addresses

    async def _ask(self, name: str, record_type: RecordType) -> list[str]:
        message = bytearray()
        try:
            response = await post(self._url, _HEADERS, dns_query(name, record_type))
            note = await read_beginning(response, message)
            if int(response.status) == _OK and note is None and len(message) <= RESPONSE_BYTES_MAX:
                return dns_addresses(bytes(message))
        except (OSError, ValueError):
            pass
        # Whoever asked for the check would rather wait than send unchecked.
        raise NameRefusedError(ErrorKind.DNS, f"DNS: no answer for {name}")
