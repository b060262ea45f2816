"""Hints: few, merged, and never the only way by which something is found."""

from __future__ import annotations

import asyncio

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
from webhook.domain.retry import RetryPolicy
from webhook.runtime import WebhookRuntimeService
from webhook.testing import FOREVER, Reply


class Doubled:
    """A queue that delivers every hint twice, each to a consumer of its own."""

    def __init__(self, world: World) -> None:
        self.service: WebhookRuntimeService | None = None
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()

    async def wake(self, delay_ms: int) -> None:
        for _ in range(2):
            task = asyncio.ensure_future(self._consume(delay_ms))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _consume(self, delay_ms: int) -> None:
        await self._world.clock.sleep(delay_ms)
        assert self.service is not None
        await self.service.deliver_due()


async def test_an_emit_gives_one_hint_whatever_its_size(world: World) -> None:
    hints = QueueOfHints()
    service = world.service(wake_queue=hints)
    for name in "abc":
        await add(service, name)
    await service.emit_many([event(n) for n in range(100)])
    assert hints.delays == [0]


async def test_an_emit_to_nobody_gives_no_hint(world: World) -> None:
    hints = QueueOfHints()
    await world.service(wake_queue=hints).emit(event())
    assert hints.delays == []


async def test_the_hints_for_retries_of_one_settle_are_merged_per_five_seconds(
    world: World,
) -> None:
    hints = QueueOfHints()
    service = world.service(wake_queue=hints)
    waits_s = (1, 2, 3.5, 4.9, 7, 9, 60, 119, 120, 121, 300)
    for number, wait_s in enumerate(waits_s):
        await add(service, f"r{number}", retry=RetryPolicy(schedule_s=(wait_s,), jitter=0))
        world.sender.script(url_of(f"r{number}"), 503)
    await service.emit(event())
    hints.delays.clear()
    await world.clock.run(service.flush())
    # The last of each five seconds, and none that is longer than two minutes.
    assert sorted(hints.delays) == [4_900, 9_000, 60_000, 119_000, 120_000]


async def test_no_hint_is_for_longer_than_two_minutes(world: World) -> None:
    hints = QueueOfHints()
    service = world.service(wake_queue=hints, retry_schedule_s=(5, 121, 120, 86_400))
    await add(service)
    world.sender.script(url_of("a"), 503)
    await service.emit(event())
    for wait_s in (0, 5, 121, 120):
        await world.clock.advance(wait_s * SECOND_MS)
        await world.clock.run(service.flush())
    assert hints.delays == [0, 5_000, 120_000]


async def test_a_claim_that_leaves_something_wakes_the_next_one_before_it_sends(
    world: World,
) -> None:
    hints = QueueOfHints()
    service = world.service(wake_queue=hints, concurrency=4)
    for name in "abcd":
        await add(service, name)
    await service.emit_many([event(n) for n in range(3)])
    hints.delays.clear()
    sent_at_first_hint: list[int] = []
    wake = hints.wake

    async def noting(delay_ms: int) -> None:
        sent_at_first_hint.append(len(world.sender.requests))
        await wake(delay_ms)

    hints.wake = noting  # type: ignore[method-assign] # put around
    await world.clock.run(service.flush())
    assert sent_at_first_hint[0] == 0
    assert len(world.sender.requests) == 12


async def test_a_replay_and_a_reactivation_each_give_a_hint(world: World) -> None:
    hints = QueueOfHints()
    service = world.service(wake_queue=hints)
    endpoint = await add(service)
    [delivery] = await world.clock.run(service.emit_sync(event()))
    hints.delays.clear()
    await service.replay_delivery(delivery.id)
    assert hints.delays == [0]
    await service.update_endpoint(endpoint.id, EndpointPatch(active=False))
    assert hints.delays == [0]
    await service.update_endpoint(endpoint.id, EndpointPatch(active=True))
    assert hints.delays == [0, 0]


async def test_a_queue_that_loses_every_hint_still_ends_with_all_delivered(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints(), retry_schedule_s=(5, 60))
    for name in "abc":
        await add(service, name)
    world.sender.script(url_of("b"), 503, 503, 200)
    await service.emit_many([event(n) for n in range(50)])
    for _ in range(4):
        # The cron's minute.
        await world.clock.advance(MINUTE_MS)
        await world.clock.run(service.deliver_due())
        await service.sweep()
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 150


async def test_a_queue_that_doubles_every_hint_sends_nothing_twice(world: World) -> None:
    queue = Doubled(world)
    service = world.service(wake_queue=queue, retry_schedule_s=(5, 60), concurrency=8)
    queue.service = service
    for name in "abc":
        await add(service, name)
        world.sender.script(url_of(name), 503, 503, 503, 200)
    for number in range(5):
        await service.emit_many([event([number, n]) for n in range(4)])
    await world.clock.advance(10 * MINUTE_MS)
    found = await all_deliveries(service)
    assert [d.status for d in found] == [DeliveryStatus.SUCCESS] * 60
    assert len(world.sender.requests) == sum(d.attempts_made for d in found)
    assert {len(d.attempts) for d in found} == {1, 2}


async def test_the_loop_sleeps_while_nothing_is_due(world: World) -> None:
    service = world.service(background=True, batch_timeout_ms=60_000, retry_schedule_s=(7_200,))
    await add(service)
    world.sender.script(url_of("a"), 503)
    await service.emit(event())
    await world.clock.idle()
    before = world.faults.calls["claim"]
    await world.clock.advance(60 * MINUTE_MS)
    assert world.faults.calls["claim"] - before <= 61


async def test_the_loop_does_not_spin_on_what_a_hanging_endpoint_holds_back(world: World) -> None:
    service = world.service(background=True, concurrency=4, timeout_ms=30_000)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=FOREVER))
    await service.emit_many([event(n) for n in range(20)])
    await world.clock.advance(SECOND_MS)
    before = world.faults.calls["claim"]
    await world.clock.advance(20 * SECOND_MS)
    assert world.faults.calls["claim"] - before < 100
