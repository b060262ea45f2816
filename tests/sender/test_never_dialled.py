"""With registration bypassed: no forbidden address is ever dialled. The sockets are watched."""

from __future__ import annotations

import ipaddress

import msgspec
import pytest
from aiohttp import TCPConnector

from tests.receiver import Answer, Receiver
from tests.sender.attempts import LOCAL, PUBLIC_HTTP, Make, lookup, post
from tests.sockets import watched_sockets
from tests.unit.corpus import HOSTILE, LEGITIMATE, Line
from webhook import (
    EndpointInput,
    WebhookConfig,
    WebhookEvent,
    WebhookRuntimeService,
    create_in_memory_webhook_persistence,
)
from webhook.domain.balancing import Failover
from webhook.domain.model import ErrorKind
from webhook.domain.url_rules import UrlRules

PUBLIC = UrlRules()
ELSEWHERE = "93.184.215.14"


def hostile_addresses() -> list[str]:
    """Return the addresses of the corpus that are spelled as a resolver spells them."""
    found = set()
    for line in HOSTILE:
        # What a name resolves to may be NAT64, of a public address.
        if line.why in {"nat64", "no-address", "scheme"}:
            continue
        try:
            found.add(str(ipaddress.ip_address(line.host)))
        except ValueError:
            continue
    return sorted(found)


def one_of_each_kind() -> list[Line]:
    return list({line.why: line for line in HOSTILE}.values())


async def test_no_hostile_url_of_the_corpus_is_looked_up_or_dialled(make_sender: Make) -> None:
    asked: list[str] = []

    def resolver(host: str) -> list[str]:
        asked.append(host)
        return [ELSEWHERE]

    sender = make_sender(PUBLIC, lookup=resolver)
    with watched_sockets(refuse=True) as seen:
        wrong = [
            line
            for line in HOSTILE
            if (await post(sender, line.url)).error_kind is not ErrorKind.BLOCKED
        ]
    assert wrong == []
    assert asked == []
    assert seen.looked_up == []
    assert seen.dialled == []


async def test_legitimate_urls_are_dialled_where_they_were_checked(make_sender: Make) -> None:
    sender = make_sender(PUBLIC, lookup=lookup(ELSEWHERE))
    for line in LEGITIMATE:
        with watched_sockets(refuse=True) as seen:
            outcome = await post(sender, line.url)
        assert outcome.error_kind is ErrorKind.REFUSED, (line, outcome)
        (dialled,) = seen.dialled
        if line.why in {"neighbour", "public"}:
            assert ipaddress.ip_address(dialled[0]).is_global or dialled[0].startswith("3fff")
        else:
            assert dialled[0] in {ELSEWHERE, "8.8.8.8", "2606:4700::1111"}
        assert seen.looked_up == []


async def test_no_name_that_resolves_to_a_hostile_address_is_dialled(make_sender: Make) -> None:
    addresses = hostile_addresses()
    assert len(addresses) > 300
    answers: dict[str, list[str]] = {}
    for number, address in enumerate(addresses):
        answers[f"alone{number}.example.com"] = [address]
        answers[f"first{number}.example.com"] = [address, ELSEWHERE]
        answers[f"last{number}.example.com"] = ["2606:4700::1111", ELSEWHERE, address]
    sender = make_sender(PUBLIC, lookup=answers.__getitem__)
    with watched_sockets(refuse=True) as seen:
        wrong = [
            (name, answers[name])
            for name in answers
            if (await post(sender, f"https://{name}/")).error_kind is not ErrorKind.BLOCKED
        ]
    assert wrong == []
    assert seen.dialled == []


async def test_probe_attempt_and_replay_make_the_decision_of_registration(
    make_sender: Make,
) -> None:
    persistence = create_in_memory_webhook_persistence()
    runtime = WebhookRuntimeService(
        WebhookConfig(max_retries=0),
        persistence=persistence,
        sender=make_sender(PUBLIC, lookup=lookup(ELSEWHERE)),
        auto_start=False,
    )
    lines = one_of_each_kind()
    assert len(lines) > 30
    with watched_sockets(refuse=True) as seen:
        for line in lines:
            added = await runtime.add_endpoint(
                EndpointInput(url="https://example.com", event_types=["*"])
            )
            # Behind the back of the rules, as a row written by hand or by an older release.
            stored = msgspec.structs.replace(added, url=line.url, revision=added.revision + 1)
            await persistence.endpoint_store.update(stored)
            probed = await runtime.probe_endpoint(added.id)
            assert probed.error_kind is ErrorKind.BLOCKED, line
            event = WebhookEvent(type="message.sent", data={})
            (delivery,) = await runtime.emit_sync(event)
            assert delivery.attempts[-1].error_kind is ErrorKind.BLOCKED, line
            await runtime.replay_delivery(delivery.id)
            await runtime.flush()
            again = await runtime.get_delivery(delivery.id)
            assert len(again.attempts) == 2
            assert again.attempts[-1].error_kind is ErrorKind.BLOCKED, line
            await runtime.remove_endpoint(added.id)
    assert seen.dialled == []
    await runtime.shutdown()


