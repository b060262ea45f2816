"""Stopping: what is under way is finished, or left to its lease for whoever comes next."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.engine.world import (
    LEASE_MS,
    SECOND_MS,
    World,
    add,
    all_deliveries,
    event,
    statuses,
    url_of,
)
from webhook.domain.model import DeliveryState, DeliveryStatus
from webhook.ports import AcceptResult, Claim, ClaimRequest
from webhook.testing import FOREVER, Reply


async def test_shutdown_finishes_what_is_under_way(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=5_000))
    await service.emit(event())
    await world.clock.idle()
    stopped = await world.clock.run(service.stop(), within_ms=6_000)
    assert stopped == (1, 0)
    assert await statuses(service) == [DeliveryStatus.SUCCESS]


async def test_shutdown_closes_the_sender(world: World) -> None:
    service = world.service(background=True)
    await service.initialize()
    await world.clock.run(service.shutdown())
    assert world.sender.closed


async def test_shutdown_twice_does_no_harm(world: World) -> None:
    service = world.service(background=True)
    await service.initialize()
    await world.clock.run(asyncio.gather(service.shutdown(), service.shutdown()))
    await world.clock.run(service.shutdown())


async def test_shutdown_claims_nothing_more(world: World) -> None:
    service = world.service(background=True, concurrency=1)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=2_000))
    await service.emit_many([event(n) for n in range(5)])
    await world.clock.advance(500)
    await world.clock.run(service.stop())
    assert len(world.sender.requests) == 1
    assert sorted(await statuses(service)) == ["pending"] * 4 + ["success"]


async def test_an_async_with_block_shuts_down(world: World) -> None:
    async with world.service(background=True) as service:
        await add(service)
        await service.emit(event())
        await world.clock.idle()
    assert world.sender.closed
    assert len(world.sender.requests) == 1


async def test_what_outlasts_the_grace_is_delivered_by_the_next_service(world: World) -> None:
    first = world.service(background=True)
    await add(first)
    world.sender.script(url_of("a"), Reply(after_ms=FOREVER), 200)
    await first.emit(event())
    await world.clock.idle()
    assert world.sender.under_way == 1
    stopped = await world.clock.run(first.stop(grace_ms=3_000), within_ms=4_000)
    assert stopped == (0, 1)
    assert world.sender.under_way == 0
    second = world.service(background=True)
    await second.initialize()
    await world.clock.advance(LEASE_MS)
    found = await world.delivery(second)
    assert found.status is DeliveryStatus.SUCCESS
    assert [(a.number, a.error_kind) for a in found.attempts] == [(1, "interrupted"), (1, None)]
    assert found.attempts_made == 1


async def test_what_a_claim_brings_after_the_grace_is_given_back_unsent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.persistence.delivery_store
    claim = store.claim

    async def claim_and_answer_late(request: ClaimRequest) -> Claim:
        answer = await claim(request)
        await world.clock.wait(asyncio.Event(), SECOND_MS)
        return answer

    monkeypatch.setattr(store, "claim", claim_and_answer_late)
    first = world.service(background=True, retry_schedule_s=[5])
    await add(first)
    world.sender.script(url_of("a"), 503, 200)
    await first.emit(event())
    # Claims come a second late for the same reason.
    await world.clock.advance(6 * SECOND_MS + SECOND_MS // 2)
    assert (await world.delivery(first)).state is DeliveryState.LEASED
    await world.clock.run(first.stop(grace_ms=0), within_ms=2 * SECOND_MS)
    found = await world.delivery(first)
    assert (found.state, found.interruptions) == (DeliveryState.READY, 0)
    assert len(world.sender.requests) == 1


async def test_what_an_accept_brings_after_the_grace_is_given_back_unsent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.persistence.delivery_store
    accept = store.accept

    async def accept_and_answer_late(*given: Any) -> AcceptResult:
        answer = await accept(*given)
        await world.clock.wait(asyncio.Event(), SECOND_MS)
        return answer

    first = world.service(background=True)
    await add(first)
    monkeypatch.setattr(store, "accept", accept_and_answer_late)
    accepting = asyncio.ensure_future(first.emit(event()))
    await world.clock.advance(SECOND_MS // 2)
    assert (await world.delivery(first)).state is DeliveryState.LEASED
    await world.clock.run(first.stop(grace_ms=0), within_ms=2 * SECOND_MS)
    await world.clock.run(accepting)
    await world.clock.idle()
    assert world.sender.requests == []
    second = world.service()
    found = await world.delivery(second)
    assert (found.state, found.interruptions) == (DeliveryState.READY, 0)


async def test_a_stop_that_cannot_write_leaves_it_to_the_lease(world: World) -> None:
    first = world.service(background=True)
    await add(first)
    world.sender.script(url_of("a"), Reply(after_ms=FOREVER), 200)
    await first.emit(event())
    await world.clock.idle()
    world.faults.fail("settle")
    await world.clock.run(first.stop(grace_ms=1_000), within_ms=5_000)
    world.faults.heal()
    second = world.service(background=True)
    await second.initialize()
    await world.clock.advance(LEASE_MS - 5_000)
    assert len(world.sender.requests) == 1
    await world.clock.advance(5_000)
    found = await world.delivery(second)
    assert (found.status, found.attempts_made) == (DeliveryStatus.SUCCESS, 1)


async def test_the_grace_holds_though_an_outcome_cannot_be_written(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    await service.initialize()
    world.faults.fail("settle")
    await service.emit(event())
    await world.clock.idle()
    assert len(world.sender.requests) == 1
    await world.clock.run(service.stop(grace_ms=2_000), within_ms=5_000)


async def test_an_emit_during_a_stop_starts_no_new_loop_and_loses_nothing(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=3_000), 200)
    await service.emit(event(1))
    await world.clock.idle()
    stopping = asyncio.ensure_future(service.stop())
    await world.clock.advance(SECOND_MS)
    await service.emit(event(2))
    await world.clock.run(stopping)
    claims = world.faults.calls["claim"]
    await world.clock.advance(60 * SECOND_MS)
    assert world.faults.calls["claim"] == claims
    await world.clock.run(world.service().flush())
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 2


async def test_a_crash_leaves_everything_to_the_next_service(world: World) -> None:
    first = world.service(background=True)
    for name in "abc":
        await add(first, name)
        world.sender.script(url_of(name), Reply(after_ms=FOREVER), 200)
    await first.emit(event())
    await world.clock.idle()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await world.clock.idle()
    second = world.service(background=True)
    await second.initialize()
    await world.clock.advance(LEASE_MS)
    found = await all_deliveries(second)
    assert [d.status for d in found] == [DeliveryStatus.SUCCESS] * 3
    assert {d.attempts_made for d in found} == {1}


async def test_a_service_goes_on_in_another_event_loop(world: World) -> None:
    # A program without a loop of its own calls asyncio.run again and again.
    service = world.service(background=True, retry_schedule_s=(1,))

    async def emit_and_leave() -> None:
        await service.emit(event())
        await world.clock.advance(10 * SECOND_MS)

    def run_twice() -> None:
        for _ in range(2):
            asyncio.run(emit_and_leave())

    await add(service)
    await world.clock.run(service.stop())
    world.sender.script(url_of("a"), 503, 200, 503, 200)
    await asyncio.to_thread(run_twice)
    assert len(world.sender.requests) == 4
