"""Which URLs may be endpoints: one canonical spelling, and no address inside somebody's network.

``check_url`` judges what was written, ``address_problem`` what a name resolved to; a sender that
resolves names itself asks the second before it dials. Sources: the WHATWG URL standard (host
parsing, its IPv4 and "ends in a number" rules, percent-encoding), the IANA special-purpose address
registries, RFC 6761, 6762 and 8375 (names), the WHATWG Fetch standard, "port blocking".
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import quote, unquote_to_bytes

import msgspec

from webhook.domain.errors import InvalidInput

URL_CHARS_MAX = 2048
POINTER = "/url"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PORT_MAX, _PORT_CHARS_MAX = 65_535, 16
_LABEL_CHARS_MAX, _NAME_CHARS_MAX = 63, 253
_IPV4_PARTS_MAX = 4
_IPV4_PART_MAX = 255

# Everything after the host that WHATWG leaves alone, and "%", which starts an escape already made.
_PATH_SAFE = "/%!$&'()*+,;=:@[]~"
_QUERY_SAFE = "/%!$&()*+,;=:@[]~?"

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)")
# Control characters, every kind of space, what prints as nothing, and halves of characters.
_UNFIT = re.compile(r"[\x00-\x20\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f"
                    r"\u3000\ufeff\ufff9-\uffff\ud800-\udfff]")  # fmt: skip
# What a host name's mapping would drop without a trace, so that two names look like one.
_INVISIBLE = re.compile(r"[\xad\u034f\u180b-\u180f\u200b-\u200f\ufe00-\ufe0f\U000e0000-\U000e0fff]")
_NAME = re.compile(r"[a-z0-9_-]+")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")

# RFC 6761, 6762, 8375, ICANN's .internal, and what home routers, offices and clusters use.
_PRIVATE_NAMES = frozenset((
    "localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan",
    "home.arpa", "svc",
))  # fmt: skip

# The ports of the Fetch standard's list that a server of something else listens on, and databases.
_BAD_PORTS = frozenset((
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 445, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 873, 989, 990,
    993, 995, 1433, 1521, 1719, 1720, 1723, 2049, 2375, 2379, 3306, 3389, 3659, 4045, 4190, 5060,
    5061, 5432, 5900, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9200, 10080,
    10250, 11211, 27017,
))  # fmt: skip

_IPV4_REFUSED = [
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
        ("192.88.99.0/24", "an address reserved for 6to4"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address reserved for benchmarks"),
        ("198.51.100.0/24", "an address reserved for documentation"),
        ("203.0.113.0/24", "an address reserved for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
]
_IPV6_REFUSED = [
    (IPv6Network(network), what)
    for network, what in (
        ("::/128", "an address of this host"),
        ("::1/128", "a loopback address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
        ("2001::/32", "a Teredo address, which hides an IPv4 address"),
        ("2001::/23", "an address reserved for protocols"),
        ("2001:db8::/32", "an address reserved for documentation"),
        ("2002::/16", "a 6to4 address, which hides an IPv4 address"),
        ("3ffe::/16", "a reserved address"),
        ("3fff::/20", "an address reserved for documentation"),
    )
]
# All that IANA has given out for the public internet; whatever lies outside is something else.
_IPV6_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)


class UrlRules(msgspec.Struct, frozen=True):
    """What is allowed beyond https to the public internet."""

    allow_private_hosts: bool = False
    allow_http: bool = False


def check_url(raw: str, rules: UrlRules) -> str:
    """Return the canonical spelling of an endpoint's URL, which the WHATWG rules leave unchanged.

    Raises ``InvalidInput`` at ``/url`` with the remedy. Names are not resolved here.
    """
    if len(raw) > URL_CHARS_MAX:
        raise _refusal(f"A URL has at most {URL_CHARS_MAX} characters.")
    if _UNFIT.search(raw):
        raise _refusal("Remove spaces, control and invisible characters, or percent-encode them.")
    if "\\" in raw.partition("?")[0]:
        raise _refusal("Write / instead of a backslash.")
    match = _URL.fullmatch(raw)
    if match is None:
        raise _refusal("Write a whole URL, such as https://example.com/hook.")
    scheme = match["scheme"].lower()
    if scheme != "https" and not (scheme == "http" and rules.allow_http):
        raise _refusal("Use https, or set allow_http." if scheme == "http" else "Use https.")
    if "@" in match["authority"]:
        raise _refusal("Remove the user name and password; use a custom header instead.")
    if "#" in match["rest"]:
        raise _refusal("Remove the fragment (#...), which no server ever sees.")
    written_host, port = _split_port(match["authority"], scheme)
    host = _canonical_host(written_host)
    if not rules.allow_private_hosts:
        _check_public(host, port)
    authority = host if port is None else f"{host}:{port}"
    path, mark, query = match["rest"].partition("?")
    target = _canonical_path(path) + mark + quote(query, safe=_QUERY_SAFE)
    url = f"{scheme}://{authority}{target}"
    if len(url) > URL_CHARS_MAX:
        raise _refusal(f"A URL has at most {URL_CHARS_MAX} characters, percent-encoded.")
    return url


def address_problem(ip: str, rules: UrlRules) -> str | None:
    """Return what forbids a connection to ``ip``, such as ``a loopback address``, or None.

    Takes IPv4 and IPv6 as ``getaddrinfo`` gives them, a scope id included.
    """
    text = ip.partition("%")[0]
    try:
        address = IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError:
        return "no IP address"
    return None if rules.allow_private_hosts else _not_public(address)


def validate_endpoint_url(
    raw: str, *, allow_private_hosts: bool = False, allow_http: bool = False
) -> str:
    """Return the canonical spelling of an endpoint's URL; raises ``InvalidInput`` if refused."""
    return check_url(raw, UrlRules(allow_private_hosts, allow_http))


