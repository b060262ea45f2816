"""An endpoint with several URLs: chosen by a strategy, and the next one when one fails."""

from __future__ import annotations

import pytest

from tests.engine.world import MINUTE_MS, SECOND_MS, World, add, event, statuses, url_of
from webhook.domain.balancing import Failover, Strategy
from webhook.domain.endpoint import EndpointPatch
from webhook.domain.errors import InvalidInput
from webhook.domain.model import DeliveryStatus, ErrorKind
from webhook.testing import FOREVER, Reply

REFUSED = Reply(error_kind=ErrorKind.REFUSED)


def over(
    *hosts: str, strategy: str = "round-robin", weights: tuple[int, ...] | None = None
) -> Failover:
    return Failover(urls=tuple(map(url_of, hosts)), strategy=Strategy(strategy), weights=weights)


def counts(world: World, *hosts: str) -> list[int]:
    return [len(world.sender.to(url_of(host))) for host in hosts]


async def test_with_one_dead_and_one_slow_every_delivery_succeeds_at_its_first_attempt(
    world: World,
) -> None:
    service = world.service(background=True)
    await add(service, "dead", failover=over("slow", "good", strategy="least-connections"))
    world.sender.script(url_of("dead"), REFUSED)
    world.sender.script(url_of("slow"), Reply(after_ms=2 * SECOND_MS))
    for number in range(300):
        await service.emit(event(number))
        await world.clock.advance(100)
    await world.clock.advance(MINUTE_MS)
    assert await statuses(service) == ["success"] * 300
    page = (await service.list_deliveries()).items
    assert {delivery.attempts_made for delivery in page} == {1}
    dead, slow, good = counts(world, "dead", "slow", "good")
    # Three failures opened its circuit; in half a minute the trials come after 5, 10 and 20 s.
    assert dead <= 3 + 3
    assert good > 5 * slow > 0
    assert slow + good == 300


async def test_the_next_url_is_tried_within_the_same_deadline(world: World) -> None:
    service = world.service(timeout_ms=9_000, max_retries=0)
    await add(service, "a", failover=over("b", "c"))
    world.sender.script(url_of("a"), Reply(after_ms=FOREVER))
    world.sender.script(url_of("b"), 503)
    started = world.clock.now_ms()
    [found] = await world.clock.run(service.emit_sync(event()))
    assert found.status is DeliveryStatus.SUCCESS
    [attempt] = found.attempts
    assert attempt.latency_ms == world.clock.now_ms() - started == 3_000
    assert attempt.note == (
        "answered by c.example; a.example: no answer within 3000 ms; b.example: "
        "scripted: http_status"
    )
    [one, two, three] = world.sender.requests
    assert one.headers == two.headers == three.headers
    assert [sent.timeout_ms for sent in (one, two, three)] == [3_000, 3_000, 6_000]


async def test_if_all_fail_it_is_one_failed_attempt(world: World) -> None:
    service = world.service(background=True, timeout_ms=6_000, max_retries=1, retry_delay_ms=1_000)
    await add(service, "a", failover=over("b"))
    for host in "ab":
        world.sender.script(url_of(host), Reply(after_ms=FOREVER))
    await service.emit(event())
    await world.clock.advance(MINUTE_MS)
    found = await world.delivery(service)
    assert (found.status, found.attempts_made) == (DeliveryStatus.EXHAUSTED, 2)
    assert [attempt.latency_ms for attempt in found.attempts] == [6_000, 6_000]
    assert [attempt.error_kind for attempt in found.attempts] == ["timeout", "timeout"]


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_what_a_receiver_says_of_the_event_is_asked_of_no_other(
    world: World, status: int
) -> None:
    service = world.service(max_retries=0)
    await add(service, "a", failover=over("b"))
    world.sender.script(url_of("a"), status)
    await world.clock.run(service.emit_sync(event()))
    assert counts(world, "a", "b") == [1, 0]


async def test_weights_give_shares_and_zero_is_for_when_others_fail(world: World) -> None:
    service = world.service(background=True)
    await add(service, "a", failover=over("b", "c", strategy="weighted", weights=(3, 1, 0)))
    for number in range(8):
        await service.emit(event(number))
        await world.clock.idle()
    assert counts(world, "a", "b", "c") == [6, 2, 0]
    for host in "ab":
        world.sender.script(url_of(host), REFUSED)
    await service.emit(event())
    await world.clock.idle()
    assert counts(world, "c") == [1]
    assert await statuses(service) == ["success"] * 9


async def test_a_change_is_kept_by_the_store_and_begins_anew(world: World) -> None:
    service = world.service(background=True)
    endpoint = await add(service, "a", failover=over("b"))
    assert (await service.get_endpoint(endpoint.id)).failover == over("b")
    world.sender.script(url_of("a"), REFUSED)
    for number in range(5):
        await service.emit(event(number))
        await world.clock.idle()
    await service.update_endpoint(endpoint.id, EndpointPatch(failover=over("c")))
    await service.emit(event())
    await world.clock.idle()
    assert counts(world, "b", "c") == [5, 1]
    changed = await service.update_endpoint(endpoint.id, EndpointPatch(failover=None))
    assert changed.failover is None


@pytest.mark.parametrize(
    ("failover", "pointer"),
    [
        (Failover(urls=()), "/failover/urls"),
        (over(*(f"r{number}" for number in range(10))), "/failover/urls"),
        (Failover(urls=("https://10.0.0.1/",)), "/failover/urls/0"),
        (over("b", "a"), "/failover/urls/1"),
        (over("b", "b"), "/failover/urls/1"),
        (over("b", strategy="weighted"), "/failover/weights"),
        (over("b", weights=(1, 1)), "/failover/weights"),
        (over("b", strategy="weighted", weights=(1,)), "/failover/weights"),
        (over("b", strategy="weighted", weights=(0, 0)), "/failover/weights"),
        (over("b", strategy="weighted", weights=(-1, 1)), "/failover/weights"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_its_field(
    world: World, failover: Failover, pointer: str
) -> None:
    service = world.service()
    endpoint = await add(service, "a")
    with pytest.raises(InvalidInput) as added:
        await add(service, "a", failover=failover)
    with pytest.raises(InvalidInput) as changed:
        await service.update_endpoint(endpoint.id, EndpointPatch(failover=failover))
    for caught in (added, changed):
        assert [error.pointer for error in caught.value.errors] == [pointer]


async def test_a_claimer_that_stops_counts_nothing_as_under_way(world: World) -> None:
    service = world.service(background=True)
    await add(service, "a", failover=over("b", strategy="least-connections"))
    world.sender.script(url_of("a"), Reply(after_ms=FOREVER))
    await service.emit(event())
    await world.clock.idle()
    await world.clock.run(service.stop(0))
    assert world.sender.under_way == 0
    await world.clock.run(world.service().flush())
    assert await statuses(service) == ["success"]
