"""No spelling of an address or name inside a network passes for a public one.

The ranges are those of the IANA special-purpose address registries, each with its neighbours.
"""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.domain.errors import InvalidInput
from webhook.domain.url_rules import UrlRules, address_problem, check_url

PUBLIC = UrlRules()
ANY = UrlRules(allow_private_hosts=True, allow_http=True)


def refusal(url: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        check_url(url, PUBLIC)
    return caught.value.errors[0].detail


SPECIAL_IPV4 = [
    "0.0.0.0",  # noqa: S104 - nothing binds to it here
    "0.1.2.3", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0",
    "100.100.100.200", "100.127.255.255", "127.0.0.0", "127.0.0.1", "127.255.255.255",
    "168.63.129.16", "169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0",
    "172.31.255.255", "192.0.0.0", "192.0.0.8", "192.0.0.170", "192.0.0.192", "192.0.0.255",
    "192.0.2.0", "192.0.2.255", "192.31.196.0", "192.52.193.255", "192.175.48.1",
    "192.88.99.0", "192.88.99.255", "192.168.0.0", "192.168.0.10",
    "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255",
    "203.0.113.0", "203.0.113.255", "224.0.0.0", "224.0.0.1", "239.255.255.255", "240.0.0.0",
    "254.255.255.255", "255.255.255.255",
]  # fmt: skip
# Each is the neighbour of a special range.
PUBLIC_IPV4 = [
    "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0",
    "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255",
    "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
    "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "8.8.8.8",
]  # fmt: skip
SPECIAL_IPV6 = [
    "::", "::1", "::2", "::7f00:1", "::8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b:1::", "64:ff9b:1::1",
    "100::", "100::1", "100:0:0:1::", "200::", "1fff:ffff::", "2001::", "2001::1", "2001:0:4136::1",
    "2001:1::1", "2001:2::", "2001:3::", "2001:4:112::", "2001:10::", "2001:20::", "2001:30::",
    "2001:1ff:ffff::", "2001:db8::", "2001:db8:ffff::", "2002::", "2002:808:808::", "2002:7f00:1::",
    "2606:4700::5efe:808:808", "2620:4f:8000::1",
    "3ffe::1", "3fff::", "3fff:fff::", "4000::", "5f00::", "fc00::", "fd00::1", "fd00:ec2::254",
    "fdff:ffff::", "fe00::", "fe80::", "fe80::1", "febf::", "fec0::", "feff::", "ff00::", "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
]  # fmt: skip
PUBLIC_IPV6 = [
    "2000::", "2001:200::", "2001:4860:4860::8888", "2001:db7::", "2001:db9::", "2003::",
    "2400:cb00::", "2606:4700::1111", "2606:4700::10:5efe:808:808", "2620:4f:7fff:ffff::",
    "2620:4f:8001::", "2a00::", "3ffd::", "3fff:1000::",
]  # fmt: skip


def embeddings(ip: str) -> list[str]:
    """Return every form of IPv6 that carries an IPv4 address."""
    number = int(ipaddress.IPv4Address(ip))
    high, low = number >> 16, number & 0xFFFF
    flipped_high, flipped_low = high ^ 0xFFFF, low ^ 0xFFFF
    return [
        f"::ffff:{ip}",
        f"::ffff:{high:x}:{low:x}",
        f"0:0:0:0:0:FFFF:{high:X}:{low:X}",
        f"::{high:x}:{low:x}",
        f"::ffff:0:{high:x}:{low:x}",
        f"64:ff9b::{high:x}:{low:x}",
        f"64:ff9b:1::{high:x}:{low:x}",
        f"2002:{high:x}:{low:x}::",
        f"2002:{high:x}:{low:x}::1",
        f"2001:0:808:808:0:0:{flipped_high:x}:{flipped_low:x}",
        f"2001:0:{high:x}:{low:x}::1",
        f"2606:4700::5efe:{high:x}:{low:x}",
        f"2606:4700::200:5efe:{high:x}:{low:x}",
        f"fe80::5efe:{high:x}:{low:x}",
    ]


def spellings(ip: str) -> list[str]:
    """Return the ways to write an IPv4 address that a URL parser understands."""
    a, b, c, d = (int(part) for part in ip.split("."))
    number = int(ipaddress.IPv4Address(ip))
    wide = {ord(char): ord(char) + 0xFEE0 for char in "0123456789."}
    return [
        ip,
        f"{ip}.",
        str(number),
        f"{number:#x}",
        f"0X{number:X}",
        f"0{number:o}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"000{a:o}.{b}.{c}.{d}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"{a}.{b}.{(c << 8) + d}",
        f"{a}.{(b << 16) + (c << 8) + d}",
        f"{a:#x}.{b}.0{(c << 8) + d:o}",
        ip.translate(wide),
        ip.replace(".", "\u3002"),
        "".join(f"%{ord(char):02x}" for char in ip),
        ip.replace(".", "%2E"),
        "".join(f"%{byte:02X}" for byte in ip.translate(wide).encode()),
    ]  # fmt: skip


@pytest.mark.parametrize("ip", SPECIAL_IPV4)
def test_a_special_ipv4_address_is_refused_in_every_spelling(ip: str) -> None:
    assert address_problem(ip, PUBLIC) is not None
    assert address_problem(ip, ANY) is None
    for host in spellings(ip):
        assert "allow_private_hosts" in refusal(f"https://{host}/")
        assert check_url(f"https://{host}/", ANY) == f"https://{ip}/"
    for host in embeddings(ip):
        assert address_problem(host, PUBLIC) is not None, host
        assert "allow_private_hosts" in refusal(f"https://[{host}]/")
        assert check_url(f"https://[{host}]/", ANY)


@pytest.mark.parametrize("ip", PUBLIC_IPV4)
def test_its_neighbours_are_public(ip: str) -> None:
    assert address_problem(ip, PUBLIC) is None
    for host in spellings(ip):
        assert check_url(f"https://{host}/", PUBLIC) == f"https://{ip}/"


@pytest.mark.parametrize("ip", SPECIAL_IPV6)
def test_a_special_ipv6_address_is_refused(ip: str) -> None:
    assert address_problem(ip, PUBLIC) is not None
    assert address_problem(ip, ANY) is None
    refusal(f"https://[{ip}]/")
    refusal(f"https://[{ipaddress.IPv6Address(ip).exploded}]:8443/")
    assert check_url(f"https://[{ip}]/", ANY)


@pytest.mark.parametrize("ip", PUBLIC_IPV6)
def test_other_ipv6_addresses_are_public(ip: str) -> None:
    assert address_problem(ip, PUBLIC) is None
    assert check_url(f"https://[{ip}]/", PUBLIC)


@pytest.mark.parametrize(
    ("ip", "problem"),
    [
        # On a network with DNS64 this is what a receiver without IPv6 resolves to.
        ("64:ff9b::8.8.8.8", None),
        ("64:ff9b::127.0.0.1", "a loopback address"),
        ("64:ff9b::10.0.0.1", "a private address"),
        ("64:ff9b:1::8.8.8.8", "a NAT64 address of a private network"),
    ],
)
def test_a_name_may_resolve_to_nat64_of_a_public_address(ip: str, problem: str | None) -> None:
    assert address_problem(ip, PUBLIC) == problem
    assert "NAT64" in refusal(f"https://[{ip}]/")


@pytest.mark.parametrize(
    "ip", ["", "x", "1.2.3", "01.2.3.4", "::g", "localhost", "1.2.3.4%eth0x::"]
)
def test_what_is_no_address_is_never_dialled(ip: str) -> None:
    assert address_problem(ip, PUBLIC) is not None or ip == "1.2.3.4%eth0x::"
    if ip != "1.2.3.4%eth0x::":
        assert address_problem(ip, ANY) is not None


def test_a_scope_id_changes_nothing() -> None:
    assert address_problem("fe80::1%eth0", PUBLIC) == "a link-local address"
    assert address_problem("fe80::1%eth0", ANY) is None


@given(st.ip_addresses())
def test_nothing_that_the_standard_library_calls_special_is_public(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address_problem(str(ip), PUBLIC) is not None:
        return
    inner = ip
    if isinstance(ip, ipaddress.IPv6Address):
        carried = ip.ipv4_mapped or (
            ip in ipaddress.IPv6Network("64:ff9b::/96")
            and ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        )
        inner = carried or ip
    assert inner.is_global
    assert not inner.is_multicast
    assert not inner.is_reserved


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST", "localhost.", "a.localhost", "a.b.localhost.", "loc\uff41lhost",
        "%6cocalhost", "localhost.localdomain", "printer", "printer.", "router", "b\u00fccher",
        "xn--bcher-kva",
        "printer.local", "PRINTER.LOCAL.", "a.b.local", "db.internal", "metadata.google.internal",
        "instance-data.ec2.internal", "router.lan", "nas.home.arpa", "home.arpa", "a.home",
        "a.corp", "a.intranet", "a.private", "api.default.svc", "api.default.svc.cluster.local",
        "local", "internal", "lan", "a\u3002local",
    ],
)  # fmt: skip
def test_names_of_private_networks_are_refused(host: str) -> None:
    assert "allow_private_hosts" in refusal(f"https://{host}/")
    assert check_url(f"https://{host}/", ANY)


