"""Accepting: what is stored, who sends first attempts, and what a repeat comes to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.engine.world import SENT, QueueOfHints, World, add, all_deliveries, event, url_of
from webhook.domain.errors import Conflict, InvalidInput
from webhook.domain.model import DeliveryStatus
from webhook.ports import EventQuery


async def test_emit_returns_after_accept_and_the_background_loop_sends(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    accepted = await service.emit(event())
    assert (accepted.delivery_count, accepted.duplicate) == (1, False)
    assert world.sender.requests == []
    await world.clock.idle()
    assert [sent.event_id for sent in world.sender.requests] == [accepted.id]
    assert (await world.delivery(service)).status is DeliveryStatus.SUCCESS


async def test_a_first_attempt_in_the_background_costs_no_claim(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    await world.clock.idle()
    before = world.faults.calls["claim"]
    await service.emit_many([event(n) for n in range(3)])
    await world.clock.idle()
    assert len(world.sender.requests) == 3
    assert {d.claim for d in await all_deliveries(service)} == {0}
    # The loop looks around when attempts have ended, but no claim took anything.
    assert world.faults.calls["settle"] >= 1
    assert before >= 1


async def test_emit_with_wait_until_hands_over_a_coroutine_and_leases_at_most_five(
    world: World,
) -> None:
    hints = QueueOfHints()
    service = world.service(wake_queue=hints)
    for name in "abcdefgh":
        await add(service, name)
    given: list[Coroutine[Any, Any, None]] = []
    await service.emit(event(), wait_until=given.append)
    assert len(given) == 1
    assert asyncio.iscoroutine(given[0])
    assert hints.delays == [0]
    await world.clock.run(given[0])
    assert len(world.sender.requests) == 5
    found = await all_deliveries(service)
    assert sorted(d.status for d in found) == ["pending"] * 3 + ["success"] * 5


async def test_wait_until_sends_what_one_endpoint_gets_of_a_batch(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints())
    await add(service)
    given: list[Coroutine[Any, Any, None]] = []
    await service.emit_many([event(n) for n in range(3)], wait_until=given.append)
    await world.clock.run(given[0])
    # One endpoint never holds all slots of an invocation, but what it may hold goes out.
    assert 1 <= len(world.sender.requests) <= 3
    await service.flush()
    assert sorted(sent.event_id for sent in world.sender.requests) == sorted(
        e.id for e in (await service.list_events(EventQuery(tenant="default", limit=9))).items
    )


async def test_emit_with_wait_until_never_sends_to_a_slow_endpoint(world: World) -> None:
    hints = QueueOfHints()
    service = world.service(wake_queue=hints)
    await add(service, "slow", timeout_ms=20_001)
    await add(service, "quick", timeout_ms=20_000)
    given: list[Coroutine[Any, Any, None]] = []
    await service.emit(event(), wait_until=given.append)
    await world.clock.run(given[0])
    assert [sent.url for sent in world.sender.requests] == [url_of("quick")]
    assert hints.delays == [0]
    await service.flush()
    assert [sent.url for sent in world.sender.requests] == [url_of("quick"), url_of("slow")]


async def test_nothing_is_handed_over_where_nothing_was_leased(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints())
    given: list[Coroutine[Any, Any, None]] = []
    assert (await service.emit(event(), wait_until=given.append)).delivery_count == 0
    assert given == []


async def test_emit_with_nobody_to_send_warns_exactly_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    service = world.service()
    await add(service)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            await service.emit(event(number))
    assert [r.getMessage()[:40] for r in caplog.records] == [
        "Events are stored, but nothing sends the"
    ]
    await service.flush()
    assert len(world.sender.requests) == 3


async def test_no_warning_where_a_queue_is_woken(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    service = world.service(wake_queue=QueueOfHints())
    await add(service)
    with caplog.at_level(logging.WARNING):
        await service.emit(event())
    assert caplog.records == []


async def test_a_type_that_is_not_enabled_is_kept_and_delivered_to_nobody(world: World) -> None:
    service = world.service(enabled_events=("message.failed",))
    await add(service)
    kept = await service.emit(event())
    sent = await service.emit(event(type="message.failed"))
    await service.flush()
    assert (kept.delivery_count, sent.delivery_count) == (0, 1)
    assert [request.event_id for request in world.sender.requests] == [sent.id]
    assert (await service.get_event(kept.id)).type == SENT


async def test_a_duplicate_sends_nothing_twice_and_gets_the_first_answer(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    first = await service.emit(event({"n": 1}, id="order-1"))
    await world.clock.idle()
    await add(service, "b")
    again = await service.emit(event({"n": 1}, id="order-1"))
    await world.clock.advance(60_000)
    assert (again.key, again.id, again.delivery_count) == (first.key, "order-1", 1)
    assert again.duplicate
    assert len(world.sender.requests) == 1


async def test_emit_sync_of_a_duplicate_returns_the_first_deliveries(world: World) -> None:
    service = world.service()
    await add(service)
    first = await service.emit_sync(event(idempotency_key="k"))
    again = await service.emit_sync(event(idempotency_key="k"))
    assert again == first
    assert len(world.sender.requests) == 1


async def test_twenty_callers_of_one_name_make_one_event(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    answers = await asyncio.gather(*(service.emit(event(1, id="x")) for _ in range(20)))
    await world.clock.idle()
    assert len({answer.key for answer in answers}) == 1
    assert sorted(answer.duplicate for answer in answers) == [False] + [True] * 19
    assert len(world.sender.requests) == 1


async def test_equal_names_in_a_batch_are_one_event(world: World) -> None:
    service = world.service()
    await add(service)
    first, second = await service.emit_many([event(1, id="x"), event(1, id="x")])
    assert (first.duplicate, second.duplicate) == (False, True)
    await service.flush()
    assert len(world.sender.requests) == 1


async def test_a_conflict_in_a_batch_names_its_index_and_stores_nothing(world: World) -> None:
    service = world.service()
    await add(service)
    await service.emit(event(1, id="taken"))
    with pytest.raises(Conflict) as caught:
        await service.emit_many([event(id="new"), event(2, id="taken")])
    assert [error.pointer for error in caught.value.errors] == ["/1"]
    listed = await service.list_events(EventQuery(tenant="default", limit=10))
    assert [found.id for found in listed.items] == ["taken"]


@pytest.mark.parametrize("how", ["emit", "emit_sync"])
async def test_the_conflict_of_a_single_event_has_no_index(world: World, how: str) -> None:
    service = world.service()
    await service.emit(event(1, id="taken"))
    with pytest.raises(Conflict) as caught:
        await getattr(service, how)(event(2, id="taken"))
    assert [error.pointer for error in caught.value.errors] == [""]
    assert "/0" not in caught.value.message


@pytest.mark.parametrize("how", ["emit", "emit_sync"])
async def test_the_bad_field_of_a_single_event_has_no_index(world: World, how: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await getattr(world.service(), how)(event(type="Not A Type"))
    assert [error.pointer for error in caught.value.errors] == ["/type"]


async def test_a_bad_event_in_a_batch_names_its_index_and_stores_nothing(world: World) -> None:
    service = world.service()
    with pytest.raises(InvalidInput) as caught:
        await service.emit_many([event(), event(type="no"), event(id="a.b")])
    assert [error.pointer for error in caught.value.errors] == ["/2/id"]
    assert (await service.list_events(EventQuery(tenant="default", limit=10))).items == []


@pytest.mark.parametrize("count", [0, 101])
async def test_a_call_takes_1_to_100_events(world: World, count: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 100 events"):
        await world.service().emit_many([event()] * count)
