"""Which URLs may be endpoints: one canonical spelling, and no address inside somebody's network.

``check_url`` judges what was written, ``address_problem`` what a name resolved to; a sender that
resolves names itself asks the second before it dials. Sources: the WHATWG URL standard (its path
and query states, percent-encoding), the IANA registry of special-use domain names, the WHATWG Fetch
standard, "port blocking"; ``host`` and ``special_addresses`` name theirs.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote

import msgspec

from webhook.domain.errors import InvalidInput
from webhook.domain.host import HostError, canonical_host, literal
from webhook.domain.host_lists import read_hosts
from webhook.domain.special_addresses import Address, hidden, is_nat64, special

URL_CHARS_MAX = 2048
POINTER = "/url"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PORT_MAX, _PORT_CHARS_MAX = 65_535, 16

# Everything after the host that WHATWG leaves alone, and "%", which starts an escape already made.
_PATH_SAFE = "/%!$&'()*+,;=:@[]~"
_QUERY_SAFE = "/%!$&()*+,;=:@[]~?"

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)")
# Control characters, every kind of space, what prints as nothing, and halves of characters.
_UNFIT = re.compile(r"[\x00-\x20\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f"
                    r"\u3000\ufeff\ufff9-\uffff\ud800-\udfff]")  # fmt: skip

# Who may go without TLS by allow_http_for_localhost; k-msg's list, in canonical spelling.
_LOCALHOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?")

# Special-use names (RFC 6761, 6762, 7686, 8375, 9476), ICANN's .internal, what home routers,
# offices and clusters use, and names of clouds' own services that look like public ones.
_PRIVATE_NAMES = frozenset((
    "alt", "arpa", "local", "localhost", "onion",
    "corp", "home", "internal", "intranet", "lan", "localdomain", "private", "svc",
    "metadata.goog", "metadata.tencentyun.com",
))  # fmt: skip

# The Fetch standard's list, whose ports a server of something else listens on, and databases,
# container engines and the like. Refused on hosts of allow_hosts too: that is where they are.
_BAD_PORTS = frozenset((
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668,
    6669, 6679, 6697, 10080,
    445, 873, 1433, 1521, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5900, 6379, 9200, 9300, 10250,
    11211, 27017,
))  # fmt: skip


class UrlRules(msgspec.Struct, frozen=True):
    """What is allowed beyond https to the public internet, and what is denied whatever is allowed.

    ``allow_hosts`` and ``deny_hosts`` are lists of names, ``*.names``, addresses and networks, see
    ``host_lists``. An allowed name may have any address that is not denied.
    """

    allow_private_hosts: bool = False
    allow_http: bool = False
    allow_hosts: tuple[str, ...] = ()
    deny_hosts: tuple[str, ...] = ()
    allow_http_for_localhost: bool = False


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
    maybe_http = rules.allow_http or rules.allow_http_for_localhost
    if scheme != "https" and not (scheme == "http" and maybe_http):
        raise _refusal("Use https, or set allow_http." if scheme == "http" else "Use https.")
    if "@" in match["authority"]:
        raise _refusal("Remove the user name and password; use a custom header instead.")
    if "#" in match["rest"]:
        raise _refusal("Remove the fragment (#...), which no server ever sees.")
    authority = _canonical_authority(match["authority"], scheme, rules)
    if scheme == "http" and not rules.allow_http and _LOCALHOST.fullmatch(authority) is None:
        raise _refusal("Use https: without TLS is for localhost, 127.0.0.1 and [::1] alone.")
    path, mark, query = match["rest"].partition("?")
    target = _canonical_path(path) + mark + quote(query, safe=_QUERY_SAFE)
    url = f"{scheme}://{authority}{target}"
    if len(url) > URL_CHARS_MAX:
        raise _refusal(f"A URL has at most {URL_CHARS_MAX} characters, percent-encoded.")
    return url


def address_problem(ip: str, rules: UrlRules, name: str | None = None) -> str | None:
    """Return what forbids a connection to ``ip``, such as ``a loopback address``, or None.

    Takes IPv4 and IPv6 as ``getaddrinfo`` gives them, a scope id included; ``name`` is the
    canonical name that resolved to it.
    """
    text = ip.partition("%")[0]
    try:
        address = IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError:
        return "no IP address"
    if _is_denied(address, rules):
        return "an address on the deny list"
    return None if _is_allowed(address, rules, name) else special(address)


def validate_endpoint_url(
    raw: str,
    *,
    allow_private_hosts: bool = False,
    allow_http: bool = False,
    allow_hosts: tuple[str, ...] = (),
    deny_hosts: tuple[str, ...] = (),
    allow_http_for_localhost: bool = False,
) -> str:
    """Return the canonical spelling of an endpoint's URL; raises ``InvalidInput`` if refused.

    A list that cannot be read is a ``ValueError``.
    """
    rules = UrlRules(
        allow_private_hosts, allow_http, allow_hosts, deny_hosts, allow_http_for_localhost
    )
    return check_url(raw, rules)


def url_host(url: str) -> str:
    """Return host and port of a URL: all of it that logs and errors may show."""
    authority = re.split(r"[/?#\\]", url.partition("://")[2], maxsplit=1)[0]
    return authority.rpartition("@")[2]


def url_name(url: str) -> str | None:
    """Return the name that a canonical URL has for its host, None when it has an address."""
    authority = url_host(url)
    host = authority if authority.endswith("]") else authority.rpartition(":")[0] or authority
    return host if literal(host) is None else None


def url_origin(url: str) -> str:
    """Return scheme, host and port of a URL: what may be told to others, who do not know it."""
    return f"{url.partition('://')[0]}://{url_host(url)}"


def _refusal(detail: str) -> InvalidInput:
    return InvalidInput.at(POINTER, detail)


def _canonical_authority(written: str, scheme: str, rules: UrlRules) -> str:
    written_host, port = _split_port(written, scheme)
    try:
        host = canonical_host(written_host)
    except HostError as error:
        raise _refusal(str(error)) from None
    if port in _BAD_PORTS and not rules.allow_private_hosts:
        raise _refusal(f"Port {port} belongs to another service; use 443, or such as 8443.")
    if (problem := _host_problem(host, rules)) is not None:
        raise _refusal(f"The host is {problem}.")
    return host if port is None else f"{host}:{port}"


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


def _host_problem(host: str, rules: UrlRules) -> str | None:
    """Return what forbids a canonical host, with the remedy, or None."""
    remedy = "use a public one, or set allow_hosts or allow_private_hosts"
    denied = "on the deny list (deny_hosts); use another one"
    address = literal(host)
    if address is None:
        if read_hosts(rules.deny_hosts).has_name(host):
            return denied
        if rules.allow_private_hosts or read_hosts(rules.allow_hosts).has_name(host):
            return None
        problem = _name_problem(host)
    else:
        if _is_denied(address, rules):
            return denied
        if _is_allowed(address, rules):
            return None
        problem = special(address)
        if is_nat64(address):
            # Nobody's own address: what resolves to it has an IPv4 address to be written instead.
            problem = "a NAT64 address, which hides an IPv4 address"
    return None if problem is None else f"{problem}; {remedy}"


def _is_denied(address: Address, rules: UrlRules) -> bool:
    deny = read_hosts(rules.deny_hosts)
    return any(deny.has_address(one) for one in (address, *hidden(address)))


def _is_allowed(address: Address, rules: UrlRules, name: str | None = None) -> bool:
    if rules.allow_private_hosts:
        return True
    allow = read_hosts(rules.allow_hosts)
    return allow.has_address(address) or (name is not None and allow.has_name(name))


def _name_problem(name: str) -> str | None:
    if "." not in name:
        return "a name without a dot"
    labels = name.split(".")
    endings = {".".join(labels[start:]) for start in range(len(labels))}
    return "a name of a private network" if endings & _PRIVATE_NAMES else None