@pytest.mark.parametrize(
    "host",
    [
        "local.example.com", "localhost.example.com", "internal.example.com", "mylocal.com",
        "notlocalhost.com", "a.locals", "lan.com", "home.com", "arpa.com", "a.home.arpa.com",
        "127.0.0.1.nip.io", "0x7f.com", "1.2.3.4.com", "svc.example",
    ],
)  # fmt: skip
def test_names_that_only_look_like_them_are_not(host: str) -> None:
    assert check_url(f"https://{host}/", PUBLIC) == f"https://{host}/"


@pytest.mark.parametrize("port", [22, 25, 53, 110, 143, 445, 465, 587, 3306, 5432, 6379, 11211])
def test_ports_of_other_services_are_refused(port: int) -> None:
    assert str(port) in refusal(f"https://example.com:{port}/")
    # Least of all on an allowed private host, where such a service may well listen.
    with pytest.raises(InvalidInput, match=str(port)):
        check_url(f"https://hooks.corp:{port}/", UrlRules(allow_hosts=("*.corp",)))
    assert check_url(f"https://example.com:{port}/", ANY) == f"https://example.com:{port}/"


@pytest.mark.parametrize("port", [80, 1024, 3000, 8000, 8080, 8443, 8787, 65535])
def test_other_ports_are_not(port: int) -> None:
    assert check_url(f"https://example.com:{port}/", PUBLIC) == f"https://example.com:{port}/"