def url_host(url: str) -> str:
    """Return host and port of a URL: all of it that logs and errors may show."""
    authority = re.split(r"[/?#\\]", url.partition("://")[2], maxsplit=1)[0]
    return authority.rpartition("@")[2]


def _refusal(detail: str) -> InvalidInput:
    return InvalidInput.at(POINTER, detail)


def _split_port(authority: str, scheme: str) -> tuple[str, int | None]:
    """Take the port off; None when it is the scheme's own."""
    bracket = authority.rfind("]")
    host, colon, text = authority[bracket + 1 :].partition(":")
    host = authority[: bracket + 1] + host
    if not colon or not text:
        return host, None
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= _PORT_CHARS_MAX else 0
    if not 1 <= port <= _PORT_MAX:
        raise _refusal(f"The port is a number from 1 to {_PORT_MAX}.")
    return host, None if port == _DEFAULT_PORTS[scheme] else port


def _canonical_host(text: str) -> str:
    if not text:
        raise _refusal("The host is missing: https://example.com/hook.")
    if text.startswith("["):
        return _canonical_ipv6(text)
    try:
        # WHATWG decodes before it maps, so %31%30.0.0.1 is 10.0.0.1.
        name = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise _refusal("The host's percent-encoding is not UTF-8.") from None
    if _INVISIBLE.search(name):
        raise _refusal("Remove the invisible characters from the host.")
    name = _mapped(name).removesuffix(".")
    labels = [_ascii_label(label) for label in name.split(".")]
    if _NUMBER.fullmatch(labels[-1]):
        return _canonical_ipv4(labels)
    host = ".".join(labels)
    if len(host) > _NAME_CHARS_MAX:
        raise _refusal(f"A host name has at most {_NAME_CHARS_MAX} characters.")
    return host


def _mapped(name: str) -> str:
    """Fold case and compatibility forms as UTS 46 does: full-width digits, ideographic dots.

    Letter by letter, since ``str.lower`` would treat a Greek final sigma by its neighbours.
    """
    folded = "".join(char.lower() for char in unicodedata.normalize("NFKC", name))
    return unicodedata.normalize("NFKC", folded).replace("\u3002", ".")


def _ascii_label(label: str) -> str:
    """Return one label of a host name in ASCII, with Punycode (RFC 3492) where needed."""
    if not label:
        raise _refusal("The host has an empty part: look for two dots in a row.")
    if label.startswith("xn--"):
        label = _decoded(label)
    if not label.isascii():
        # Letters, marks, numbers, and the symbols of emoji domains.
        if any(unicodedata.category(char)[0] not in "LMNSP" for char in label if char > "\x7f"):
            raise _refusal("The host has characters that no host name can have.")
        if not _NAME.fullmatch("".join(char for char in label if char <= "\x7f") or "a"):
            raise _refusal("A host name has letters, digits, hyphens and dots.")
        if unicodedata.category(label[0]).startswith("M"):
            raise _refusal("A part of the host begins with a combining mark.")
        label = "xn--" + label.encode("punycode").decode()
        if label.startswith("xn--xn--"):
            raise _refusal("A part of the host mixes xn-- with characters that stand for it.")
    if not _NAME.fullmatch(label):
        raise _refusal("A host name has letters, digits, hyphens and dots.")
    if len(label) > _LABEL_CHARS_MAX:
        raise _refusal(f"Each part of a host name has at most {_LABEL_CHARS_MAX} characters.")
    return label


