"""Invocations of a Worker, which remember nothing of one another, are fair all the same."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter

import pytest

from tests.engine.test_gate_hints import WORKER, invoked
from tests.engine.world import MINUTE_MS, SECOND_MS, QueueOfHints, World, add, event, url_of
from webhook.domain.endpoint import EndpointInput
from webhook.testing import FOREVER, Reply

ENDPOINTS = 2_000
HEALTHY, SAMPLES, EVERY_MS, ANSWER_MS = 20, 1_000, 100, 20


@pytest.mark.parametrize("each", [1, 3])
async def test_2_000_endpoints_due_at_once_are_each_served_within_two_rounds(
    world: World, each: int
) -> None:
    service = world.service(wake_queue=QueueOfHints())
    await service.add_endpoints(
        [EndpointInput(url=url_of(f"e{n}"), event_types=["*"]) for n in range(ENDPOINTS)]
    )
    await service.emit_many([event(n) for n in range(each)])
    visits: Counter[str] = Counter()
    invocations = 0
    while True:
        before = len(world.sender.requests)
        await world.clock.run(service.deliver_due(limits=WORKER, budget_ms=MINUTE_MS))
        visited = {sent.url for sent in world.sender.requests[before:]}
        if not visited:
            break
        visits.update(visited)
        invocations += 1
        # Nobody a third time before everybody once.
        assert len(visits) == ENDPOINTS or max(visits.values()) <= 2
    assert len(visits) == ENDPOINTS
    assert len(world.sender.requests) == ENDPOINTS * each
    assert invocations == ENDPOINTS * each / 40


async def p99_ms(world: World, *, at_once: bool) -> float:
    """Emit to the healthy ones in turn; return the p99 of the time until each has answered."""
    service, _ = invoked(world)
    began = len(world.sender.requests)
    emitted: dict[str, int] = {}
    for number in range(SAMPLES):
        given = event(number, type=f"sample.t{number % HEALTHY}")
        now = world.clock.now_ms()
        accepted = await service.emit(given, wait_until=asyncio.ensure_future if at_once else None)
        emitted[accepted.id] = now
        await world.clock.advance(EVERY_MS)
    await world.clock.advance(10 * SECOND_MS)
    answered = {
        sent.headers["webhook-id"]: sent.started_at + ANSWER_MS
        for sent in world.sender.requests[began:]
        if sent.url != url_of("hanging")
    }
    assert answered.keys() == emitted.keys()
    times = [answered[name] - at for name, at in emitted.items()]
    return statistics.quantiles(times, n=100, method="inclusive")[98]


@pytest.mark.parametrize("at_once", [True, False], ids=["first attempts at once", "by hints"])
async def test_one_endpoint_that_hangs_does_not_slow_down_twenty_others(
    world: World, at_once: bool
) -> None:
    service, _ = invoked(world)
    for number in range(HEALTHY):
        await add(service, f"e{number}", f"sample.t{number}")
        world.sender.script(url_of(f"e{number}"), Reply(after_ms=ANSWER_MS))
    without = await p99_ms(world, at_once=at_once)
    await add(service, "hanging", "message.failed")
    world.sender.script(url_of("hanging"), Reply(after_ms=FOREVER))
    for _ in range(10):
        await service.emit_many([event(n, type="message.failed") for n in range(100)])
    await world.clock.advance(SECOND_MS)
    assert world.sender.under_way > 0
    assert await p99_ms(world, at_once=at_once) <= 1.5 * without
