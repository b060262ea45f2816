"""Endpoint URLs: one canonical spelling, every spelling of a private address refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.domain.errors import InvalidInput
from webhook.domain.url_rules import (
    URL_CHARS_MAX,
    UrlRules,
    check_url,
    url_host,
    validate_endpoint_url,
)

PUBLIC = UrlRules()
ANY = UrlRules(allow_private_hosts=True, allow_http=True)


def refusal(url: str, rules: UrlRules = PUBLIC) -> str:
    with pytest.raises(InvalidInput) as caught:
        check_url(url, rules)
    (error,) = caught.value.errors
    assert error.pointer == "/url"
    assert error.detail.endswith(".") or "https://" in error.detail
    return error.detail


# --- Spelling --------------------------------------------------------------------------------

CANONICAL = [
    ("https://example.com", "https://example.com/"),
    ("https://example.com/", "https://example.com/"),
    ("HTTPS://EXAMPLE.com/Path?Query", "https://example.com/Path?Query"),
    ("https://example.com:443/", "https://example.com/"),
    ("https://example.com:/", "https://example.com/"),
    ("https://example.com:00443/", "https://example.com/"),
    ("https://example.com:8443/", "https://example.com:8443/"),
    ("https://example.com?a=1", "https://example.com/?a=1"),
    ("https://example.com/?", "https://example.com/?"),
    ("https://example.com./a", "https://example.com/a"),
    ("https://example%2Ecom/", "https://example.com/"),
    ("https://%65xample.com/", "https://example.com/"),
    ("https://ex\uff41mple.com/", "https://example.com/"),
    ("https://example\u3002com/", "https://example.com/"),
    ("https://example\uff0ecom/", "https://example.com/"),
    ("https://example\uff61com/", "https://example.com/"),
    ("https://a_b.example.com/", "https://a_b.example.com/"),
    ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
    ("https://b\u00fccher.example/", "https://xn--bcher-kva.example/"),
    ("https://B\u00dcCHER.example/", "https://xn--bcher-kva.example/"),
    ("https://bu\u0308cher.example/", "https://xn--bcher-kva.example/"),
    ("https://b%C3%BCcher.example/", "https://xn--bcher-kva.example/"),
    ("https://fa\u00df.example/", "https://xn--fa-hia.example/"),
    ("https://\u03a3\u0391\u03a3.example/", "https://xn--mxa9ab.example/"),
    ("https://\u65e5\u672c\u8a9e.example/", "https://xn--wgv71a119e.example/"),
    ("https://\U0001f4a9.example/", "https://xn--ls8h.example/"),
    ("https://xn--ls8h.example/", "https://xn--ls8h.example/"),
    ("https://8.8.8.8/", "https://8.8.8.8/"),
    ("https://8.8.8.8./", "https://8.8.8.8/"),
    ("https://134744072/", "https://8.8.8.8/"),
    ("https://0x08080808/", "https://8.8.8.8/"),
    ("https://0X8.0x8.0x8.0x8/", "https://8.8.8.8/"),
    ("https://010.010.010.010/", "https://8.8.8.8/"),
    ("https://8.8.2056/", "https://8.8.8.8/"),
    ("https://8.526344/", "https://8.8.8.8/"),
    ("https://\uff18.\uff18.\uff18.\uff18/", "https://8.8.8.8/"),
    ("https://\u2468.8.8.8/", "https://9.8.8.8/"),
    ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
    ("https://[2606:4700:0:0:0:0:0:1111]:8443/", "https://[2606:4700::1111]:8443/"),
    ("https://[2606:4700::0:1.1.1.1]/", "https://[2606:4700::101:101]/"),
    ("https://example.com/a/../b/./c/", "https://example.com/b/c/"),
    ("https://example.com/../../a", "https://example.com/a"),
    ("https://example.com/a/%2e%2E/b/%2E", "https://example.com/b/"),
    ("https://example.com/a/..", "https://example.com/"),
    ("https://example.com//a//b", "https://example.com//a//b"),
    ("https://example.com/a%2Fb/%C3%BC/100%/%zz", "https://example.com/a%2Fb/%C3%BC/100%/%zz"),
    ("https://example.com/\u00fc?\u2713", "https://example.com/%C3%BC?%E2%9C%93"),
    ('https://example.com/"<>`{}|^', "https://example.com/%22%3C%3E%60%7B%7D%7C%5E"),
    ("https://example.com/a:b@c;d=e,f!g$h&i'(j)*[k]~+", None),
    ("https://example.com/a?b=c/d?e&f=[g]&h=i:j@k,l;m!n$(o)*+~", None),
]  # fmt: skip


@pytest.mark.parametrize(("written", "canonical"), CANONICAL)
def test_the_canonical_spelling(written: str, canonical: str | None) -> None:
    assert check_url(written, PUBLIC) == (canonical or written)
    assert check_url(canonical or written, PUBLIC) == (canonical or written)


# Hosts that must be allowed.
CANONICAL_PRIVATE = [
    ("https://[::FFFF:8.8.8.8]/", "https://[::ffff:808:808]/"),
    ("https://[64:ff9b::8.8.8.8]/", "https://[64:ff9b::808:808]/"),
    ("http://127.1:80/", "http://127.0.0.1/"),
    ("http://LOCALHOST.:8787", "http://localhost:8787/"),
]


def test_what_is_allowed_changes_no_spelling() -> None:
    for written, canonical in CANONICAL + CANONICAL_PRIVATE:
        assert check_url(written, ANY) == (canonical or written)


@pytest.mark.parametrize(
    "url",
    [
        "", "https", "https:", "https:/", "https://", "https:///", "https:///example.com",
        "https:example.com", "https:/example.com", "//example.com", "example.com", "/hook",
        "https://?a", "https://:443/", "https://.", "https://..", "https://.com", "https://a..com",
        "https://example.com../", "https://a\u3002\u3002com/",
        "ftp://example.com", "file:///etc/passwd", "gopher://example.com", "javascript:alert(1)",
        "data:text/plain,x", "ws://example.com", "https+unix://x", "ht\ntps://example.com",
        " https://example.com", "https://example.com ", "https://exam ple.com", "https://a.com/a b",
        "https://a.com/\t", "https://a.com/\r\nHost: b", "https://a.com/\0", "https://a.com/\x7f",
        "https://a.com/\x85", "https://a.com/\u2028", "https://a.com/\u202e", "https://a.com/\ud800",
        "https://a.com/\ufeff", "https://exa\u00admple.com/", "https://exa\u200bmple.com/",
        "https://exa%C2%ADmple.com", "https://ex\ufe0fample.com/", "https://a\u200d.com/",
        "https:\\\\example.com", "https://example.com\\@evil.com", "https://example.com\\a",
        "https://user@example.com", "https://user:password@example.com", "https://@example.com",
        "https://:@example.com", "https://example.com@8.8.8.8", "https://a%40b.com",
        "https://example.com#", "https://example.com/a#b", "https://example.com?a#b",
        "https://example.com:0", "https://example.com:65536", "https://example.com:-1",
        "https://example.com:80a", "https://example.com:8 0", "https://example.com:80:80",
        "https://example.com:\uff18\uff10", "https://example.com:10000000000000000443",
        "https://example.com:99999999999999999999999999999999999999999999",
        "https://exa<mple.com", "https://exa>mple.com", "https://exa^mple.com", "https://a|b.com",
        "https://a{b}.com", 'https://a"b.com', "https://a`b.com", "https://a'b.com",
        "https://a!b.com", "https://a$b.com", "https://a(b.com", "https://a*b.com", "https://*.a.com",
        "https://a,b.com", "https://a;b.com", "https://a=b.com", "https://a~b.com", "https://a+b.com",
        "https://a%b.com", "https://a%00b.com", "https://a%20b.com", "https://a%0Ab.com",
        "https://a%2Fb.com", "https://a%3Ab.com", "https://a%23b.com", "https://a%3Fb.com",
        "https://%ff.com", "https://%zz.com", "https://a%2", "https://a%5B.com",
        "https://a\u2100b.com", "https://a\uff0fb.com", "https://a\uff20b.com", "https://\u2474.com",
        "https://a\uff05b.com", "https://a\ue000b.com", "https://a\u0378b.com", "https://\u0301a.com",
        "https://xn--.com", "https://xn--a.com", "https://xn--a-.com", "https://xn--example-.com",
        "https://xn--\u00fc.com", "https://xn--0.com", "https://xn--99999999.com",
        f"https://{'a' * 64}.com", f"https://{'\u00fc' * 60}.com",
        f"https://{'.'.join(['a' * 60] * 5)}.com", f"https://example.com/{'a' * URL_CHARS_MAX}",
        f"https://example.com/{'\u00fc' * 1000}",
        "https://256.1.1.1", "https://1.2.3.4.5", "https://1.2.3.256", "https://1.256.3.4",
        "https://4294967296", "https://0x100000000", "https://040000000000", "https://1.2.3.08",
        "https://08.8.8.8", "https://1.2.0x.0xg.1", "https://a.1", "https://a.0x1", "https://a.b.0x",
        "https://1..2.3", "https://1.2.3.4..", "https://1.16777216", "https://1.2.65536",
        "https://99999999999999999999999999999999999999999999999999", "https://9.9.9.09",
        "https://[", "https://]", "https://[]", "https://[::1", "https://::1/", "https://[::1]a/",
        "https://[1.2.3.4]", "https://[::g]", "https://[1:2:3:4:5:6:7:8:9]", "https://[:::]",
        "https://[fe80::1%25eth0]", "https://[fe80::1%eth0]", "https://[::ffff:1.2.3.256]",
        "https://[::ffff:1.2.3]", "https://[::ffff:01.2.3.4]", "https://[::1]]/", "https://a[::1]/",
        "https://[12345::]", "https://[\uff11::]", "https://[::%31]", "https://[v1.x]",
    ],
)  # fmt: skip
def test_garbage_is_refused_whatever_is_allowed(url: str) -> None:
    refusal(url, PUBLIC)
    refusal(url, ANY)


# --- What may be allowed ---------------------------------------------------------------------


def test_a_local_receiver_needs_both_permissions() -> None:
    url = "http://127.0.0.1:8787"
    for private, http in ((False, False), (False, True), (True, False)):
        with pytest.raises(InvalidInput):
            validate_endpoint_url(url, allow_private_hosts=private, allow_http=http)
    found = validate_endpoint_url(url, allow_private_hosts=True, allow_http=True)
    assert found == "http://127.0.0.1:8787/"


def test_a_private_host_needs_one() -> None:
    with pytest.raises(InvalidInput):
        validate_endpoint_url("https://192.168.0.10")
    found = validate_endpoint_url("https://192.168.0.10", allow_private_hosts=True)
    assert found == "https://192.168.0.10/"


def test_http_needs_a_permission_and_has_a_port_of_its_own() -> None:
    assert "https" in refusal("http://example.com/")
    rules = UrlRules(allow_http=True)
    assert check_url("http://example.com:80/", rules) == "http://example.com/"
    assert check_url("http://example.com:443/", rules) == "http://example.com:443/"
    assert check_url("https://example.com:80/", rules) == "https://example.com:80/"


def test_the_limit_of_length() -> None:
    longest = "https://example.com/".ljust(URL_CHARS_MAX, "a")
    assert check_url(longest, PUBLIC) == longest
    refusal(longest + "a")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.com/a?b", "example.com"),
        ("https://example.com:8443/", "example.com:8443"),
        ("https://[::1]:8443/", "[::1]:8443"),
        # Not canonical, and still nothing that is secret shows.
        ("https://user:password@example.com?token", "example.com"),
        ("https://example.com#token", "example.com"),
        ("https://example.com\\token", "example.com"),
        ("token", ""),
    ],
)
def test_of_a_url_only_host_and_port_show(url: str, host: str) -> None:
    assert url_host(url) == host


URL_TEXTS = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["https", "http", "HTTPS"]),
    st.text("aZ0129.-_x:%[]@\u00fc\uff11\u3002\u00df", max_size=20),
    st.sampled_from(["", ":8443", ":443", ":0"]),
    st.text(max_size=20).map(lambda text: f"/{text}"),
)


@given(URL_TEXTS | st.text(max_size=40).map(lambda text: f"https://{text}"))
def test_whatever_is_written_the_answer_is_stable_and_plain(url: str) -> None:
    try:
        canonical = check_url(url, ANY)
    except InvalidInput:
        return
    assert check_url(canonical, ANY) == canonical
    assert canonical.isascii()
    assert canonical.isprintable()
    assert not set(canonical) & set(' "<>\\^`{|}#')


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "[::1]", "LOCALHOST.", "[0::1]:80"]
)
def test_localhost_may_go_without_tls_when_that_is_allowed(host: str) -> None:
    rules = UrlRules(allow_private_hosts=True, allow_http_for_localhost=True)
    assert check_url(f"http://{host}/hook", rules).startswith("http://")
    # That it is a private host is another question.
    assert "private" in refusal(f"http://{host}/hook", UrlRules(allow_http_for_localhost=True))


@pytest.mark.parametrize("host", ["example.com", "10.0.0.1", "127.0.0.2", "a.localhost", "[::2]"])
def test_nobody_else_goes_without_tls_by_that(host: str) -> None:
    rules = UrlRules(allow_private_hosts=True, allow_http_for_localhost=True)
    assert refusal(f"http://{host}/hook", rules).startswith("Use https")
    assert check_url(f"https://{host}/hook", rules)
