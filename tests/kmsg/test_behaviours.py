"""What the original's tests check, today's nineteen and the deleted forty-two, holds for ours.

Those of signatures, retries, queue, balancer, search and statistics are in the files of the toolkit
beside this one; names and their imports in test_names.py.
"""

from __future__ import annotations

import importlib
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import webhook
from tests.encryption.stores import NEW
from tests.engine.world import World, add, all_deliveries, event, statuses, url_of
from webhook import (
    DeliveryQuery,
    DeliveryStatus,
    EndpointInput,
    EndpointPatch,
    EndpointStatus,
    InvalidInput,
    NotFound,
    RetryPolicy,
    WebhookRuntimeService,
    validate_endpoint_url,
)
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.toolkit import MockHttpClient

TOOLKIT_ONLY = (
    "BatchDispatcher",
    "LoadBalancer",
    "QueueManager",
    "EndpointManager",
    "DeliveryStore",
    "EventStore",
    "MockHttpClient",
)


# --- today's -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOOLKIT_ONLY)
def test_1_2_the_toolkit_is_in_the_toolkit_and_not_in_the_root(name: str) -> None:
    assert name in importlib.import_module("webhook.toolkit").__all__
    assert not hasattr(webhook, name)


@pytest.mark.parametrize(
    "timestamp",
    ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", 1_769_860_800_000,
     datetime(2026, 1, 31, 12, tzinfo=UTC)],
)  # fmt: skip
async def test_4_a_timestamp_is_text_number_or_date(
    world: World, timestamp: str | int | datetime
) -> None:
    service = world.service()
    await add(service)
    await world.clock.run(service.emit_sync(event(timestamp=timestamp)))
    sent = json.loads(world.sender.requests[0].body)
    assert sent["timestamp"] == "2026-01-31T12:00:00.000Z"


async def test_4_what_is_no_date_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput, match="/timestamp"):
        await world.service().emit(event(timestamp="not-a-date"))


def test_6_7_8_9_private_hosts_take_an_explicit_word() -> None:
    here = "http://127.0.0.1:8787/"
    with pytest.raises(InvalidInput):
        validate_endpoint_url(here)
    with pytest.raises(InvalidInput, match="private"):
        validate_endpoint_url(here, allow_http_for_localhost=True)
    assert (
        validate_endpoint_url(here, allow_private_hosts=True, allow_http_for_localhost=True) == here
    )
    there = "https://192.168.0.10/"
    assert validate_endpoint_url(there, allow_private_hosts=True) == there


async def test_10_11_adding_sends_nothing_and_a_probe_sends_one(world: World) -> None:
    service = world.service(background=True)
    endpoint = await add(service)
    await world.clock.advance(60_000)
    assert world.sender.requests == []
    result = await world.clock.run(service.probe_endpoint(endpoint.id))
    assert (result.success, result.endpoint_id, len(world.sender.requests)) == (
        True, endpoint.id, 1,
    )  # fmt: skip


async def test_12_a_filter_whose_key_is_missing_does_not_match(world: World) -> None:
    service = world.service()
    await add(service, "all")
    await add(service, "some", filters={"provider_id": ["a", "b"]})
    for metadata in ({}, {"provider_id": "c"}, {"provider_id": "b"}):
        await world.clock.run(service.emit_sync(event(metadata=metadata)))
    assert len(world.sender.to(url_of("all"))) == 3
    assert len(world.sender.to(url_of("some"))) == 1


async def test_13_emit_and_flush_keep_one_delivery(world: World) -> None:
    service = world.service()
    await add(service)
    await service.emit(event())
    await world.clock.run(service.flush())
    assert await statuses(service) == ["success"]


