"""Lists of hosts that an operator allows or denies: names, ``*.names``, addresses and networks."""

from __future__ import annotations

import functools
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from webhook.domain.host import HostError, canonical_host, literal
from webhook.domain.special_addresses import Address

_REMEDY = (
    "write a host (hooks.internal), all hosts below one (*.internal), or a network (10.0.0.0/8)"
)


class HostList(NamedTuple):
    """A list that has been read. A pattern ``*.internal`` has all names below it, not itself."""

    names: frozenset[str]
    parents: frozenset[str]
    networks: tuple[IPv4Network | IPv6Network, ...]

    def has_name(self, name: str) -> bool:
        """Whether a canonical name stands on the list."""
        labels = name.split(".")
        return name in self.names or any(
            ".".join(labels[start:]) in self.parents for start in range(1, len(labels))
        )

    def has_address(self, address: Address) -> bool:
        """Whether an address lies in one of the list's networks."""
        return any(address in network for network in self.networks)


@functools.lru_cache(32)
def read_hosts(entries: tuple[str, ...]) -> HostList:
    """Read a list. A ``ValueError`` names the entry and says what to write."""
    names: set[str] = set()
    parents: set[str] = set()
    networks: list[IPv4Network | IPv6Network] = []
    for entry in entries:
        try:
            if "/" in entry:
                networks.append(ip_network(entry))
                continue
            plain = entry.removeprefix("*.")
            # An IPv6 address may stand without its brackets.
            host = canonical_host(f"[{plain}]" if ":" in plain and plain[0] != "[" else plain)
        except (HostError, ValueError):
            raise ValueError(f"{entry[:80]!r} is no such thing; {_REMEDY}.") from None
        address = literal(host)
        if address is None:
            (names if plain == entry else parents).add(host)
        elif plain == entry:
            networks.append(ip_network(address))
        else:
            raise ValueError(f"{entry[:80]!r} is no such thing; {_REMEDY}.")
    return HostList(frozenset(names), frozenset(parents), tuple(networks))