def _decoded(label: str) -> str:
    """Return what an ``xn--`` label stands for; it must be the label that we would have made."""
    try:
        text = label[4:].encode("ascii").decode("punycode")
        genuine = not text.isascii() and text.encode("punycode").decode() == label[4:]
    except (UnicodeError, ValueError, OverflowError):
        text, genuine = "", False
    if not genuine or _mapped(text) != text or "." in text:
        raise _refusal("The host has a part that begins with xn-- and is no Punycode.")
    return text


def _canonical_ipv4(parts: list[str]) -> str:
    """Read decimal, octal, hexadecimal and short forms (WHATWG URL, "IPv4 parser")."""
    wrong = _refusal("The host ends like an IPv4 address and is none: write four decimal numbers.")
    if len(parts) > _IPV4_PARTS_MAX:
        raise wrong
    numbers = []
    for part in parts:
        try:
            numbers.append(_ipv4_number(part))
        except ValueError:
            raise wrong from None
    *high, low = numbers
    free_bytes = _IPV4_PARTS_MAX - len(high)
    if any(number > _IPV4_PART_MAX for number in high) or low >= 256**free_bytes:
        raise wrong
    value = low + sum(number << 8 * (3 - index) for index, number in enumerate(high))
    return str(IPv4Address(value))


def _ipv4_number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    if text[:2] == "0x":
        return int(text[2:] or "0", 16)
    return int(text, 8 if text[0] == "0" else 10)


def _canonical_ipv6(text: str) -> str:
    inside = text[1:-1]
    if not text.endswith("]") or "%" in inside:
        raise _refusal("Write an IPv6 address in brackets, without a zone: https://[2001:db8::1]/.")
    try:
        address = IPv6Address(inside)
    except AddressValueError:
        raise _refusal("What stands in brackets is no IPv6 address.") from None
    if (embedded := address.ipv4_mapped) is not None:
        # Python 3.13 prints these with dots, 3.12 and WHATWG without.
        high, low = divmod(int(embedded), 1 << 16)
        return f"[::ffff:{high:x}:{low:x}]"
    return f"[{address}]"


def _canonical_path(path: str) -> str:
    """Resolve dot segments, spelled ``%2e`` too, and percent-encode what needs it."""
    done: list[str] = []
    segments = path.split("/")[1:] or [""]
    for index, segment in enumerate(segments):
        plain = re.sub("%2e", ".", segment, flags=re.IGNORECASE)
        if plain not in {".", ".."}:
            done.append(segment)
            continue
        if plain == "..":
            del done[-1:]
        if index == len(segments) - 1:
            done.append("")
    return "/" + quote("/".join(done), safe=_PATH_SAFE)


def _check_public(host: str, port: int | None) -> None:
    remedy = "use a public one, or set allow_private_hosts"
    if port in _BAD_PORTS:
        raise _refusal(f"Port {port} belongs to another service; use 443 or one above 1024.")
    if host.startswith("["):
        problem = _not_public(IPv6Address(host[1:-1]))
    elif host.rpartition(".")[2].isdigit():
        problem = _not_public(IPv4Address(host))
    elif "." not in host:
        problem = "a name without a dot"
    else:
        labels = host.split(".")
        endings = {".".join(labels[start:]) for start in range(len(labels))}
        problem = "a name of a private network" if endings & _PRIVATE_NAMES else None
    if problem is not None:
        raise _refusal(f"The host is {problem}; {remedy}.")


def _not_public(address: IPv4Address | IPv6Address) -> str | None:
    if isinstance(address, IPv4Address):
        return next((what for network, what in _IPV4_REFUSED if address in network), None)
    number = int(address)
    if address.ipv4_mapped is not None or address in _NAT64:
        # Dialling these dials the IPv4 address inside.
        return _not_public(IPv4Address(number & 0xFFFF_FFFF))
    for network, what in _IPV6_REFUSED:
        if address in network:
            return what
    if address not in _IPV6_UNICAST:
        return "a reserved address"
    if number >> 32 & 0xFFFF_FFFF in _ISATAP:
        return _not_public(IPv4Address(number & 0xFFFF_FFFF))
    return None
