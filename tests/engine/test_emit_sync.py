"""``emit_sync`` returns the deliveries after their first attempt: no earlier, and no later."""

from __future__ import annotations

import asyncio

from tests.engine.world import (
    LEASE_MS,
    SECOND_MS,
    World,
    add,
    event,
    url_of,
)
from webhook.domain.endpoint import EndpointInput, EndpointPatch
from webhook.domain.model import DeliveryState, DeliveryStatus
from webhook.testing import FOREVER, Reply


async def test_emit_sync_returns_the_deliveries_after_their_first_attempt(world: World) -> None:
    service = world.service()
    await add(service, "a")
    await add(service, "b")
    found = await world.clock.run(service.emit_sync(event()))
    assert [d.status for d in found] == [DeliveryStatus.SUCCESS] * 2
    assert [[a.status_code for a in d.attempts] for d in found] == [[200]] * 2


async def test_emit_sync_returns_nothing_where_nothing_matches(world: World) -> None:
    service = world.service()
    await add(service, "a", "message.failed")
    assert await world.clock.run(service.emit_sync(event())) == []


async def test_emit_sync_makes_the_first_attempt_to_200_endpoints(world: World) -> None:
    service = world.service()
    names = [f"r{number}" for number in range(200)]
    await service.add_endpoints(
        [EndpointInput(url=url_of(name), event_types=["*"]) for name in names]
    )
    for name in names:
        world.sender.script(url_of(name), Reply(after_ms=50))
    found = await world.clock.run(service.emit_sync(event()))
    assert [d.status for d in found] == [DeliveryStatus.SUCCESS] * 200
    assert sorted(sent.url for sent in world.sender.requests) == sorted(map(url_of, names))


async def test_a_failed_first_attempt_is_scheduled_and_not_retried_inline(world: World) -> None:
    service = world.service(retry_schedule_s=(5,))
    await add(service, "good")
    await add(service, "bad")
    world.sender.script(url_of("bad"), 503)
    found = await world.clock.run(service.emit_sync(event()))
    assert len(world.sender.requests) == 2
    assert sorted(d.state for d in found) == [DeliveryState.SCHEDULED, DeliveryState.SUCCESS]
    [failed] = [d for d in found if d.state is DeliveryState.SCHEDULED]
    assert failed.due_at == world.clock.now_ms() + 5 * SECOND_MS


async def test_a_retry_without_a_wait_is_not_made_inline_either(world: World) -> None:
    service = world.service(retry_schedule_s=(0, 0, 0))
    await add(service)
    world.sender.script(url_of("a"), 503)
    [found] = await world.clock.run(service.emit_sync(event()))
    assert found.attempts_made == 1


async def test_emit_sync_leaves_other_work_to_others(world: World) -> None:
    service = world.service()
    await add(service, "other", "message.failed")
    for number in range(3):
        await service.emit(event(number, type="message.failed"))
    await add(service, "a", "message.sent")
    await world.clock.run(service.emit_sync(event()))
    assert [sent.url for sent in world.sender.requests] == [url_of("a")]


async def test_emit_sync_waits_for_a_first_attempt_that_the_background_makes(world: World) -> None:
    service = world.service(background=True, concurrency=4)
    names = [f"r{number}" for number in range(12)]
    for name in names:
        await add(service, name)
        world.sender.script(url_of(name), Reply(after_ms=700))
    found = await world.clock.run(service.emit_sync(event()))
    assert [d.status for d in found] == [DeliveryStatus.SUCCESS] * 12
    assert len(world.sender.requests) == 12


async def test_emit_sync_beside_another_emit_sync_shares_no_delivery(world: World) -> None:
    service = world.service(concurrency=4)
    for number in range(10):
        await add(service, f"r{number}")
        world.sender.script(url_of(f"r{number}"), Reply(after_ms=100))
    first, second = await world.clock.run(
        asyncio.gather(service.emit_sync(event(1)), service.emit_sync(event(2)))
    )
    assert [d.status for d in [*first, *second]] == [DeliveryStatus.SUCCESS] * 20
    assert len(world.sender.requests) == 20


async def test_emit_sync_ends_though_an_endpoint_is_paused_meanwhile(world: World) -> None:
    service = world.service(concurrency=1)
    for name in ("a", "b"):
        world.sender.script(url_of(name), Reply(after_ms=SECOND_MS))
    endpoints = [await add(service, name) for name in ("a", "b")]
    emitting = asyncio.ensure_future(service.emit_sync(event()))
    await world.clock.idle()
    for endpoint in endpoints:
        await service.update_endpoint(endpoint.id, EndpointPatch(active=False))
    found = await world.clock.run(emitting, within_ms=LEASE_MS)
    assert sorted(d.status for d in found) == [DeliveryStatus.PENDING, DeliveryStatus.SUCCESS]


async def test_a_receiver_that_never_answers_costs_its_deadline(world: World) -> None:
    service = world.service(timeout_ms=3_000)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=FOREVER))
    before = world.clock.now_ms()
    [found] = await world.clock.run(service.emit_sync(event()))
    assert world.clock.now_ms() - before == 3_000
    assert found.attempts[0].error_kind == "timeout"
