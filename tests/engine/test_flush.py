"""``flush`` delivers all that is due, leaves what is not, and always comes to an end."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine.world import (
    LEASE_MS,
    MINUTE_MS,
    SECOND_MS,
    QueueOfHints,
    World,
    add,
    all_deliveries,
    event,
    statuses,
    url_of,
)
from webhook.domain.endpoint import EndpointPatch
from webhook.domain.errors import StoreUnavailable
from webhook.domain.model import DeliveryState, DeliveryStatus
from webhook.testing import FOREVER, Reply


async def test_flush_delivers_all_that_is_due(world: World) -> None:
    service = world.service(concurrency=8)
    for name in ("a", "b", "c"):
        await add(service, name)
    for number in range(3):
        await service.emit_many([event([number, n]) for n in range(100)])
    await world.clock.run(service.flush())
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 900
    assert len(world.sender.requests) == 900


async def test_flush_leaves_retries_that_fall_due_later(world: World) -> None:
    service = world.service(retry_schedule_s=(5,))
    await add(service)
    world.sender.script(url_of("a"), 503, 200)
    await service.emit(event())
    await world.clock.run(service.flush())
    assert (await world.delivery(service)).state is DeliveryState.SCHEDULED
    await world.clock.advance(5 * SECOND_MS - 1)
    await world.clock.run(service.flush())
    assert len(world.sender.requests) == 1
    await world.clock.advance(1)
    await world.clock.run(service.flush())
    assert await statuses(service) == [DeliveryStatus.SUCCESS]


async def test_flush_waits_for_what_the_background_loop_has_under_way(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=4_000))
    await service.emit(event())
    await world.clock.run(service.flush())
    assert await statuses(service) == [DeliveryStatus.SUCCESS]
    assert len(world.sender.requests) == 1


async def test_flush_ends_though_events_keep_coming(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=SECOND_MS))

    async def keep_emitting() -> None:
        while True:
            await service.emit(event())
            await world.clock.sleep(300)

    emitting = asyncio.ensure_future(keep_emitting())
    await world.clock.advance(2 * SECOND_MS)
    before = {d.id for d in await all_deliveries(service)}
    await world.clock.run(service.flush(), within_ms=10 * SECOND_MS)
    after = {d.id: d.status for d in await all_deliveries(service)}
    emitting.cancel()
    assert {after[delivery_id] for delivery_id in before} == {DeliveryStatus.SUCCESS}


async def test_flush_swallows_no_hint_of_the_background_loop(world: World) -> None:
    service = world.service(background=True, concurrency=1, batch_timeout_ms=3_600_000)
    await add(service, "slow", "message.failed")
    await add(service, "a", "message.sent")
    world.sender.script(url_of("slow"), Reply(after_ms=2_000))
    await service.emit(event(type="message.failed"))
    flushing = asyncio.ensure_future(service.flush())
    await world.clock.idle()
    await service.emit(event(1))
    await service.emit(event(2))
    await world.clock.run(flushing)
    await world.clock.advance(MINUTE_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 3


async def test_flush_with_nothing_to_do_returns(world: World) -> None:
    service = world.service()
    await world.clock.run(service.flush(), within_ms=0)


async def test_flush_does_not_wait_for_paused_endpoints(world: World) -> None:
    service = world.service()
    endpoint = await add(service)
    await service.emit(event())
    await service.update_endpoint(endpoint.id, EndpointPatch(active=False))
    await world.clock.run(service.flush(), within_ms=SECOND_MS)
    assert await statuses(service) == [DeliveryStatus.PENDING]
    assert world.sender.requests == []


async def test_flush_finds_the_active_endpoint_behind_200_paused_ones(world: World) -> None:
    service = world.service(concurrency=4)
    for number in range(200):
        await add(service, f"p{number}")
    await service.emit(event())
    paused = await all_deliveries(service)
    for delivery in paused:
        await service.update_endpoint(delivery.endpoint_id, EndpointPatch(active=False))
    await add(service, "active")
    await service.emit(event())
    await world.clock.run(service.flush())
    assert [sent.url for sent in world.sender.requests] == [url_of("active")]


async def test_flush_ends_though_a_receiver_never_answers(world: World) -> None:
    service = world.service()
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=FOREVER))
    await service.emit(event())
    await world.clock.run(service.flush(), within_ms=15_000)
    assert (await world.delivery(service)).attempts[0].error_kind == "timeout"


async def test_flush_says_so_when_the_store_does_not_answer(world: World) -> None:
    service = world.service()
    await add(service)
    await service.emit(event())
    world.faults.fail("claim")
    with pytest.raises(StoreUnavailable):
        await world.clock.run(service.flush(), within_ms=LEASE_MS)


async def test_flush_gets_over_one_claim_that_fails(world: World) -> None:
    service = world.service()
    await add(service)
    await service.emit(event())
    world.faults.fail("claim", 1)
    await world.clock.run(service.flush(), within_ms=LEASE_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS]


async def test_delivering_within_a_budget_finishes_what_it_began_and_tells_of_the_rest(
    world: World,
) -> None:
    hints = QueueOfHints()
    service = world.service(wake_queue=hints, concurrency=4)
    for name in "abcd":
        await add(service, name)
        world.sender.script(url_of(name), Reply(after_ms=SECOND_MS))
    await service.emit_many([event(n) for n in range(50)])
    hints.delays.clear()
    left = await world.clock.run(service.deliver_due(budget_ms=2_500))
    assert left
    assert 0 in hints.delays
    found = await all_deliveries(service)
    assert {d.state for d in found} == {DeliveryState.SUCCESS, DeliveryState.READY}
    assert sum(d.state is DeliveryState.SUCCESS for d in found) == len(world.sender.requests) == 12
    assert not await world.clock.run(service.deliver_due())
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 200
