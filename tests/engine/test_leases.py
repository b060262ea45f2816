"""Leases: a claimer that dies costs time and no retry, and nobody sends on a lease too short."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

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
from webhook.domain.lifecycle import INTERRUPTIONS_MAX
from webhook.domain.model import DeliveryStatus
from webhook.ports import ClaimRequest
from webhook.testing import FOREVER, Reply


async def claim_and_die(world: World) -> int:
    """Claim everything as a claimer does that sends nothing afterwards; return how much it was."""
    claim = await world.persistence.delivery_store.claim(
        ClaimRequest(now=world.clock.now_ms(), lease_ms=LEASE_MS, limit=100, per_endpoint=100)
    )
    return len(claim.claimed)


async def test_a_crash_between_claim_and_send_uses_up_no_retry(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints(), max_retries=0)
    await add(service)
    await service.emit(event())
    assert await claim_and_die(world) == 1
    await world.clock.advance(LEASE_MS)
    await world.clock.run(service.flush())
    found = await world.delivery(service)
    assert (found.status, found.attempts_made) == (DeliveryStatus.SUCCESS, 1)
    assert [a.error_kind for a in found.attempts] == ["interrupted", None]


async def test_a_lease_ends_at_its_very_ms(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints())
    await add(service)
    await service.emit(event())
    assert await claim_and_die(world) == 1
    await world.clock.advance(LEASE_MS - 1)
    await world.clock.run(service.flush())
    assert world.sender.requests == []
    await world.clock.advance(1)
    await world.clock.run(service.flush())
    assert len(world.sender.requests) == 1


async def test_five_interruptions_exhaust_a_delivery_unsent(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints())
    await add(service)
    await service.emit(event())
    for _ in range(INTERRUPTIONS_MAX):
        assert await claim_and_die(world) == 1
        await world.clock.advance(LEASE_MS)
    await world.clock.run(service.flush())
    found = await world.delivery(service)
    assert found.status is DeliveryStatus.EXHAUSTED
    assert found.reason == "interrupted 5 times in a row"
    assert (found.attempts_made, len(found.attempts)) == (0, 5)
    assert world.sender.requests == []


async def test_an_answer_in_between_begins_the_count_of_interruptions_again(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints(), retry_schedule_s=(60,))
    await add(service)
    world.sender.script(url_of("a"), 503, 200)
    await service.emit(event())
    for _ in range(2):
        for _ in range(INTERRUPTIONS_MAX - 1):
            assert await claim_and_die(world) == 1
            await world.clock.advance(LEASE_MS)
        await world.clock.run(service.flush())
        await world.clock.advance(MINUTE_MS)
    assert (await world.delivery(service)).status is DeliveryStatus.SUCCESS


async def test_a_late_success_ends_what_nobody_has_claimed_since(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints())
    endpoint = await add(service)
    blocked = asyncio.Event()
    world.faults.hold["settle"] = blocked.wait
    given: list[Coroutine[Any, Any, None]] = []
    await service.emit(event(), wait_until=given.append)
    first_attempts = asyncio.ensure_future(given[0])
    await world.clock.advance(LEASE_MS)
    assert len(world.sender.requests) == 1
    # Somebody notices that the lease has ended, but has no slot for this endpoint.
    await world.persistence.delivery_store.claim(
        ClaimRequest(
            now=world.clock.now_ms(),
            lease_ms=LEASE_MS,
            limit=1,
            per_endpoint=1,
            in_flight={endpoint.id: 1},
        )
    )
    assert (await world.delivery(service)).interruptions == 1
    world.faults.heal()
    blocked.set()
    await world.clock.run(first_attempts)
    found = await world.delivery(service)
    assert (found.status, found.attempts_made) == (DeliveryStatus.SUCCESS, 1)
    await world.clock.run(service.flush())
    assert len(world.sender.requests) == 1


async def test_a_late_outcome_changes_nothing_of_a_newer_claim(world: World) -> None:
    slow = world.service(wake_queue=QueueOfHints())
    await add(slow)
    world.sender.script(url_of("a"), 503, Reply(after_ms=10 * SECOND_MS))
    await slow.emit(event())
    world.faults.fail("settle")
    flushing = asyncio.ensure_future(slow.flush())
    await world.clock.advance(LEASE_MS - 1)
    world.faults.heal()
    blocked = asyncio.Event()
    world.faults.hold["settle"] = blocked.wait
    await world.clock.advance(1)
    other = world.service(wake_queue=QueueOfHints())
    second = asyncio.ensure_future(other.flush())
    await world.clock.advance(SECOND_MS)
    assert len(world.sender.requests) == 2
    world.faults.heal()
    blocked.set()
    await world.clock.run(asyncio.gather(flushing, second))
    found = await world.delivery(slow)
    assert (found.status, found.claim, found.attempts_made) == (DeliveryStatus.SUCCESS, 2, 1)


async def test_what_a_slow_store_leaves_of_a_lease_decides_whether_to_send(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints(), timeout_ms=15_000)
    await add(service)
    await service.emit(event())

    async def take_30_s() -> None:
        world.faults.hold.clear()
        await world.clock.sleep(30 * SECOND_MS)

    # The lease is counted from the claimer's clock before it asked: 15 s of 45 are left.
    world.faults.hold["claim"] = take_30_s
    await world.clock.run(service.flush())
    [sent] = world.sender.requests
    found = await world.delivery(service)
    assert (found.status, found.claim, found.attempts_made) == (DeliveryStatus.SUCCESS, 2, 1)
    assert found.attempts[0].error_kind is None
    assert sent.headers["webhook-attempt"] == "1"


async def test_the_longest_timeout_fits_into_the_shortest_lease(world: World) -> None:
    service = world.service(background=True, timeout_ms=30_000, lease_ms=40_000)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=29_000))
    await service.emit_many([event(n) for n in range(40)])
    await world.clock.advance(5 * MINUTE_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 40


async def test_deliveries_that_wait_behind_a_slow_receiver_are_never_sent_past_their_lease(
    world: World,
) -> None:
    service = world.service(background=True, concurrency=4)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=14_000))
    await service.emit_many([event(n) for n in range(12)])
    await world.clock.advance(10 * MINUTE_MS)
    found = await all_deliveries(service)
    assert [d.status for d in found] == [DeliveryStatus.SUCCESS] * 12
    assert len(world.sender.requests) == 12
    assert {len(d.attempts) for d in found} == {1}


async def test_two_services_over_one_store_share_no_delivery(world: World) -> None:
    services = [world.service(background=True, concurrency=8) for _ in range(2)]
    for name in "abcd":
        await add(services[0], name)
        world.sender.script(url_of(name), Reply(after_ms=200))
    for number in range(10):
        await services[number % 2].emit_many([event([number, n]) for n in range(10)])
    await world.clock.advance(10 * MINUTE_MS)
    assert await statuses(services[0]) == [DeliveryStatus.SUCCESS] * 400
    sent = [(request.url, request.event_id) for request in world.sender.requests]
    assert len(sent) == len(set(sent)) == 400


async def test_a_wall_clock_that_jumps_loses_nothing(world: World) -> None:
    service = world.service(background=True, retry_schedule_s=(60,))
    await add(service)
    world.sender.script(url_of("a"), 503, Reply(after_ms=FOREVER), 200)
    await service.emit(event(1))
    await world.clock.advance(SECOND_MS)
    world.clock.jump(-3_600_000)
    await service.emit(event(2))
    await world.clock.advance(2 * MINUTE_MS)
    world.clock.jump(7_200_000)
    await world.clock.advance(5 * MINUTE_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS] * 2
