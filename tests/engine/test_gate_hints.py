"""What a gate holds back goes on by hints alone, and no hints grow in number meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.engine.limited import UnderWay, gaps, starts
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
from webhook.engine.attempt import LATE_MS
from webhook.engine.limits import Limits
from webhook.runtime import WebhookRuntimeService
from webhook.testing import FOREVER, Reply

# What an invocation of a Worker may hold.
WORKER = Limits(slots=6, per_endpoint=2, ahead=40, take_max=40, linger_ms=500, gate_waits=2)


class Invocations:
    """A queue whose every hint calls a consumer of its own, like a Worker's; nothing else does."""

    def __init__(self, world: World) -> None:
        self.delays: list[int] = []
        self.service: WebhookRuntimeService | None = None
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()

    async def wake(self, delay_ms: int) -> None:
        self.delays.append(delay_ms)
        task = asyncio.ensure_future(self._consume(delay_ms))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _consume(self, delay_ms: int) -> None:
        await self._world.clock.sleep(-(-delay_ms // 1000) * 1000)
        assert self.service is not None
        await self.service.deliver_due(limits=WORKER, budget_ms=MINUTE_MS)


def invoked(
    world: World, retry_schedule_s: tuple[int, ...] | None = None
) -> tuple[WebhookRuntimeService, Invocations]:
    queue = Invocations(world)
    service = world.service(wake_queue=queue, retry_schedule_s=retry_schedule_s)
    queue.service = service
    return service, queue


@pytest.mark.parametrize(
    ("limits", "within_ms"),
    [
        ({"concurrency_max": 1}, 90 * SECOND_MS),
        ({"concurrency_max": 2}, 60 * SECOND_MS),
        ({"rate_limit_per_second": 5}, 30 * SECOND_MS),
        ({"rate_limit_per_second": 0.5}, 250 * SECOND_MS),
        ({"concurrency_max": 2, "rate_limit_per_second": 50}, 60 * SECOND_MS),
    ],
)
async def test_hints_alone_bring_a_limited_backlog_to_its_end(
    world: World, limits: dict[str, float], within_ms: int
) -> None:
    service, queue = invoked(world)
    await add(service, **limits)
    under_way = UnderWay(world)
    world.sender.script(url_of("a"), Reply(after_ms=20))
    await service.emit_many([event(n) for n in range(100)])
    await world.clock.advance(within_ms)
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 100
    assert under_way.most <= limits.get("concurrency_max", 100)
    if rate := limits.get("rate_limit_per_second"):
        assert min(gaps(starts(world))) >= 1000 / rate - LATE_MS
    # At most one for each that was sent, and the first.
    assert len(queue.delays) <= 101
    await world.clock.advance(10 * MINUTE_MS)
    assert len(queue.delays) <= 101


def _circuit(world: World) -> None:
    world.sender.script(url_of("a"), 503)


def _nothing(_world: World) -> None:
    """Let the receiver be well."""


@pytest.mark.parametrize(
    ("limits", "prepare"),
    [
        ({"rate_limit_per_second": 0.2}, _nothing),
        ({"rate_limit_per_second": 5}, _nothing),
        ({"concurrency_max": 1}, _nothing),
        ({}, _circuit),
    ],
)
async def test_emits_to_a_shut_gate_leave_no_growing_number_of_hints(
    world: World, limits: dict[str, float], prepare: Callable[[World], None]
) -> None:
    service, queue = invoked(world, retry_schedule_s=(3600,))
    await add(service, **limits)
    world.sender.script(url_of("a"), Reply(after_ms=900))
    prepare(world)
    await service.emit_many([event(n) for n in range(20)])
    await world.clock.advance(10 * SECOND_MS)
    for number in range(200):
        await service.emit(event(number))
        await world.clock.advance(50)
    # Each emit gives its own; what follows is bounded by what can be sent meanwhile.
    before, sent_before = len(queue.delays), len(starts(world))
    await world.clock.advance(MINUTE_MS)
    sent = len(starts(world)) - sent_before
    assert len(queue.delays) - before <= 2 * sent + 10


async def test_a_limited_endpoint_without_a_backlog_costs_one_hint_an_event(world: World) -> None:
    service, queue = invoked(world)
    await add(service, concurrency_max=5, rate_limit_per_second=100)
    for number in range(20):
        await service.emit(event(number))
        await world.clock.advance(2 * SECOND_MS)
    assert len(starts(world)) == 20
    assert queue.delays == [0] * 20


async def test_a_hanging_limited_endpoint_holds_up_nobody(world: World) -> None:
    service, _ = invoked(world)
    await add(service, "hanging", "message.failed", concurrency_max=1)
    await add(service, "good", "message.sent")
    world.sender.script(url_of("hanging"), Reply(after_ms=FOREVER))
    await service.emit_many([event(n, type="message.failed") for n in range(10)])
    await world.clock.advance(SECOND_MS)
    began = world.clock.now_ms()
    await service.emit(event())
    await world.clock.advance(SECOND_MS)
    assert starts(world, "good") == [began]
