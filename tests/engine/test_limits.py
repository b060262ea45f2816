"""Limits hold whoever sends, and are used to the full."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.engine.limited import UnderWay, gaps, starts, two_servers
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
from webhook.domain.endpoint import EndpointInput, EndpointPatch
from webhook.domain.errors import Conflict, InvalidInput
from webhook.domain.model import DeliveryStatus
from webhook.engine.attempt import LATE_MS
from webhook.ports import WebhookPersistence
from webhook.testing import Reply

FAST: dict[str, Any] = {"retry_schedule_s": (1,) * 30}


async def test_a_rate_is_kept_by_two_servers_and_used_to_the_full(world: World) -> None:
    first, second = two_servers(world)
    await add(first, rate_limit_per_second=5)
    await second.initialize()
    for service in (first, second):
        await service.emit_many([event(n) for n in range(20)])
    await world.clock.advance(9 * SECOND_MS)
    assert await statuses(first) == [DeliveryStatus.SUCCESS] * 40
    assert min(gaps(starts(world))) >= 200
    assert max(gaps(starts(world))) < 300


async def test_retries_and_probes_keep_the_rate_too(world: World) -> None:
    service = world.service(background=True, **FAST)
    endpoint = await add(service, rate_limit_per_second=4)
    world.sender.script(url_of("a"), *[503] * 8, 200)
    await service.emit_many([event(n) for n in range(6)])
    for _ in range(5):
        await world.clock.run(service.probe_endpoint(endpoint.id))
    await world.clock.advance(20 * SECOND_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 6
    # Eight of them failed, whether a probe's or a delivery's.
    made = sum(d.attempts_made for d in await all_deliveries(service))
    assert len(starts(world)) == made + 5 > 11
    assert min(gaps(starts(world))) >= 250


async def test_what_waits_for_its_start_holds_no_slot(world: World) -> None:
    service = world.service(background=True, concurrency=4)
    for number in range(4):
        await add(service, f"rated{number}", "message.failed", rate_limit_per_second=2)
    await add(service, "good", "message.sent")
    world.sender.script(url_of("good"), Reply(after_ms=10))
    await service.emit_many([event(n, type="message.failed") for n in range(50)])
    await world.clock.advance(SECOND_MS)
    began = world.clock.now_ms()
    await service.emit_many([event(n) for n in range(40)])
    await world.clock.advance(SECOND_MS)
    assert len(starts(world, "good")) == 40
    assert starts(world, "good")[-1] - began < 600


async def test_an_attempt_that_missed_its_start_takes_another(world: World) -> None:
    service = world.service(background=True, concurrency=4)
    await add(service, "rated", "message.failed", rate_limit_per_second=5)
    for host in "bcde":
        await add(service, host, "message.sent")
        world.sender.script(url_of(host), Reply(after_ms=3 * SECOND_MS))
    await service.emit_many([event(n, type="message.failed") for n in range(12)])
    await world.clock.idle()
    # All slots are taken, and those that have a start by now miss it.
    await service.emit_many([event(n) for n in range(3)])
    await world.clock.advance(20 * SECOND_MS)
    assert len(starts(world, "rated")) == 12
    assert min(gaps(starts(world, "rated"))) >= 200 - LATE_MS
    assert set(await statuses(service)) == {DeliveryStatus.SUCCESS}


async def test_a_concurrency_is_kept_by_two_servers_and_used_to_the_full(world: World) -> None:
    first, second = two_servers(world, batch_timeout_ms=60_000)
    await add(first, concurrency_max=2)
    await second.initialize()
    under_way = UnderWay(world)
    world.sender.script(url_of("a"), Reply(after_ms=100))
    for service in (first, second):
        await service.emit_many([event(n) for n in range(20)])
    await world.clock.advance(100)
    assert world.sender.under_way == 2
    await world.clock.advance(3 * SECOND_MS)
    assert await statuses(first) == [DeliveryStatus.SUCCESS] * 40
    assert under_way.most == 2


async def test_a_limit_that_is_raised_holds_at_once(world: World) -> None:
    service = world.service(background=True, batch_timeout_ms=3_600_000)
    endpoint = await add(service, concurrency_max=1)
    world.sender.script(url_of("a"), Reply(after_ms=5 * SECOND_MS))
    await service.emit_many([event(n) for n in range(4)])
    await world.clock.idle()
    assert world.sender.under_way == 1
    await service.update_endpoint(endpoint.id, EndpointPatch(concurrency_max=3))
    await world.clock.idle()
    assert world.sender.under_way == 3


async def test_a_failing_endpoint_is_left_alone_probed_and_caught_up(world: World) -> None:
    service = world.service(background=True, **FAST)
    endpoint = await add(service)
    under_way = UnderWay(world)
    world.sender.script(url_of("a"), Reply(status_code=503, after_ms=50))
    for _ in range(3):
        await service.emit_many([event(n) for n in range(100)])
    await world.clock.advance(2 * SECOND_MS)
    at_first = len(starts(world))
    # What was leased before it had failed that often: under way, or waiting for a slot.
    assert at_first <= 128
    under_way.most = 0
    await world.clock.advance(3 * MINUTE_MS)
    # 5 s, 10 s, 20 s, 40 s, 80 s apart.
    assert len(starts(world)) - at_first in {4, 5}
    assert under_way.most == 1
    health = await service.get_endpoint(endpoint.id)
    assert health.failures >= 14
    assert health.open_until is not None
    world.sender.script(url_of("a"), 200)
    # Nothing ever went well, so it gets two a second.
    await world.clock.advance(5 * MINUTE_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 300
    healthy = await service.get_endpoint(endpoint.id)
    assert (healthy.failures, healthy.failing_since, healthy.open_until) == (0, None, None)


@pytest.mark.parametrize(
    "limits",
    [{"concurrency_max": 1}, {"rate_limit_per_second": 0.5}, {"rate_limit_per_second": 20}],
)
async def test_the_loop_does_not_spin_at_a_shut_gate(
    world: World, limits: dict[str, float]
) -> None:
    service = world.service(background=True, timeout_ms=30_000)
    await add(service, **limits)
    world.sender.script(url_of("a"), Reply(after_ms=20 * SECOND_MS))
    await service.emit_many([event(n) for n in range(100)])
    await world.clock.advance(SECOND_MS)
    before = world.faults.calls["claim"]
    await world.clock.advance(10 * SECOND_MS)
    assert world.faults.calls["claim"] - before <= 60


async def test_a_probe_waits_for_its_start_but_not_for_long(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints())
    endpoint = await add(service, rate_limit_per_second=0.2)
    began = world.clock.now_ms()
    for _ in range(2):
        await world.clock.run(service.probe_endpoint(endpoint.id))
    assert [at - began for at in starts(world)] == [0, 5_000]
    first, second = (asyncio.ensure_future(service.probe_endpoint(endpoint.id)) for _ in range(2))
    await world.clock.idle()
    with pytest.raises(Conflict, match="in 15 s"):
        await world.clock.run(service.probe_endpoint(endpoint.id))
    await world.clock.run(asyncio.gather(first, second))
    assert len(starts(world)) == 4


async def test_limits_are_refused_where_no_store_would_keep_them(world: World) -> None:
    apart = WebhookPersistence(
        endpoint_store=world.persistence.endpoint_store,
        delivery_store=world.persistence.delivery_store,
        init=world.persistence.init,
    )
    service = world.service(wake_queue=QueueOfHints(), persistence=apart)
    for limit in ("concurrency_max", "rate_limit_per_second"):
        limits: Any = {limit: 1}
        given = EndpointInput(url=url_of("a"), event_types=["*"], **limits)
        with pytest.raises(InvalidInput) as refused:
            await service.add_endpoint(given)
        assert [error.pointer for error in refused.value.errors] == [f"/{limit}"]
    endpoint = await add(service)
    with pytest.raises(InvalidInput):
        await service.update_endpoint(endpoint.id, EndpointPatch(concurrency_max=1))


async def test_a_flush_delivers_what_a_limit_spreads_over_time(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints())
    await add(service, concurrency_max=2, rate_limit_per_second=10)
    world.sender.script(url_of("a"), Reply(after_ms=150))
    await service.emit_many([event(n) for n in range(30)])
    await world.clock.run(service.flush())
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 30
    assert min(gaps(starts(world))) >= 100 - LATE_MS


async def test_a_stop_gives_back_what_waits_for_its_start(world: World) -> None:
    service = world.service(background=True)
    await add(service, rate_limit_per_second=2)
    await service.emit_many([event(n) for n in range(6)])
    await world.clock.idle()
    assert len(starts(world)) == 1
    await world.clock.run(service.stop(0))
    found = await all_deliveries(service)
    assert [d.interruptions for d in found] == [0] * 6
    assert world.sender.under_way == 0
