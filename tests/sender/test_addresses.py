"""Nothing is sent to an address that the rules forbid, nor to one that is not who it should be."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from aiohttp import TCPConnector

from tests.receiver import Answer, Receiver
from tests.sender.attempts import (
    GENEROUS_S,
    PUBLIC_HTTP,
    SHORT_MS,
    TIMEOUT_MS,
    Make,
    idle_connections_end,
    lookup,
    post,
    timed,
)
from tests.tls import client_tls, server_tls
from webhook.adapters.aiohttp_sender import AiohttpSender
from webhook.domain.model import ErrorKind
from webhook.domain.url_rules import UrlRules

# --- Names and addresses -----------------------------------------------------------------------


async def test_a_name_without_an_address_is_dns(make_sender: Make) -> None:
    outcome = await post(make_sender(lookup=lookup()), "http://hooks.example.com/secret")
    assert outcome.error_kind is ErrorKind.DNS
    assert outcome.error == "DNS: no address for hooks.example.com"


async def test_a_look_up_that_does_not_answer_meets_the_deadline(make_sender: Make) -> None:
    def slow(_host: str) -> list[str]:
        time.sleep(1.5)
        return ["127.0.0.1"]

    outcome, took_s = await timed(
        post(make_sender(lookup=slow), "http://hooks.example.com/", SHORT_MS)
    )
    assert outcome.error_kind is ErrorKind.TIMEOUT
    assert took_s < GENEROUS_S


async def test_slow_look_ups_do_not_hold_up_the_others(make_sender: Make) -> None:
    ended = threading.Event()

    def slow_for_some(host: str) -> list[str]:
        if host.startswith("slow"):
            ended.wait(TIMEOUT_MS / 1000)
        return ["127.0.0.1"]

    sender = make_sender(lookup=slow_for_some)
    async with Receiver() as receiver, asyncio.TaskGroup() as group:
        slow = [
            group.create_task(post(sender, f"http://slow{number}.example.com:{receiver.port}/"))
            for number in range(40)
        ]
        await asyncio.sleep(0.05)
        outcome = await post(sender, f"http://fast.example.com:{receiver.port}/")
        assert outcome.status_code == 200
        assert not any(one.done() for one in slow)
        ended.set()


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["fe80::1%eth0"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "2606:4700::1111"],
        ["no address"],
    ],
    ids="+".join,
)
async def test_a_name_with_any_forbidden_address_is_never_dialled(
    make_sender: Make, addresses: list[str]
) -> None:
    sender = make_sender(PUBLIC_HTTP, lookup=lookup(*addresses))
    async with Receiver() as receiver:
        outcome = await post(sender, f"http://rebind.example.com:{receiver.port}/secret")
        assert receiver.connections == 0
    assert outcome.error_kind is ErrorKind.BLOCKED
    assert outcome.error is not None
    assert outcome.error.startswith("blocked: rebind.example.com:")
    for address in addresses:
        assert address not in outcome.error.removeprefix("blocked: rebind.example.com"), (
            "the error tells a tenant what names inside the network resolve to"
        )


async def test_what_is_dialled_is_what_was_checked(make_sender: Make) -> None:
    """DNS rebinding: an address from a second look-up is never used without a check of its own."""
    asked: list[str] = []

    def rebinding(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["no address"]

    sender = make_sender(lookup=rebinding)
    async with Receiver([Answer(200, hang_up=True)]) as receiver:
        url = f"http://rebind.example.com:{receiver.port}/"
        assert (await post(sender, url)).status_code == 200
        await idle_connections_end(sender)
        # The checked answer is kept for some seconds.
        assert (await post(sender, url)).status_code == 200
        assert asked == ["rebind.example.com"]
        await idle_connections_end(sender)
        assert sender._session is not None
        assert isinstance(sender._session.connector, TCPConnector)
        sender._session.connector.clear_dns_cache()
        assert (await post(sender, url)).error_kind is ErrorKind.BLOCKED
        assert len(receiver.requests) == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/secret",
        "http://2130706433:{port}/",
        "http://0x7f.1:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://localhost:{port}/",
        "http://user:pw@localhost:{port}/",
        "https://[fe80::1%25eth0]/",
        "gopher://127.0.0.1/",
        "nonsense",
        "",
    ],
)
async def test_a_url_that_is_forbidden_today_is_not_sent_to(make_sender: Make, url: str) -> None:
    """Whatever was stored: the rules may have changed since, or a row was written by hand."""
    sender = make_sender(PUBLIC_HTTP)
    async with Receiver() as receiver:
        outcome = await post(sender, url.format(port=receiver.port))
        assert receiver.connections == 0
    assert outcome.error_kind is ErrorKind.BLOCKED
    assert "secret" not in str(outcome.error)
    assert "pw" not in str(outcome.error)


async def test_http_is_not_sent_without_allow_http(make_sender: Make) -> None:
    outcome = await post(make_sender(UrlRules(allow_private_hosts=True)), "http://127.0.0.1:1/")
    assert outcome.error_kind is ErrorKind.BLOCKED


# --- TLS ---------------------------------------------------------------------------------------


async def test_tls_is_verified_against_the_name_not_the_address(make_sender: Make) -> None:
    sender = make_sender(tls=client_tls(), lookup=lookup("127.0.0.1"))
    async with Receiver([Answer(200, body=b"ok")], tls=server_tls("good")) as receiver:
        url = f"https://receiver.example.com:{receiver.port}/"
        assert (await post(sender, url)).response == "ok"
        assert (await post(sender, url)).response == "ok"
        assert receiver.connections == 1
        assert receiver.requests[0].headers["host"] == f"receiver.example.com:{receiver.port}"


@pytest.mark.parametrize(
    ("certificate", "sentence"),
    [
        ("expired", "TLS: certificate expired"),
        ("selfsigned", "TLS: certificate is self-signed"),
        ("other", "TLS: certificate is for another host"),
    ],
)
async def test_a_bad_certificate_is_told_by_its_fault(
    make_sender: Make, certificate: str, sentence: str
) -> None:
    sender = make_sender(tls=client_tls(), lookup=lookup("127.0.0.1"))
    async with Receiver(tls=server_tls(certificate)) as receiver:
        outcome = await post(sender, f"https://localhost:{receiver.port}/secret")
        assert receiver.requests == []
    assert (outcome.error_kind, outcome.error) == (ErrorKind.TLS, sentence)


async def test_an_unknown_authority_is_not_trusted_by_default(sender: AiohttpSender) -> None:
    async with Receiver(tls=server_tls("good")) as receiver:
        outcome = await post(sender, receiver.url)
        assert receiver.requests == []
    assert outcome.error_kind is ErrorKind.TLS
    assert outcome.error == "TLS: certificate's issuer is not trusted"


async def test_https_to_a_receiver_without_tls_is_a_tls_error(make_sender: Make) -> None:
    async def speaks_plainly(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.2)

    async with Receiver(on_connect=speaks_plainly) as receiver:
        outcome = await post(make_sender(), f"https://127.0.0.1:{receiver.port}/")
    assert outcome.error_kind is ErrorKind.TLS
    assert outcome.error is not None
    assert outcome.error.startswith("TLS: handshake failed")