async def test_14_a_stored_secret_is_no_plain_text_and_reads_back_plain(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    service = WebhookRuntimeService(
        persistence=create_sqlite_webhook_persistence(path, encryption_keys=(NEW,)),
        auto_start=False,
    )
    made = await service.add_endpoint(EndpointInput(url=url_of("a"), event_types=["*"]))
    secret = made.secrets[0].value
    assert (await service.get_endpoint(made.id)).secrets[0].value == secret
    await service.shutdown()
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT * FROM endpoints").fetchall()
    assert rows
    assert secret not in str(rows)


async def test_19_add_list_emit_and_list_deliveries_in_a_database(tmp_path: Path) -> None:
    """On D1 the same stands in tests/worker/inner/test_d1.py."""
    service = WebhookRuntimeService(
        persistence=create_sqlite_webhook_persistence(tmp_path / "hooks.db"),
        sender=MockHttpClient(),
        auto_start=False,
    )
    made = await service.add_endpoint(EndpointInput(url=url_of("a"), event_types=["message.sent"]))
    assert [each.id for each in (await service.list_endpoints()).items] == [made.id]
    [delivery] = await service.emit_sync(event())
    assert (await service.list_deliveries()).items == [delivery]
    await service.shutdown()


# --- the deleted ---------------------------------------------------------------------------------


async def test_an_endpoint_is_added_changed_and_removed(world: World) -> None:
    service = world.service()
    made = await add(service)
    await world.clock.advance(10)
    changed = await service.update_endpoint(made.id, EndpointPatch(name="new"))
    assert changed.updated_at > made.updated_at
    assert changed.created_at == made.created_at
    assert await service.remove_endpoint(made.id)
    with pytest.raises(NotFound):
        await service.get_endpoint(made.id)
    with pytest.raises(NotFound):
        await service.update_endpoint(made.id, EndpointPatch(name="x"))
    with pytest.raises(NotFound):
        await service.probe_endpoint(made.id)


async def test_pausing_suspends_and_resuming_activates(world: World) -> None:
    service = world.service()
    made = await add(service)
    paused = await service.update_endpoint(made.id, EndpointPatch(status=EndpointStatus.SUSPENDED))
    assert not paused.active
    assert await world.clock.run(service.emit_sync(event())) == []
    resumed = await service.update_endpoint(made.id, EndpointPatch(active=True))
    assert resumed.status is EndpointStatus.ACTIVE
    assert len(await world.clock.run(service.emit_sync(event()))) == 1


async def test_a_request_carries_the_headers_that_receivers_of_k_msg_know(world: World) -> None:
    service = world.service(scheme="k-msg", secret_key="s")
    await add(service)
    await world.clock.run(service.emit_sync(event(id="evt-1")))
    headers = world.sender.requests[0].headers
    assert headers["content-type"] == "application/json"
    assert headers["x-webhook-id"] == "evt-1"
    assert headers["x-webhook-event"] == "message.sent"
    assert headers["x-webhook-signature"]
    assert headers["x-webhook-timestamp"]
    assert headers["user-agent"]


async def test_a_type_that_is_not_enabled_is_silently_sent_to_nobody(world: World) -> None:
    service = world.service(enabled_events=("message.sent",))
    await add(service)
    accepted = await service.emit(event(type="message.read"))
    assert accepted.delivery_count == 0


async def test_deliveries_are_listed_by_endpoint_type_and_status(world: World) -> None:
    service = world.service()
    good = await add(service, "good")
    bad = await add(service, "bad", retry=RetryPolicy(max_retries=0))
    world.sender.script(url_of("bad"), 404)
    await world.clock.run(service.emit_sync(event()))
    await world.clock.run(service.emit_sync(event(type="message.read")))
    assert len(await all_deliveries(service, endpoint_id=good.id)) == 2
    assert len(await all_deliveries(service, event_type="message.read")) == 2
    failed = await all_deliveries(service, status=DeliveryStatus.EXHAUSTED)
    assert {each.endpoint_id for each in failed} == {bad.id}
    page = await service.list_deliveries(DeliveryQuery(limit=1))
    assert (len(page.items), page.after is None) == (1, False)
