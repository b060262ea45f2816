"""No text breaks the URL rules, and no spelling changes their verdict."""

from __future__ import annotations

import ipaddress
import re

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.bounds import bounded
from tests.unit.corpus import CORPUS
from webhook.domain.errors import InvalidInput
from webhook.domain.host import HostError, canonical_host, literal
from webhook.domain.host_lists import read_hosts
from webhook.domain.response import status_problem
from webhook.domain.special_addresses import hidden, special
from webhook.domain.url_rules import UrlRules, address_problem, check_url, url_host, url_name

PUBLIC = UrlRules()
ANY = UrlRules(allow_private_hosts=True, allow_http=True)
PIECES = st.sampled_from(
    [
        "https://", "http://", "HTTPS:", "//", "/", "\\", ":", "@", "#", "?", "%", "%2e", "%25",
        "%00", "%c2%ad", ".", "..", "\u3002", "\uff0e", "\u2024", "[", "]", "::", "::ffff:",
        "fe80::", "%eth0", "127", "0x7f", "0177", "2130706433", "256", "1", "0", "localhost",
        "local", "internal", "example", "com", "xn--", "xn--bcher-kva", "\u00fc", "\u0130",
        "\u00df", "\uff11", "\u2460", "\u200d", "\ufe0f", "\u0301", "\ud800", "\U0001f4a9", " ",
        "\t", "\r\n", "\0", "443", "65536", "22", "\uff10", "a" * 64, "-", "_", "*",
    ]
)  # fmt: skip
TEXTS = (
    st.text(max_size=60)
    | st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)
    | st.tuples(st.lists(PIECES, max_size=8).map("".join), st.text("/?%.a ", max_size=8)).map(
        lambda parts: f"https://{parts[0]}/{parts[1]}"
    )
)
ADDRESSES = st.ip_addresses()


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """Draw a URL of the corpus with something done to it."""
    url = draw(st.sampled_from(CORPUS)).url
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(url)))
        until = min(len(url), at + draw(st.integers(0, 3)))
        url = url[:at] + draw(PIECES | st.characters()) + url[until:]
    return url


def verdict(url: str, rules: UrlRules) -> str | None:
    """Return the canonical spelling, None when it is refused."""
    try:
        return check_url(url, rules)
    except InvalidInput as error:
        [problem] = error.errors
        assert problem.pointer == "/url"
        assert problem.detail
        return None


@bounded
@given(TEXTS | mangled())
def test_the_verdict_is_the_same_for_the_canonical_spelling(url: str) -> None:
    canonical = verdict(url, ANY)
    if canonical is None:
        assert verdict(url, PUBLIC) is None
        return
    assert verdict(canonical, ANY) == canonical
    public = verdict(canonical, PUBLIC)
    assert public in {None, canonical}
    # Without http, which only its scheme keeps out.
    if not canonical.startswith("http:"):
        assert verdict(url, PUBLIC) == public
    if public is None or url_name(public) is not None:
        return
    # An address that may be written may be dialled.
    host = re.sub(r":[0-9]+$", "", url_host(public))
    assert address_problem(host.strip("[]"), PUBLIC) is None


@bounded
@given(TEXTS | mangled())
def test_no_text_breaks_what_is_shown_of_a_url(url: str) -> None:
    shown = url_host(url)
    assert "/" not in shown
    kind, sentence = status_problem(301, url) or (None, "")
    assert kind is not None
    assert sentence.startswith("redirect 301")


@bounded
@given(st.lists(TEXTS, max_size=3))
def test_no_text_breaks_the_lists_of_hosts(entries: list[str]) -> None:
    try:
        hosts = read_hosts(tuple(entries))
    except ValueError:
        return
    assert all(name == canonical_host(name) for name in hosts.names | hosts.parents)


@bounded
@given(ADDRESSES)
def test_an_address_has_one_verdict_however_it_is_asked_for(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    problem = address_problem(str(address), PUBLIC)
    assert problem == special(address)
    host = f"[{address}]" if address.version == 6 else str(address)
    refused = verdict(f"https://{host}/", PUBLIC) is None
    # A NAT64 address is judged by what it hides when a name resolves to it.
    assert refused or problem is None
    assert literal(canonical_host(host)) == address
    denied = UrlRules(allow_private_hosts=True, deny_hosts=(str(address),))
    assert address_problem(str(address), denied) is not None
    for inner in hidden(address):
        deny_inner = UrlRules(allow_private_hosts=True, deny_hosts=(str(inner),))
        assert address_problem(str(address), deny_inner) is not None


@bounded
@given(TEXTS)
def test_a_host_is_read_to_the_same_again(text: str) -> None:
    try:
        host = canonical_host(text)
    except HostError:
        return
    assert canonical_host(host) == host
    assert host.isascii()
