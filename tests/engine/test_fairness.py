"""One endpoint that hangs, fails or is paused never holds up the others."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine.world import (
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
from webhook.domain.model import DeliveryStatus
from webhook.testing import FOREVER, Reply


@pytest.mark.parametrize("background", [True, False])
async def test_a_hanging_endpoint_holds_a_quarter_of_the_slots_at_most(
    world: World, background: bool
) -> None:
    emitting = world.service(wake_queue=QueueOfHints())
    await add(emitting, "hanging", "message.failed")
    await add(emitting, "good", "message.sent")
    world.sender.script(url_of("hanging"), Reply(after_ms=FOREVER))
    await emitting.emit_many([event(n, type="message.failed") for n in range(100)])
    await emitting.emit_many([event(n) for n in range(60)])
    service = world.service(background=background, concurrency=16)
    await service.initialize()
    flushing = None if background else asyncio.ensure_future(service.flush())
    for _ in range(5):
        await world.clock.advance(SECOND_MS)
        assert world.sender.under_way == 4
    assert len(world.sender.to(url_of("good"))) == 60
    if flushing is not None:
        flushing.cancel()
        await world.clock.advance(MINUTE_MS)


async def test_first_attempts_respect_an_endpoints_share_too(world: World) -> None:
    service = world.service(background=True, concurrency=16)
    await add(service, "hanging", "message.failed")
    await add(service, "good", "message.sent")
    world.sender.script(url_of("hanging"), Reply(after_ms=FOREVER))
    await service.emit_many([event(n, type="message.failed") for n in range(100)])
    await world.clock.idle()
    assert world.sender.under_way == 4
    started = world.clock.now_ms()
    for number in range(20):
        await service.emit(event(number))
        await world.clock.advance(10)
    await world.clock.advance(SECOND_MS)
    good = world.sender.to(url_of("good"))
    assert len(good) == 20
    assert max(sent.started_at for sent in good) - started < SECOND_MS
    assert world.sender.under_way == 4


async def test_four_hanging_endpoints_leave_room_as_soon_as_one_slot_is_free(world: World) -> None:
    service = world.service(background=True, concurrency=16, timeout_ms=30_000)
    for number in range(4):
        await add(service, f"h{number}", "message.failed")
        world.sender.script(url_of(f"h{number}"), Reply(after_ms=FOREVER))
    await add(service, "good", "message.sent")
    # 15 of 16 slots hang: fewer than a quarter of them are free.
    await service.emit_many([event(n, type="message.failed") for n in range(3)])
    await world.clock.advance(SECOND_MS)
    for endpoint_id in {d.endpoint_id for d in await all_deliveries(service)}:
        patch = EndpointPatch(event_types=["message.delivered"])
        await service.update_endpoint(endpoint_id, patch)
        break
    await service.emit(event(3, type="message.failed"))
    await world.clock.advance(SECOND_MS)
    assert world.sender.under_way == 15
    await service.emit_many([event(n) for n in range(5)])
    await world.clock.advance(2 * SECOND_MS)
    assert len(world.sender.to(url_of("good"))) == 5


async def test_accepts_one_after_the_other_do_not_starve_the_loop(world: World) -> None:
    service = world.service(background=True, concurrency=8, retry_schedule_s=(1,))
    await add(service)
    world.sender.script(url_of("a"), 503, 200)
    await service.emit(event("to be retried"))
    await world.clock.idle()

    async def take_a_while() -> None:
        await world.clock.sleep(100)

    world.faults.hold["accept"] = take_a_while

    async def keep_emitting(offset: int) -> None:
        await world.clock.sleep(offset)
        while True:
            await service.emit(event())

    tasks = [asyncio.ensure_future(keep_emitting(offset)) for offset in (1, 51)]
    await world.clock.advance(10 * SECOND_MS)
    for task in tasks:
        task.cancel()
    retried = [sent for sent in world.sender.requests if sent.headers["webhook-attempt"] == "2"]
    assert [sent.started_at - world.sender.requests[0].started_at for sent in retried] == [1_000]


async def test_a_paused_endpoint_waits_and_goes_on_at_once_when_it_is_active(world: World) -> None:
    service = world.service(background=True, batch_timeout_ms=3_600_000)
    endpoint = await add(service)
    world.sender.script(url_of("a"), 503, 200)
    await service.emit(event())
    await world.clock.idle()
    await service.update_endpoint(endpoint.id, EndpointPatch(active=False))
    await world.clock.advance(60 * MINUTE_MS)
    assert len(world.sender.requests) == 1
    assert (await service.emit(event())).delivery_count == 0
    await service.update_endpoint(endpoint.id, EndpointPatch(active=True))
    await world.clock.idle()
    assert len(world.sender.requests) == 2
    assert await statuses(service) == [DeliveryStatus.SUCCESS]


async def test_a_removed_endpoints_pending_deliveries_end_as_canceled(world: World) -> None:
    service = world.service(background=True)
    endpoint = await add(service)
    world.sender.script(url_of("a"), 503)
    await service.emit(event())
    await world.clock.idle()
    removed_at = world.clock.now_ms()
    assert await service.remove_endpoint(endpoint.id)
    assert not await service.remove_endpoint(endpoint.id)
    found = await world.delivery(service)
    assert (found.status, found.reason) == (DeliveryStatus.CANCELED, "the endpoint was removed")
    await world.clock.advance(10 * MINUTE_MS)
    assert len(world.sender.requests) == 1
    found = await world.delivery(service)
    assert (found.status, found.completed_at) == (DeliveryStatus.CANCELED, removed_at)


async def test_an_attempt_under_way_counts_though_its_endpoint_is_removed(world: World) -> None:
    service = world.service(background=True)
    endpoint = await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=5 * SECOND_MS))
    await service.emit(event())
    await world.clock.advance(SECOND_MS)
    await service.remove_endpoint(endpoint.id)
    await world.clock.advance(10 * SECOND_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS]


async def test_many_endpoints_all_get_their_turn(world: World) -> None:
    service = world.service(background=True, concurrency=4)
    for number in range(30):
        await add(service, f"r{number}")
        world.sender.script(url_of(f"r{number}"), Reply(after_ms=100))
    await service.emit_many([event(n) for n in range(10)])
    await world.clock.advance(MINUTE_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 300
