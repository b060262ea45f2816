"""A failed attempt is made again by the schedule, at exactly its time, until there is an end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.world import (
    HOUR_MS,
    MINUTE_MS,
    SECOND_MS,
    QueueOfHints,
    World,
    add,
    event,
    url_of,
)
from webhook.domain.model import DeliveryState, DeliveryStatus, EndpointStatus
from webhook.domain.retry import DEFAULT_SCHEDULE_S, RetryPolicy
from webhook.testing import Reply


async def test_retries_come_exactly_by_the_schedule_and_end_exhausted(world: World) -> None:
    service = world.service(background=True, batch_timeout_ms=HOUR_MS)
    await add(service)
    world.sender.script(url_of("a"), 500)
    started = world.clock.now_ms()
    await service.emit(event())
    await world.clock.advance(100 * HOUR_MS)
    waits = [0, *DEFAULT_SCHEDULE_S]
    expected = [started + sum(waits[: n + 1]) * SECOND_MS for n in range(len(waits))]
    assert [sent.started_at for sent in world.sender.requests] == expected
    found = await world.delivery(service)
    assert found.status is DeliveryStatus.EXHAUSTED
    assert found.reason == "retries used up after 10 attempts"
    assert [attempt.number for attempt in found.attempts] == list(range(1, 11))
    assert [sent.headers["webhook-attempt"] for sent in world.sender.requests] == [
        str(number) for number in range(1, 11)
    ]
    assert len({sent.event_id for sent in world.sender.requests}) == 1


async def test_a_receiver_that_recovers_gets_it(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), 503, Reply(after_ms=10**9), 200)
    await service.emit(event())
    await world.clock.advance(HOUR_MS)
    found = await world.delivery(service)
    assert found.status is DeliveryStatus.SUCCESS
    assert [a.error_kind for a in found.attempts] == ["http_status", "timeout", None]
    assert len(world.sender.requests) == 3


async def test_the_endpoints_policy_wins_over_the_services(world: World) -> None:
    service = world.service(background=True, retry_schedule_s=(1, 1, 1))
    await add(service, "own", retry=RetryPolicy(schedule_s=(60,), jitter=0))
    await add(service, "none")
    for name in ("own", "none"):
        world.sender.script(url_of(name), 500)
    started = world.clock.now_ms()
    await service.emit(event())
    await world.clock.advance(10 * MINUTE_MS)
    times = {
        name: [(sent.started_at - started) / SECOND_MS for sent in world.sender.to(url_of(name))]
        for name in ("own", "none")
    }
    assert times == {"own": [0, 60], "none": [0, 1, 2, 3]}


async def test_exponential_back_off_is_capped(world: World) -> None:
    service = world.service(
        background=True, retry_delay_ms=1_000, backoff_multiplier=3, max_delay_ms=5_000
    )
    await add(service)
    world.sender.script(url_of("a"), 500)
    started = world.clock.now_ms()
    await service.emit(event())
    await world.clock.advance(HOUR_MS)
    times = [sent.started_at - started for sent in world.sender.requests]
    assert times == [0, 1_000, 4_000, *range(9_000, 9_000 + 7 * 5_000, 5_000)]


@pytest.mark.parametrize("where", ["service", "endpoint"])
async def test_without_retries_the_first_failure_is_the_end(world: World, where: str) -> None:
    options: dict[str, Any] = {"max_retries": 0} if where == "service" else {}
    service = world.service(**options)
    await add(service, retry=None if where == "service" else RetryPolicy(max_retries=0))
    world.sender.script(url_of("a"), 500)
    [found] = await world.clock.run(service.emit_sync(event()))
    assert (found.status, found.due_at) == (DeliveryStatus.EXHAUSTED, None)


async def test_gone_fails_the_delivery_and_disables_the_endpoint(world: World) -> None:
    service = world.service(background=True)
    endpoint = await add(service)
    world.sender.script(url_of("a"), 410)
    await service.emit(event())
    await world.clock.idle()
    found = await world.delivery(service)
    assert (found.status, found.reason) == (
        DeliveryStatus.FAILED,
        "the receiver answered 410 Gone",
    )
    disabled = await service.get_endpoint(endpoint.id)
    assert disabled.status is EndpointStatus.ERROR
    assert disabled.revision == endpoint.revision + 1
    assert (await service.emit(event())).delivery_count == 0
    await world.clock.advance(HOUR_MS)
    assert len(world.sender.requests) == 1


async def test_retry_after_pushes_the_next_attempt_back(world: World) -> None:
    service = world.service(background=True, retry_schedule_s=(5, 5))
    await add(service)
    world.sender.script(
        url_of("a"),
        Reply(status_code=429, retry_after_ms=90_000),
        Reply(status_code=429, retry_after_ms=1_000),
        200,
    )
    started = world.clock.now_ms()
    await service.emit(event())
    await world.clock.advance(HOUR_MS)
    times = [sent.started_at - started for sent in world.sender.requests]
    assert times == [0, 90_000, 95_000]


async def test_transient_only_fails_what_will_not_change(world: World) -> None:
    service = world.service(transient_only=True)
    for name, status in {"a": 404, "b": 503}.items():
        await add(service, name)
        world.sender.script(url_of(name), status)
    found = await world.clock.run(service.emit_sync(event()))
    assert sorted(d.state for d in found) == [DeliveryState.FAILED, DeliveryState.SCHEDULED]


async def test_the_jitter_is_drawn_for_each_retry(world: World) -> None:
    service = world.service(jitter=0.2, retry_schedule_s=(100,))
    names = [f"r{number}" for number in range(20)]
    for name in names:
        await add(service, name)
        world.sender.script(url_of(name), 500)
    found = await world.clock.run(service.emit_sync(event()))
    waits = [(d.due_at or 0) - world.clock.now_ms() for d in found]
    assert all(80_000 <= wait <= 120_000 for wait in waits)
    assert len(set(waits)) > 10


async def test_a_replay_starts_the_schedule_again(world: World) -> None:
    service = world.service(background=True, retry_schedule_s=(5,))
    await add(service)
    world.sender.script(url_of("a"), 500, 500, 500, 200)
    await service.emit(event())
    await world.clock.advance(MINUTE_MS)
    dead = await world.delivery(service)
    assert dead.status is DeliveryStatus.EXHAUSTED
    replayed, started = await service.replay_delivery(dead.id)
    assert (replayed.status, started) == (DeliveryStatus.PENDING, True)
    await world.clock.advance(MINUTE_MS)
    found = await world.delivery(service)
    assert found.status is DeliveryStatus.SUCCESS
    assert [(a.number, a.manual) for a in found.attempts] == [
        (1, False),
        (2, False),
        (3, True),
        (4, False),
    ]


async def test_a_replay_of_what_is_pending_changes_nothing(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints())
    await add(service)
    await service.emit(event())
    pending = await world.delivery(service)
    assert await service.replay_delivery(pending.id) == (pending, False)
