"""Which IP addresses are no receiver on the public internet, and what each of them is.

Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (as of 2025-10-09), whole, with
the entries that are "globally reachable" too, since none of them is a place where somebody listens
for webhooks; the IANA IPv6 and multicast address space registries; what clouds document.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

_IPV4 = [
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "an address of this host"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a shared address of a carrier (CGNAT)"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "an address of a cloud's own service"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "an address reserved for protocols"),
        ("192.0.2.0/24", "an address reserved for documentation"),
        ("192.31.196.0/24", "an address of AS112"),
        ("192.52.193.0/24", "an address reserved for multicast tunnels (AMT)"),
        ("192.88.99.0/24", "an address reserved for 6to4"),
        ("192.168.0.0/16", "a private address"),
        ("192.175.48.0/24", "an address of AS112"),
        ("198.18.0.0/15", "an address reserved for benchmarks"),
        ("198.51.100.0/24", "an address reserved for documentation"),
        ("203.0.113.0/24", "an address reserved for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
]
_MAPPED = IPv6Network("::ffff:0:0/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_TEREDO = IPv6Network("2001::/32")
_6TO4 = IPv6Network("2002::/16")
_IPV6 = [
    (IPv6Network(network), what)
    for network, what in (
        ("::/128", "an address of this host"),
        ("::1/128", "a loopback address"),
        (_COMPATIBLE, "an IPv4-compatible address, which hides an IPv4 address"),
        (_MAPPED, "an IPv4-mapped address, which hides an IPv4 address"),
        (_TRANSLATED, "an IPv4-translated address, which hides an IPv4 address"),
        (_NAT64_LOCAL, "a NAT64 address of a private network"),
        ("100::/64", "an address whose packets are discarded"),
        ("100:0:0:1::/64", "a dummy address"),
        (_TEREDO, "a Teredo address, which hides an IPv4 address"),
        ("2001:2::/48", "an address reserved for benchmarks"),
        ("2001:10::/28", "an ORCHID, which is no address"),
        ("2001:20::/28", "an ORCHID, which is no address"),
        ("2001:30::/28", "a drone's identifier, which is no address"),
        ("2001::/23", "an address reserved for protocols"),
        ("2001:db8::/32", "an address reserved for documentation"),
        (_6TO4, "a 6to4 address, which hides an IPv4 address"),
        ("2620:4f:8000::/48", "an address of AS112"),
        ("3ffe::/16", "a reserved address"),
        ("3fff::/20", "an address reserved for documentation"),
        ("5f00::/16", "a segment routing (SRv6) identifier"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    )
]
# All that IANA has given out for the public internet; whatever lies outside is something else.
_IPV6_UNICAST = IPv6Network("2000::/3")
# RFC 5214: the interface identifier of ISATAP, whatever its "universal" and "group" bits say.
_ISATAP, _ISATAP_MASK = 0x0000_5EFE, 0xFCFF_FFFF
_32_BITS = 0xFFFF_FFFF


def special(address: Address) -> str | None:
    """Return what ``address`` is, such as ``a loopback address``, or None for a public one.

    An address of NAT64's well-known prefix is what the IPv4 address inside is: on a network with
    DNS64 every receiver without IPv6 has one, and whoever dials it dials that IPv4 address.
    """
    if isinstance(address, IPv4Address):
        return next((what for network, what in _IPV4 if address in network), None)
    if is_nat64(address):
        return special(IPv4Address(int(address) & _32_BITS))
    for network, what in _IPV6:
        if address in network:
            return what
    if address not in _IPV6_UNICAST:
        return "a reserved address"
    return "an ISATAP address, which hides an IPv4 address" if _is_isatap(address) else None


def is_nat64(address: Address) -> bool:
    """Whether ``address`` has NAT64's well-known prefix (RFC 6052)."""
    return isinstance(address, IPv6Address) and address in _NAT64


def hidden(address: Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address carries: dialling it may dial one of them."""
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    if any(address in network for network in (_MAPPED, _TRANSLATED, _COMPATIBLE, _NAT64)):
        yield IPv4Address(number & _32_BITS)
    elif address in _NAT64_LOCAL:
        yield IPv4Address(number & _32_BITS)
        # RFC 6052, section 2.2: with a prefix of 48 bits, around the byte that is zero.
        yield IPv4Address((number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF)
    elif address in _6TO4:
        yield IPv4Address(number >> 80 & _32_BITS)
    elif address in _TEREDO:
        yield IPv4Address(number >> 64 & _32_BITS)
        yield IPv4Address(~number & _32_BITS)
    if _is_isatap(address):
        yield IPv4Address(number & _32_BITS)


def _is_isatap(address: IPv6Address) -> bool:
    return int(address) >> 32 & _ISATAP_MASK == _ISATAP
