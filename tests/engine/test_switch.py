"""The operator's switch holds for every claimer, and all goes on when it is turned back."""

from __future__ import annotations

from tests.engine.limited import two_servers
from tests.engine.world import (
    MINUTE_MS,
    SECOND_MS,
    World,
    add,
    event,
    statuses,
    url_of,
)
from webhook.domain.model import DeliveryStatus


async def test_nothing_is_sent_while_sending_is_paused_and_all_of_it_after(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), 503, 200)
    await service.emit(event())
    await world.clock.idle()
    status = await service.pause_sending()
    assert status.paused_since == world.clock.now_ms()
    await service.emit_many([event(n) for n in range(10)])
    await world.clock.advance(30 * MINUTE_MS)
    assert len(world.sender.requests) == 1
    assert (await service.sending_status()).paused is True
    assert await statuses(service) == [DeliveryStatus.PENDING] * 11
    assert (await service.resume_sending()).paused is False
    await world.clock.idle()
    assert len(world.sender.requests) == 12
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 11


async def test_the_switch_holds_for_every_server_on_the_store(world: World) -> None:
    first, second = two_servers(world)
    await add(first)
    await second.initialize()
    await first.pause_sending()
    for service in (first, second):
        await service.emit_many([event(n) for n in range(5)])
    await world.clock.advance(MINUTE_MS)
    assert world.sender.requests == []
    await second.resume_sending()
    await world.clock.advance(SECOND_MS)
    assert await statuses(first) == [DeliveryStatus.SUCCESS] * 10


async def test_the_loop_sleeps_while_sending_is_paused(world: World) -> None:
    service = world.service(background=True, batch_timeout_ms=60_000)
    await add(service)
    await service.pause_sending()
    await service.emit_many([event(n) for n in range(50)])
    await world.clock.advance(MINUTE_MS)
    before = world.faults.calls["claim"]
    await world.clock.advance(60 * MINUTE_MS)
    assert world.faults.calls["claim"] - before <= 61
