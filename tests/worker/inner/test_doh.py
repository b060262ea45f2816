"""With a resolver of one's own a Worker looks a name up, and judges it, before it sends."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from webhook import ConfigError
from webhook.adapters.cloudflare.fetch_sender import FetchSender
from webhook.adapters.system import SystemClock
from webhook.domain.model import ErrorKind, Outcome
from webhook.domain.url_rules import UrlRules
from webhook.worker.handlers import LIMITS_WITH_LOOKUPS, worker_settings

RECEIVER = os.environ.get("WEBHOOK_TEST_RECEIVER", "")
PORT = RECEIVER.rpartition(":")[2]
RESOLVER = f"{RECEIVER}/dns-query"
PUBLIC = UrlRules(allow_http=True)
ALLOWED = UrlRules(allow_http=True, allow_hosts=("localhost",))


def make_sender(rules: UrlRules, resolver: str | None = RESOLVER) -> FetchSender:
    return FetchSender(rules, clock=SystemClock(), dns_over_https=resolver)


async def send(
    url: str, rules: UrlRules = PUBLIC, *, resolver: str | None = RESOLVER, timeout_ms: int = 5_000
) -> Outcome:
    return await make_sender(rules, resolver).send(url, {}, b"{}", timeout_ms)


async def counted(path: str) -> int:
    outcome = await make_sender(UrlRules(allow_private_hosts=True, allow_http=True), None).send(
        f"{RECEIVER}/count{path}", {}, b"{}", 5_000
    )
    return int(outcome.response or "")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("private", "a private address"),
        ("loopback", "a loopback address"),
        ("mixed", "a loopback address"),
        ("private6", "a private address"),
        ("alias", "a private address"),
        ("nat64", "a private address"),
    ],
)
async def test_a_name_with_any_forbidden_address_is_not_sent_to(name: str, problem: str) -> None:
    outcome = await send(f"http://{name}.example.com:8443/secret")
    assert (outcome.status_code, outcome.error_kind) == (None, ErrorKind.BLOCKED)
    assert outcome.error == f"blocked: {name}.example.com resolves to {problem}"


async def test_a_name_that_may_be_sent_to_is() -> None:
    outcome = await send(f"http://localhost:{PORT}/ok", ALLOWED)
    assert (outcome.status_code, outcome.response) == (200, "thanks")


async def test_a_denied_address_of_an_allowed_name_is_never_reached() -> None:
    before = await counted("/ok")
    rules = UrlRules(allow_http=True, allow_hosts=("localhost",), deny_hosts=("127.0.0.0/8",))
    outcome = await send(f"http://localhost:{PORT}/ok", rules)
    assert outcome.error_kind is ErrorKind.BLOCKED
    assert outcome.error == "blocked: localhost resolves to an address on the deny list"
    assert await counted("/ok") == before


@pytest.mark.parametrize(
    "name",
    ["garbage", "empty", "servfail", "truncated", "echo", "status500", "moved", "endless"],
)
async def test_without_an_answer_nothing_is_sent(name: str) -> None:
    outcome = await send(f"http://{name}.example.com/")
    assert (outcome.status_code, outcome.error_kind) == (None, ErrorKind.DNS)
    assert outcome.error == f"DNS: no answer for {name}.example.com"


async def test_a_name_that_does_not_exist_has_no_address() -> None:
    outcome = await send("http://nowhere.example.com/")
    assert (outcome.error_kind, outcome.error) == (
        ErrorKind.DNS,
        "DNS: no address for nowhere.example.com",
    )


async def test_a_resolver_that_is_not_there_is_no_answer() -> None:
    outcome = await send("http://public.example.com/", resolver="http://127.0.0.1:1/dns-query")
    assert outcome.error == "DNS: no answer for public.example.com"


async def test_a_resolver_that_says_nothing_meets_the_attempts_deadline() -> None:
    outcome = await send("http://public.example.com/", resolver=f"{RECEIVER}/never", timeout_ms=300)
    assert (outcome.error_kind, outcome.error) == (ErrorKind.TIMEOUT, "timeout after 0.3 s")


async def test_addresses_in_urls_are_not_looked_up() -> None:
    rules = UrlRules(allow_private_hosts=True, allow_http=True)
    outcome = await send(f"{RECEIVER}/ok", rules, resolver="http://127.0.0.1:1/dns-query")
    assert outcome.status_code == 200


async def test_an_answer_holds_for_some_seconds() -> None:
    before = await counted("/dns-query")
    sender = make_sender(ALLOWED)
    for _ in range(3):
        outcome = await sender.send(f"http://localhost:{PORT}/ok", {}, b"{}", 5_000)
        assert outcome.status_code == 200
    assert await counted("/dns-query") == before + 2


def test_the_setting_is_a_url_and_shrinks_what_an_invocation_takes() -> None:
    settings = worker_settings(SimpleNamespace(WEBHOOK_DNS_OVER_HTTPS="https://dns.example/q"))
    assert settings.config.dns_over_https == "https://dns.example/q"
    with pytest.raises(ConfigError, match="WEBHOOK_DNS_OVER_HTTPS"):
        worker_settings(SimpleNamespace(WEBHOOK_DNS_OVER_HTTPS="http://dns.example/q"))
    # A delivery takes three requests at most, and the free plan gives an invocation fifty.
    assert (LIMITS_WITH_LOOKUPS.take_max or 0) * 3 <= 50
