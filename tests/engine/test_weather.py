"""A store that does not answer, or whose answer is lost, delays deliveries and loses none."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.engine.stores import When
from tests.engine.world import (
    LEASE_MS,
    MINUTE_MS,
    SECOND_MS,
    World,
    add,
    all_deliveries,
    event,
    statuses,
    url_of,
)
from webhook.domain.errors import StoreUnavailable
from webhook.domain.model import DeliveryStatus
from webhook.ports import EventQuery
from webhook.testing import Reply


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("times", [1, 2])
async def test_an_accept_is_repeated_twice_and_stores_once(
    world: World, when: When, times: int
) -> None:
    service = world.service(background=True)
    await add(service)
    world.faults.fail("accept", times, when)
    accepted = await service.emit(event(id="x"))
    await world.clock.advance(2 * LEASE_MS)
    assert (accepted.delivery_count, accepted.duplicate) == (1, False)
    assert world.faults.calls["accept"] == times + 1
    assert len(world.sender.requests) == 1
    listed = await service.list_events(EventQuery(tenant="default", limit=10))
    assert [found.key for found in listed.items] == [accepted.key]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_accept_that_fails_three_times_is_told_to_the_caller(
    world: World, when: When
) -> None:
    service = world.service(background=True)
    await add(service)
    world.faults.fail("accept", 3, when)
    with pytest.raises(StoreUnavailable):
        await service.emit(event(id="x"))
    assert world.faults.calls["accept"] == 3
    # The caller repeats it by its own id, and it arrives once, whatever happened before.
    again = await service.emit(event(id="x"))
    assert again.duplicate is (when == "after")
    await world.clock.advance(2 * LEASE_MS)
    assert len(world.sender.requests) == 1
    assert await statuses(service) == [DeliveryStatus.SUCCESS]


async def test_the_slots_of_an_accept_that_failed_are_free_again(world: World) -> None:
    service = world.service(background=True, concurrency=1)
    await add(service)
    world.faults.fail("accept", 3)
    with pytest.raises(StoreUnavailable):
        await service.emit(event())
    await service.emit(event())
    await world.clock.idle()
    assert len(world.sender.requests) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_the_loop_gets_over_claims_that_fail(world: World, when: When) -> None:
    service = world.service(background=True, retry_schedule_s=(5,))
    await add(service)
    world.sender.script(url_of("a"), 503, 200)
    await service.emit(event())
    await world.clock.advance(4_900)
    world.faults.fail("claim", 4, when)
    await world.clock.advance(LEASE_MS + 10 * SECOND_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS]


async def test_the_loop_claims_again_soon_after_the_store_is_back(world: World) -> None:
    service = world.service(background=True, retry_schedule_s=(5,), batch_timeout_ms=3_600_000)
    await add(service)
    world.sender.script(url_of("a"), 503, 200)
    await service.emit(event())
    await world.clock.advance(4_000)
    world.faults.fail("claim")
    await world.clock.advance(MINUTE_MS)
    world.faults.heal()
    await world.clock.advance(2 * SECOND_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS]


async def test_a_fault_that_nobody_foresaw_does_not_end_the_loop(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    service = world.service(background=True)
    await add(service)

    async def break_down() -> None:
        raise RuntimeError("unforeseen")

    await world.clock.idle()
    with caplog.at_level(logging.ERROR):
        for method in ("claim", "sweep"):
            world.faults.hold[method] = break_down
        await world.clock.advance(2 * MINUTE_MS)
    world.faults.heal()
    sweeps = world.faults.calls["sweep"]
    await service.emit_many([event(n) for n in range(100)])
    await world.clock.advance(2 * MINUTE_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 100
    assert world.faults.calls["sweep"] > sweeps


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_settle_is_repeated_and_counts_one_attempt(world: World, when: When) -> None:
    service = world.service(background=True)
    await add(service)
    world.faults.fail("settle", 5, when)
    await service.emit(event())
    await world.clock.advance(2 * LEASE_MS)
    found = await world.delivery(service)
    assert (found.status, found.attempts_made, found.interruptions) == (
        DeliveryStatus.SUCCESS,
        1,
        0,
    )
    assert len(world.sender.requests) == 1


async def test_a_settle_is_given_up_with_its_lease_and_the_delivery_tried_again(
    world: World,
) -> None:
    service = world.service(background=True)
    await add(service)
    world.faults.fail("settle")
    await service.emit(event())
    await world.clock.advance(LEASE_MS + 5 * SECOND_MS)
    world.faults.heal()
    await world.clock.advance(2 * LEASE_MS)
    found = await world.delivery(service)
    assert (found.status, found.attempts_made) == (DeliveryStatus.SUCCESS, 1)
    assert found.attempts[0].error_kind == "interrupted"
    assert len(world.sender.requests) >= 2


async def test_a_flood_of_outcomes_that_cannot_be_written_is_written_later(world: World) -> None:
    service = world.service(background=True)
    for number in range(8):
        await add(service, f"r{number}")
    await service.initialize()
    world.faults.fail("settle")
    await service.emit_many([event(n) for n in range(8)])
    await world.clock.advance(10 * SECOND_MS)
    world.faults.heal()
    await world.clock.advance(LEASE_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 64
    assert len(world.sender.requests) == 64


async def test_a_sweep_that_fails_is_tried_again_in_a_minute(world: World) -> None:
    service = world.service(background=True)
    await service.initialize()
    world.faults.fail("sweep", 1)
    await world.clock.advance(MINUTE_MS + 1)
    assert world.faults.calls["sweep"] == 1
    await world.clock.advance(MINUTE_MS)
    assert world.faults.calls["sweep"] == 2


async def test_a_wake_queue_that_breaks_its_word_hurts_nobody(world: World) -> None:
    class BreaksDown:
        async def wake(self, delay_ms: int) -> None:
            raise RuntimeError(delay_ms)

    service = world.service(wake_queue=BreaksDown(), retry_schedule_s=(5,))
    await add(service)
    world.sender.script(url_of("a"), 503, 200)
    accepted = await service.emit(event())
    assert accepted.delivery_count == 1
    await world.clock.run(service.flush(), within_ms=LEASE_MS)
    await world.clock.advance(5 * SECOND_MS)
    await world.clock.run(service.flush(), within_ms=LEASE_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS]


async def test_a_caller_who_goes_away_during_the_accept_takes_no_slot_along(world: World) -> None:
    service = world.service(background=True, concurrency=2)
    await add(service)
    await service.initialize()
    never = asyncio.Event()
    world.faults.hold["accept"] = never.wait
    callers = [asyncio.ensure_future(service.emit(event(n))) for n in range(3)]
    await world.clock.idle()
    for caller in callers:
        caller.cancel()
    await world.clock.idle()
    world.faults.heal()
    await service.emit(event())
    await world.clock.idle()
    assert len(world.sender.requests) == 1
    assert await statuses(service) == [DeliveryStatus.SUCCESS]


async def test_a_failing_store_is_not_asked_in_a_hurry(world: World) -> None:
    service = world.service(background=True)
    await service.initialize()
    await world.clock.idle()
    world.faults.fail("claim")
    before = world.faults.calls["claim"]
    await world.clock.advance(MINUTE_MS)
    assert 10 <= world.faults.calls["claim"] - before <= 150


async def test_a_receiver_that_was_reached_before_the_store_failed_gets_the_same_id_again(
    world: World,
) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=100))
    world.faults.fail("settle")
    await service.emit(event())
    await world.clock.advance(LEASE_MS + SECOND_MS)
    world.faults.heal()
    await world.clock.advance(2 * LEASE_MS)
    assert len({sent.event_id for sent in world.sender.requests}) == 1
    assert [d.status for d in await all_deliveries(service)] == [DeliveryStatus.SUCCESS]
