"""Proxies of the environment are not obeyed; where they are asked for, they dial and not we."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.proxy import Proxy
from tests.receiver import Answer, Receiver
from tests.sender.attempts import LOCAL, PUBLIC_HTTP, Make, lookup, post
from tests.sockets import watched_sockets
from tests.tls import client_tls, server_tls
from webhook import ConfigError, EndpointInput, WebhookConfig, WebhookRuntimeService
from webhook.adapters.env_proxies import env_proxies
from webhook.domain.model import ErrorKind
from webhook.domain.url_rules import UrlRules

NAME = "receiver.example.com"
VARIABLES = [
    name
    for lower in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    for name in (lower, lower.upper())
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*VARIABLES, "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def unasked(host: str) -> list[str]:
    raise AssertionError(f"{host} was looked up here")


@pytest.mark.parametrize("name", [name for name in VARIABLES if "no" not in name.lower()])
async def test_a_proxy_of_the_environment_is_not_obeyed(
    make_sender: Make, environment: pytest.MonkeyPatch, name: str
) -> None:
    async with Proxy({}) as proxy, Receiver() as receiver:
        environment.setenv(name, f"http://127.0.0.1:{proxy.port}")
        runtime = WebhookRuntimeService(
            WebhookConfig(allow_http=True, allow_private_hosts=True), auto_start=False
        )
        added = await runtime.add_endpoint(EndpointInput(url=receiver.url, event_types=["*"]))
        with watched_sockets() as seen:
            probed = await runtime.probe_endpoint(added.id)
        assert probed.status_code == 200
        assert seen.dialled == [("127.0.0.1", receiver.port)]
        assert proxy.heads == []
        await runtime.shutdown()


async def test_a_proxy_that_is_asked_for_dials(environment: pytest.MonkeyPatch) -> None:
    async with Receiver() as receiver, Proxy({NAME: receiver.port}) as proxy:
        environment.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        runtime = WebhookRuntimeService(
            WebhookConfig(allow_http=True, proxy_from_env=True), auto_start=False
        )
        added = await runtime.add_endpoint(
            EndpointInput(url=f"http://{NAME}/hook?a=b", event_types=["*"])
        )
        with watched_sockets() as seen:
            probed = await runtime.probe_endpoint(added.id)
        assert probed.status_code == 200, probed
        # The rest are the proxy's own, which runs in this process.
        assert seen.dialled[0] == ("127.0.0.1", proxy.port)
        assert NAME not in seen.looked_up
        assert proxy.targets == [f"http://{NAME}/hook?a=b"]
        assert receiver.requests[0].headers["host"] == NAME
        await runtime.shutdown()


async def test_tls_through_a_proxy_is_verified_against_the_name(
    make_sender: Make, environment: pytest.MonkeyPatch
) -> None:
    good, other = server_tls("good"), server_tls("other")
    async with (
        Receiver([Answer(200, body=b"ok")], tls=good) as receiver,
        Receiver(tls=other) as impostor,
        Proxy({NAME: receiver.port, "localhost": impostor.port}) as proxy,
    ):
        environment.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        sender = make_sender(LOCAL, tls=client_tls(), lookup=unasked, proxy_for=env_proxies())
        assert (await post(sender, f"https://{NAME}/hook")).response == "ok"
        outcome = await post(sender, "https://localhost/hook")
        assert (outcome.error_kind, outcome.error) == (
            ErrorKind.TLS,
            "TLS: certificate is for another host",
        )
        assert proxy.targets == [f"{NAME}:443", "localhost:443"]
        assert impostor.requests == []


async def test_what_a_url_may_say_is_still_checked_and_what_it_resolves_to_is_not(
    make_sender: Make, environment: pytest.MonkeyPatch
) -> None:
    async with Receiver() as inside, Proxy({NAME: inside.port}) as proxy:
        environment.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        sender = make_sender(PUBLIC_HTTP, lookup=unasked, proxy_for=env_proxies())
        for url in ("http://127.0.0.1/", "http://localhost/", "http://10.0.0.1/", "http://a.corp/"):
            assert (await post(sender, url)).error_kind is ErrorKind.BLOCKED
        assert proxy.heads == []
        # The residual gap: a proxy that reaches private networks must refuse them itself.
        assert (await post(sender, f"http://{NAME}/")).status_code == 200


async def test_what_the_proxy_is_not_for_is_dialled_and_checked_here(
    make_sender: Make, environment: pytest.MonkeyPatch
) -> None:
    async with Receiver() as receiver, Proxy({}) as proxy:
        environment.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        environment.setenv("no_proxy", "corp, example.org")
        rules = UrlRules(allow_http=True, allow_hosts=("*.corp",))
        sender = make_sender(rules, lookup=lookup("127.0.0.1"), proxy_for=env_proxies())
        assert (await post(sender, f"http://a.corp:{receiver.port}/")).status_code == 200
        outcome = await post(sender, f"http://a.example.org:{receiver.port}/")
        assert outcome.error_kind is ErrorKind.BLOCKED
        assert proxy.heads == []
        assert len(receiver.requests) == 1


async def test_the_proxys_password_goes_to_the_proxy_and_no_netrc_to_the_receiver(
    make_sender: Make, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {NAME} login me password hidden\ndefault login a password b\n")
    netrc.chmod(0o600)
    environment.setenv("NETRC", str(netrc))
    async with (
        Receiver(tls=server_tls("good")) as receiver,
        Proxy({NAME: receiver.port}) as proxy,
    ):
        environment.setenv("https_proxy", f"http://user:pa%3Ass@127.0.0.1:{proxy.port}")
        sender = make_sender(tls=client_tls(), proxy_for=env_proxies())
        assert (await post(sender, f"https://{NAME}/")).status_code == 200
        assert (
            receiver.requests[0].headers.keys().isdisjoint({"authorization", "proxy-authorization"})
        )
        expected = base64.b64encode(b"user:pa:ss").decode()
        assert f"Proxy-Authorization: Basic {expected}" in proxy.heads[0]


async def test_a_proxy_that_fails_is_told_as_one(
    make_sender: Make, environment: pytest.MonkeyPatch
) -> None:
    async with Proxy({}, refuse=403) as proxy:
        environment.setenv("all_proxy", f"http://user:hidden@127.0.0.1:{proxy.port}")
        sender = make_sender(proxy_for=env_proxies())
        outcome = await post(sender, f"https://{NAME}/secret")
        assert (outcome.error_kind, outcome.error) == (
            ErrorKind.NETWORK,
            "network: the proxy refused with 403",
        )
    outcome = await post(sender, f"https://{NAME}/secret")
    assert (outcome.error_kind, outcome.error) == (
        ErrorKind.NETWORK,
        "network: no connection to the proxy",
    )


@pytest.mark.parametrize("text", ["socks5://user:hidden@127.0.0.1:1", "ftp://a", "http://", "//["])
def test_a_proxy_of_another_kind_is_refused_without_showing_it(
    environment: pytest.MonkeyPatch, text: str
) -> None:
    environment.setenv("HTTPS_PROXY", text)
    with pytest.raises(ConfigError, match="HTTPS_PROXY") as caught:
        WebhookRuntimeService(WebhookConfig(proxy_from_env=True), auto_start=False)
    assert "hidden" not in caught.value.message


def test_a_resolver_of_ones_own_is_for_workers() -> None:
    with pytest.raises(ConfigError, match="dns_over_https"):
        WebhookRuntimeService(WebhookConfig(dns_over_https="https://dns.example/q"))
