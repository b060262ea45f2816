"""What an operator allows is allowed and nothing beside it; what is denied is denied for good."""

from __future__ import annotations

import re

import pytest

from webhook.domain.config import WebhookConfig
from webhook.domain.errors import ConfigError, InvalidInput
from webhook.domain.host_lists import read_hosts
from webhook.domain.url_rules import (
    UrlRules,
    address_problem,
    check_url,
    validate_endpoint_url,
)

ALLOW = ("receiver", "hooks.internal", "*.corp", "10.1.0.0/16", "192.168.0.10", "fd12::/16")


def is_refused(url: str, rules: UrlRules) -> bool:
    try:
        check_url(url, rules)
    except InvalidInput:
        return True
    return False


@pytest.mark.parametrize(
    "host",
    [
        "receiver", "RECEIVER.", "hooks.internal", "a.corp", "a.b.corp", "10.1.0.0", "10.1.255.255",
        "0x0a010001", "192.168.0.10", "[fd12::1]", "example.com", "8.8.8.8",
    ],
)  # fmt: skip
def test_an_allowed_host_is_accepted_in_every_spelling(host: str) -> None:
    assert check_url(f"https://{host}/", UrlRules(allow_hosts=ALLOW))


@pytest.mark.parametrize(
    "host",
    [
        "other", "internal", "a.hooks.internal", "xhooks.internal", "corp", "acorp",
        "a.corp.internal",
        "10.0.255.255", "10.2.0.0", "192.168.0.11", "[fd13::1]", "localhost", "127.0.0.1",
        # Hiding an allowed address is no way to say it.
        "[::ffff:10.1.0.1]", "[64:ff9b::10.1.0.1]", "[2002:a01:1::]",
    ],
)  # fmt: skip
def test_its_neighbours_are_not(host: str) -> None:
    assert is_refused(f"https://{host}/", UrlRules(allow_hosts=ALLOW))


def test_an_allowed_name_may_have_private_addresses_and_another_name_may_not() -> None:
    rules = UrlRules(allow_hosts=("*.corp",))
    assert address_problem("10.9.9.9", rules, "a.corp") is None
    assert address_problem("10.9.9.9", rules, "a.example.com") == "a private address"
    assert address_problem("10.9.9.9", rules) == "a private address"


def test_an_allowed_network_is_allowed_to_every_name() -> None:
    rules = UrlRules(allow_hosts=("10.9.0.0/16",))
    assert address_problem("10.9.9.9", rules, "a.example.com") is None
    assert address_problem("10.8.9.9", rules, "a.example.com") == "a private address"


DENY = ("bad.example.com", "*.evil.example", "8.8.8.0/24", "2606:4700::/32", "169.254.169.254")


@pytest.mark.parametrize(
    "host",
    [
        "bad.example.com", "BAD.example.com.", "a.evil.example", "8.8.8.8", "134744072",
        "[2606:4700::1111]", "169.254.169.254", "[::ffff:169.254.169.254]", "[::169.254.169.254]",
        "[::ffff:0:169.254.169.254]", "[64:ff9b::169.254.169.254]", "[64:ff9b:1::169.254.169.254]",
        "[64:ff9b:1:a9fe:a9:fe00::]", "[2002:a9fe:a9fe::1]", "[2001:0:a9fe:a9fe::1]",
        "[2001:0:808:101:0:0:5601:5601]", "[fe80::5efe:169.254.169.254]",
        "[fe80::200:5efe:169.254.169.254]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("allow", [(), ("*.example.com", "bad.example.com", "8.8.8.8", "::/0")])
@pytest.mark.parametrize("private", [False, True])
def test_what_is_denied_is_refused_whatever_is_allowed(
    host: str, allow: tuple[str, ...], private: bool
) -> None:
    rules = UrlRules(private, allow_http=True, allow_hosts=allow, deny_hosts=DENY)
    assert is_refused(f"https://{host}/", rules)
    if host.startswith("["):
        assert address_problem(host[1:-1], rules, "a.example.com") is not None


def test_a_denied_address_is_not_dialled_for_an_allowed_name() -> None:
    rules = UrlRules(allow_hosts=("a.corp",), deny_hosts=("10.0.0.0/8",))
    assert address_problem("10.1.1.1", rules, "a.corp") == "an address on the deny list"
    assert address_problem("192.168.1.1", rules, "a.corp") is None


@pytest.mark.parametrize("host", ["evil.example", "example.com", "8.8.9.8", "10.0.0.1"])
def test_what_is_not_denied_is_not(host: str) -> None:
    assert check_url(f"https://{host}/", UrlRules(allow_private_hosts=True, deny_hosts=DENY))


@pytest.mark.parametrize(
    "entry",
    [
        "", "*", "*.", "*.*.corp", "a.*.corp", "*corp", "corp*", "https://a.corp", "a.corp:8443",
        "a.corp/path", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "*.10.0.0.0", "*.[::1]", "[::1",
        "user@a.corp", "a b", "a..corp", "1.2.3.4.5",
    ],
)  # fmt: skip
def test_an_entry_that_makes_no_sense_is_named(entry: str) -> None:
    entries = ("example.com", entry)
    with pytest.raises(ConfigError, match=f"^allow_hosts: {re.escape(repr(entry))} is no such"):
        WebhookConfig(allow_hosts=entries)
    with pytest.raises(ConfigError, match=f"^deny_hosts: {re.escape(repr(entry))} is no such"):
        WebhookConfig(deny_hosts=entries)


def test_entries_are_read_as_hosts_are() -> None:
    assert read_hosts(("B\u00fccher.example",)).has_name("xn--bcher-kva.example")
    assert read_hosts(("*.LOCAL.",)).has_name("printer.local")
    rules = UrlRules(allow_hosts=("::1", "0x7f.1"))
    assert check_url("https://[::1]/", rules) == "https://[::1]/"
    assert check_url("https://127.0.0.1/", rules) == "https://127.0.0.1/"


def test_one_decision_for_everybody_who_asks() -> None:
    config = WebhookConfig(allow_hosts=("*.corp",), deny_hosts=("b.corp",))
    assert config.url_rules == UrlRules(allow_hosts=("*.corp",), deny_hosts=("b.corp",))
    found = validate_endpoint_url("https://a.corp", allow_hosts=("*.corp",), deny_hosts=("b.corp",))
    assert found == "https://a.corp/"
    with pytest.raises(InvalidInput, match="deny_hosts"):
        validate_endpoint_url("https://b.corp", allow_hosts=("*.corp",), deny_hosts=("b.corp",))
