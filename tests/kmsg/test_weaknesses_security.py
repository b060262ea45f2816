"""Weaknesses 26 to 37 of k-msg's webhook package, safety and size: ours has none of them."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.api.client import opened as opened_api
from tests.encryption.stores import HEADER, NEW, OLD
from tests.encryption.stores import opened as opened_file
from tests.engine.world import World, add, event, statuses, url_of
from tests.project.source import ROOT
from tests.readme.blocks import python_blocks
from tests.receiver import Answer, Receiver
from webhook import (
    ConfigError,
    DeliveryQuery,
    EndpointInput,
    EndpointQuery,
    ErrorKind,
    InvalidInput,
    PayloadTooLarge,
    WebhookConfig,
    WebhookRuntimeService,
    create_in_memory_webhook_persistence,
    validate_endpoint_url,
)
from webhook.adapters.aiohttp_sender import AiohttpSender
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.adapters.system import SystemClock
from webhook.domain.model import RESPONSE_BYTES_MAX
from webhook.domain.url_rules import UrlRules

TIMEOUT_MS = 30_000
LOCAL = UrlRules(allow_private_hosts=True, allow_http=True)
ACCEPTED_BY_THE_ORIGINAL = [
    "[::1]", "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[fe80::1]", "[fd00::1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0.0.0.0", "0",  # noqa: S104 - refused "localhost.", "foo.internal.",
    "100.64.0.1", "100.100.100.200", "198.18.0.1", "192.0.0.1", "224.0.0.1", "255.255.255.255",
    "printer", "a.lan", "a.home.arpa", "example.com:22", "user:pass@example.com",
]  # fmt: skip
CANONICALISED_BY_THE_PLATFORM = [
    "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.",
    "\uff11\uff12\uff17.0.0.1", "metadata.google.internal",
]  # fmt: skip


@pytest.mark.parametrize("host", ACCEPTED_BY_THE_ORIGINAL + CANONICALISED_BY_THE_PLATFORM)
def test_26_no_spelling_of_a_private_address_is_an_endpoint(host: str) -> None:
    with pytest.raises(InvalidInput):
        validate_endpoint_url(f"https://{host}/hook")


async def test_27_what_a_name_resolves_to_is_judged_when_it_is_dialled() -> None:
    sender = AiohttpSender(UrlRules(), clock=SystemClock(), lookup=lambda _host: ["127.0.0.1"])
    outcome = await sender.send("https://127.0.0.1.nip.io/", {}, b"{}", TIMEOUT_MS)
    assert outcome.error_kind is ErrorKind.BLOCKED
    await sender.close()


async def test_27_a_row_that_somebody_changed_is_judged_before_each_attempt() -> None:
    persistence = create_in_memory_webhook_persistence()
    service = WebhookRuntimeService(
        WebhookConfig(allow_http=True, max_retries=0), persistence=persistence, auto_start=False
    )
    endpoint = await service.add_endpoint(EndpointInput(url=url_of("a"), event_types=["*"]))
    async with Receiver() as receiver:
        changed = replace(endpoint, url=receiver.url, revision=endpoint.revision + 1)
        await persistence.endpoint_store.update(changed)
        [found] = await service.emit_sync(event())
        assert found.attempts[0].error_kind is ErrorKind.BLOCKED
        assert receiver.connections == 0
    await service.shutdown()


async def test_28_a_redirect_is_recorded_and_not_followed() -> None:
    sender = AiohttpSender(LOCAL, clock=SystemClock())
    async with (
        Receiver() as inside,
        Receiver([Answer(307, [("Location", inside.url)], body=b"moved")]) as receiver,
    ):
        outcome = await sender.send(receiver.url, {"X-Auth": "s"}, b"{}", TIMEOUT_MS)
        assert inside.connections == 0
    assert (outcome.status_code, outcome.error_kind) == (307, ErrorKind.REDIRECT)
    await sender.close()


def test_29_nothing_private_is_allowed_unless_asked_and_no_page_asks_for_it_in_passing() -> None:
    config = WebhookConfig()
    allowed = (config.allow_private_hosts, config.allow_http, config.allow_http_for_localhost)
    assert not any(allowed)
    for block in python_blocks(ROOT / "README.md"):
        if "allow_private_hosts=True" in block:
            assert "# for a receiver on this machine" in block
    assert "allow_private" not in (ROOT / "wrangler.toml").read_text("utf-8")


async def test_30_secrets_headers_and_answers_lie_encrypted_and_are_shown_once(
    tmp_path: Path,
) -> None:
    path = tmp_path / "hooks.db"
    async with opened_file(path, NEW) as service:
        endpoint = await service.add_endpoint(
            EndpointInput(url=url_of("a"), event_types=["*"], headers={"Authorization": HEADER})
        )
        secret = endpoint.secrets[0].value
        await service.emit_sync(event())
    lying = _bytes_below(tmp_path)
    assert HEADER.encode() not in lying
    assert secret.encode() not in lying
    assert secret.removeprefix("whsec_").encode() not in lying
    async with opened_api() as api:
        made = await api.add_endpoint(url_of("a"), headers={"Authorization": HEADER})
        assert made["secret"].startswith("whsec_")
        for path_of in (f"/v1/endpoints/{made['id']}", "/v1/endpoints"):
            shown = (await api.client.get(path_of)).text
            assert made["secret"] not in shown
            assert HEADER not in shown


async def test_31_a_key_that_is_missing_fails_closed(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    async with opened_file(path, NEW) as service:
        await service.add_endpoint(EndpointInput(url=url_of("a"), event_types=["*"]))
    # Neither a mask nor nothing nor plain text in its place: it does not start.
    with pytest.raises(ConfigError):
        async with opened_file(path, OLD):
            pass


async def test_32_everything_is_signed_unless_told_and_a_rotation_signs_twice(
    world: World,
) -> None:
    service = world.service()
    one, two = await add(service, "a"), await add(service, "b")
    assert one.secrets[0].value != two.secrets[0].value
    await service.rotate_secret(one.id)
    await world.clock.run(service.emit_sync(event()))
    [sent] = world.sender.to(url_of("a"))
    assert len(sent.headers["webhook-signature"].split()) == 2
    real = WebhookRuntimeService(sender=world.sender, auto_start=False)
    ids = {(await real.emit(event())).id for _ in range(20)}
    # Ids have 80 bits of the system's chance, and the time stands in ten characters.
    assert len({name.removeprefix("evt_")[10:] for name in ids}) == 20


async def test_33_of_an_answer_four_kilobytes_are_kept() -> None:
    sender = AiohttpSender(LOCAL, clock=SystemClock())
    async with Receiver([Answer(200, body=b"x" * 3_000_000)]) as receiver:
        outcome = await sender.send(receiver.url, {}, b"{}", TIMEOUT_MS)
    assert outcome.error_kind is None
    assert outcome.response is not None
    assert len(outcome.response) <= RESPONSE_BYTES_MAX
    await sender.close()


async def test_34_nothing_of_a_callers_becomes_sql(tmp_path: Path) -> None:
    evil = "x'; DROP TABLE events; --"
    path = tmp_path / "hooks.db"
    service = WebhookRuntimeService(
        persistence=create_sqlite_webhook_persistence(path), auto_start=False
    )
    endpoint = await service.add_endpoint(
        EndpointInput(url=url_of("a"), event_types=["*"], name=evil, filters={evil: [evil]})
    )
    await service.emit(event(evil, metadata={evil: evil}))
    assert (await service.get_endpoint(endpoint.id)).name == evil
    assert len((await service.list_deliveries()).items) == 1
    await service.shutdown()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM events").fetchone() == (1,)


async def test_35_no_route_of_the_service_is_open_to_everybody() -> None:
    async with opened_api() as api:
        document = (await api.client.get("/openapi.json")).json()
        tried = 0
        for path, operations in document["paths"].items():
            if not path.startswith("/v1/"):
                continue
            for method in set(operations) & {"get", "post", "patch", "delete", "put"}:
                url = re.sub(r"\{\w+\}", "x", path)
                answer = await api.client.request(
                    method.upper(), url, headers={"authorization": ""}, json={}
                )
                assert answer.status_code == 401, (method, path)
                tried += 1
        assert tried > 20
        unknown = await api.client.post("/v1/events", json={"type": "Not A Type", "data": 1})
        assert unknown.status_code == 422  # not taken for message.sent


async def test_36_who_receives_an_event_is_looked_up_and_not_searched(tmp_path: Path) -> None:
    """Steps of SQLite's own machine, so that no clock decides; D1 bills the rows behind them."""

    async def steps(others: int) -> int:
        path = tmp_path / f"{others}.db"
        service = WebhookRuntimeService(
            persistence=create_sqlite_webhook_persistence(path, synchronous="OFF"), auto_start=False
        )
        inputs = [
            EndpointInput(url=url_of(f"r{number}"), event_types=["other.type"])
            for number in range(others)
        ]
        for begin in range(0, others, 100):
            await service.add_endpoints(inputs[begin : begin + 100])
        await service.add_endpoint(EndpointInput(url=url_of("a"), event_types=["message.sent"]))
        counted = 0

        def count() -> int:
            nonlocal counted
            counted += 1
            return 0

        connect = sqlite3.connect

        def counting(*args: Any, **options: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*args, **options)
            connection.set_progress_handler(count, 1)
            return connection

        await service.shutdown()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite3, "connect", counting)
            again = WebhookRuntimeService(
                persistence=create_sqlite_webhook_persistence(path, synchronous="OFF"),
                auto_start=False,
            )
            await again.emit(event())  # opens, and migrates nothing
            before = counted
            accepted = await again.emit(event())
            used = counted - before
            await again.shutdown()
        assert accepted.delivery_count == 1
        assert used > 0
        return used

    assert await steps(1_000) <= 1.3 * await steps(1)


async def test_37_lists_page_rows_are_got_by_id_and_bounds_are_kept(world: World) -> None:
    """Retention, limits, ordering, circuits: tests/contract and tests/engine, each at length."""
    service = world.service()
    endpoint = await add(service, concurrency_max=5, rate_limit_per_second=100.0, timeout_ms=1_000)
    await add(service, "b", tenant="other")
    for number in range(7):
        await service.emit(event(number))
    seen: list[str] = []
    after: str | None = None
    while True:
        page = await service.list_deliveries(DeliveryQuery(limit=3, after=after))
        assert len(page.items) <= 3
        seen += [delivery.id for delivery in page.items]
        after = page.after
        if after is None:
            break
    assert len(set(seen)) == 7
    assert (await service.get_delivery(seen[0])).endpoint_id == endpoint.id
    assert len((await service.list_endpoints(EndpointQuery(tenant="other"))).items) == 1
    assert await statuses(service) == ["pending"] * 7
    with pytest.raises(PayloadTooLarge):
        await service.emit(event("x" * 300_000))


def _bytes_below(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())