async def test_a_further_url_is_checked_as_the_first_one_is(make_sender: Make) -> None:
    persistence = create_in_memory_webhook_persistence()
    runtime = WebhookRuntimeService(
        WebhookConfig(max_retries=0),
        persistence=persistence,
        sender=make_sender(PUBLIC, lookup=lookup(ELSEWHERE)),
        auto_start=False,
    )
    lines = one_of_each_kind()
    for line in lines:
        added = await runtime.add_endpoint(
            EndpointInput(url="https://example.com", event_types=["*"])
        )
        # Behind the back of the rules, as above.
        further = Failover(urls=(line.url,))
        stored = msgspec.structs.replace(added, failover=further, revision=added.revision + 1)
        await persistence.endpoint_store.update(stored)
        with watched_sockets(refuse=True) as seen:
            (delivery,) = await runtime.emit_sync(WebhookEvent(type="message.sent", data={}))
        attempt = delivery.attempts[-1]
        assert attempt.error_kind is ErrorKind.BLOCKED, line
        assert (attempt.note or "").startswith("example.com: "), line
        assert {dialled[0] for dialled in seen.dialled} == {ELSEWHERE}
        await runtime.remove_endpoint(added.id)
    await runtime.shutdown()


async def test_a_name_that_is_public_at_first_and_then_127_0_0_1_never_gets_there(
    make_sender: Make,
) -> None:
    asked: list[str] = []

    def rebinding(host: str) -> list[str]:
        asked.append(host)
        return [ELSEWHERE] if len(asked) == 1 else ["127.0.0.1"]

    sender = make_sender(PUBLIC_HTTP, lookup=rebinding)
    async with Receiver() as receiver:
        url = f"http://rebind.example.com:{receiver.port}/"
        with watched_sockets(refuse=True) as seen:
            first = await post(sender, url)
            # One look-up, and what it said is what is dialled.
            assert asked == ["rebind.example.com"]
            assert first.error_kind is ErrorKind.REFUSED
            assert seen.dialled == [(ELSEWHERE, receiver.port)]
            assert sender._session is not None
            assert isinstance(sender._session.connector, TCPConnector)
            sender._session.connector.clear_dns_cache()
            second = await post(sender, url)
            assert len(asked) == 2
            assert second.error_kind is ErrorKind.BLOCKED
            assert len(seen.dialled) == 1
        assert receiver.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_a_private_address_is_recorded_and_not_followed(
    make_sender: Make, status: int
) -> None:
    async with Receiver() as inside:
        moved = Answer(status, [("Location", f"http://localhost:{inside.port}/secret")])
        async with Receiver([moved]) as receiver:
            with watched_sockets() as seen:
                outcome = await post(make_sender(LOCAL), receiver.url)
        assert inside.connections == 0
    assert seen.dialled == [("127.0.0.1", receiver.port)]
    assert (outcome.status_code, outcome.error_kind) == (status, ErrorKind.REDIRECT)
    assert outcome.error == f"redirect {status} to localhost:{inside.port}"


async def test_an_allowed_name_is_dialled_and_its_denied_address_is_not(make_sender: Make) -> None:
    rules = UrlRules(
        allow_http=True, allow_hosts=("*.corp", "127.0.0.1"), deny_hosts=("127.0.0.2",)
    )
    answers = {
        "good.corp": ["127.0.0.1"],
        "denied.corp": ["127.0.0.1", "127.0.0.2"],
        "other.example.com": ["127.0.0.3"],
    }
    async with Receiver() as receiver:
        for name, expected in (
            ("good.corp", None),
            ("denied.corp", ErrorKind.BLOCKED),
            ("other.example.com", ErrorKind.BLOCKED),
            ("127.0.0.1", None),
            ("127.0.0.2", ErrorKind.BLOCKED),
        ):
            sender = make_sender(rules, lookup=answers.__getitem__)
            outcome = await post(sender, f"http://{name}:{receiver.port}/")
            assert outcome.error_kind is expected, name
        assert len(receiver.requests) == 2
