"""Events of one ordering key arrive one after the other, whoever sends and whatever fails."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import defaultdict
from typing import Any

import msgspec
import pytest

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
from webhook.domain.endpoint import EndpointInput, EndpointPatch
from webhook.domain.errors import InvalidInput
from webhook.domain.model import DeliveryState, DeliveryStatus, ErrorKind, OrderingOnFailure
from webhook.engine.limits import Limits
from webhook.ports import ClaimRequest, WebhookPersistence
from webhook.runtime import WebhookRuntimeService
from webhook.testing import FOREVER, Reply

KEYS, EACH = 20, 50
ALL = {key: list(range(EACH)) for key in range(KEYS)}
STOP: dict[str, Any] = {"ordering_on_failure": OrderingOnFailure.STOP}
SUCCESS, PENDING = DeliveryStatus.SUCCESS, DeliveryStatus.PENDING


class Numbers(msgspec.Struct):
    """What an event of a line carries: its key's number, and its own in that line."""

    key: int
    number: int


class _Body(msgspec.Struct):
    data: Numbers


def in_line(key: int, number: int, **options: Any) -> Any:
    return event({"key": key, "number": number}, ordering_key=f"key-{key}", **options)


def arrivals(world: World) -> dict[int, list[int]]:
    """Return the numbers that arrived of each key, each request one."""
    found: dict[int, list[int]] = defaultdict(list)
    for request in world.sender.requests:
        body = msgspec.json.decode(request.body, type=_Body)
        found[body.data.key].append(body.data.number)
    return found


def distinct(numbers: list[int]) -> list[int]:
    """Leave out what is repeated at once."""
    return [number for number, _ in itertools.groupby(numbers)]


class OneAtATime:
    """Sees to it that of each key only one request is under way."""

    def __init__(self, world: World) -> None:
        self.most = 0
        self._under_way: dict[int, int] = defaultdict(int)
        send = world.sender.send

        async def watched(url: str, headers: object, body: bytes, timeout_ms: int) -> object:
            key = msgspec.json.decode(body, type=_Body).data.key
            self._under_way[key] += 1
            self.most = max(self.most, self._under_way[key])
            try:
                return await send(url, headers, body, timeout_ms)  # type: ignore[arg-type] # as given
            finally:
                self._under_way[key] -= 1

        world.sender.send = watched  # type: ignore[method-assign, assignment] # put around


def unreliable(seed: int, count: int) -> list[Reply]:
    """Return replies of which a third are failures, in any time."""
    dice = random.Random(seed)  # noqa: S311 - must repeat
    replies = []
    for _ in range(count):
        after_ms = dice.choice((5, 20, 100, 400))
        if dice.random() < 0.67:
            replies.append(Reply(after_ms=after_ms))
        elif dice.random() < 0.5:
            replies.append(Reply(status_code=503, after_ms=after_ms))
        else:
            replies.append(Reply(error_kind=ErrorKind.RESET, after_ms=after_ms))
    return replies


async def emit_lines(services: list[WebhookRuntimeService]) -> None:
    """Emit all lines, in batches of many keys, in turn through each service."""
    turns = itertools.cycle(services)
    for start in range(0, EACH, 5):
        events = [in_line(key, start + n) for n in range(5) for key in range(KEYS)]
        await next(turns).emit_many(events)


@pytest.mark.parametrize("claimers", [1, 2])
async def test_1000_events_over_20_keys_arrive_in_order_though_a_third_of_all_fails(
    world: World, claimers: int
) -> None:
    services = [
        world.service(background=True, retry_schedule_s=(1,) * 30, jitter=True)
        for _ in range(claimers)
    ]
    await add(services[0])
    for service in services:
        await service.initialize()
    one_at_a_time = OneAtATime(world)
    world.sender.script(url_of("a"), *unreliable(7, 5_000))
    await emit_lines(services)
    await world.clock.advance(10 * MINUTE_MS)
    assert await statuses(services[0]) == [SUCCESS] * KEYS * EACH
    found = arrivals(world)
    assert {key: distinct(found[key]) for key in range(KEYS)} == ALL
    assert len(world.sender.requests) > 1.3 * KEYS * EACH
    assert one_at_a_time.most == 1


async def test_dead_letters_let_their_keys_go_on(world: World) -> None:
    service = world.service(background=True, retry_schedule_s=())
    await add(service)
    world.sender.script(url_of("a"), *unreliable(11, 5_000))
    await emit_lines([service])
    await world.clock.advance(5 * MINUTE_MS)
    found = await statuses(service)
    assert set(found) == {SUCCESS, DeliveryStatus.EXHAUSTED}
    assert 200 < found.count(DeliveryStatus.EXHAUSTED) < 500
    assert arrivals(world) == ALL


async def test_a_flush_delivers_a_whole_line(world: World) -> None:
    service = world.service()
    await add(service)
    await service.emit_many([in_line(0, number) for number in range(30)])
    await world.clock.run(service.flush())
    assert arrivals(world) == {0: list(range(30))}
    assert await statuses(service) == [SUCCESS] * 30


async def test_a_slow_key_holds_up_no_other_key_of_a_flush(world: World) -> None:
    service = world.service()
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=10_000), Reply(after_ms=10))
    await service.emit_many([in_line(0, 0), *(in_line(1, number) for number in range(20))])
    await world.clock.run(service.flush())
    last = [r.started_at for r in world.sender.requests][-1]
    assert last - world.sender.requests[0].started_at < 5_000
    assert await statuses(service) == [SUCCESS] * 21


async def test_an_invocation_does_a_few_of_a_line_and_wakes_another_one_for_the_rest(
    world: World,
) -> None:
    hints = QueueOfHints()
    service = world.service(wake_queue=hints)
    await add(service)
    await service.emit_many([in_line(0, number) for number in range(20)])
    limits = Limits(slots=6, per_endpoint=2, ahead=40, take_max=40, linger_ms=500, gate_waits=2)
    rounds = 0
    while hints.delays:
        hints.delays.clear()
        rounds += 1
        await world.clock.run(service.deliver_due(limits=limits))
        assert len(arrivals(world)[0]) in (min(20, 3 * rounds), min(20, 4 * rounds))
    assert await statuses(service) == [SUCCESS] * 20
    assert arrivals(world) == {0: list(range(20))}
    assert rounds < 9


async def test_what_a_claimer_died_with_goes_to_another_one_before_the_rest_of_its_key(
    world: World,
) -> None:
    service = world.service(wake_queue=QueueOfHints())
    await add(service)
    await service.emit_many([in_line(0, number) for number in range(5)])
    request = ClaimRequest(now=world.clock.now_ms(), lease_ms=LEASE_MS, limit=100, per_endpoint=100)
    [lost] = (await world.persistence.delivery_store.claim(request)).claimed
    await world.clock.run(service.flush())
    assert world.sender.requests == []
    await world.clock.advance(LEASE_MS)
    await world.clock.run(service.flush())
    assert arrivals(world) == {0: list(range(5))}
    found = await service.get_delivery(lost.delivery.id)
    assert [attempt.error_kind for attempt in found.attempts] == [ErrorKind.INTERRUPTED, None]


async def test_a_line_goes_on_though_a_settle_is_answered_to_nobody(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    await service.emit_many([in_line(0, number) for number in range(10)])
    world.faults.fail("settle", 4, "after")
    world.faults.fail("settle", 4, "before")
    await world.clock.advance(MINUTE_MS)
    assert arrivals(world) == {0: list(range(10))}
    assert await statuses(service) == [SUCCESS] * 10


async def test_what_waits_in_line_is_not_waited_for(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints())
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=FOREVER))
    await service.emit(in_line(0, 0))
    request = ClaimRequest(now=world.clock.now_ms(), lease_ms=LEASE_MS, limit=1, per_endpoint=1)
    await world.persistence.delivery_store.claim(request)
    [found] = await world.clock.run(service.emit_sync(in_line(0, 1)))
    assert (found.state, found.status) == (DeliveryState.BLOCKED, PENDING)
    assert world.sender.requests == []


async def test_who_sends_one_and_waits_wakes_somebody_for_the_next(world: World) -> None:
    hints = QueueOfHints()
    service = world.service(wake_queue=hints)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=SECOND_MS))
    sending = asyncio.ensure_future(service.emit_sync(in_line(0, 0)))
    await world.clock.idle()
    await service.emit(in_line(0, 1))
    hints.delays.clear()
    await world.clock.advance(2 * SECOND_MS)
    assert [d.status for d in await sending] == [SUCCESS]
    assert hints.delays == [0]


# --- stop -----------------------------------------------------------------------------------------


async def _stopped(world: World, count: int = 4) -> WebhookRuntimeService:
    """Return a running service with a line whose first delivery has died and stops it."""
    service = world.service(background=True, retry_schedule_s=(), batch_timeout_ms=3_600_000)
    await add(service, **STOP)
    world.sender.script(url_of("a"), 503, 200)
    await service.emit_many([in_line(0, number) for number in range(count)])
    await world.clock.advance(SECOND_MS)
    assert arrivals(world) == {0: [0]}
    return service


async def test_a_dead_letter_stops_its_key_until_it_is_replayed(world: World) -> None:
    service = await _stopped(world)
    [dead] = await all_deliveries(service, status=DeliveryStatus.EXHAUSTED)
    assert dead.stops is True
    pending = await all_deliveries(service, status=PENDING)
    assert [d.waits_for for d in pending] == [dead.key] * 3
    await service.emit(in_line(1, 0))
    await world.clock.advance(SECOND_MS)
    assert arrivals(world) == {0: [0], 1: [0]}
    world.sender.script(url_of("a"), 503, 200)
    await service.replay_delivery(dead.id)
    await world.clock.advance(SECOND_MS)
    assert arrivals(world)[0] == [0, 0]
    await service.replay_delivery(dead.id)
    await world.clock.advance(SECOND_MS)
    assert arrivals(world)[0] == [0, 0, 0, 1, 2, 3]


async def test_canceling_the_dead_letter_lets_its_key_go_on_at_once(world: World) -> None:
    service = await _stopped(world)
    [dead] = await all_deliveries(service, status=DeliveryStatus.EXHAUSTED)
    canceled, did = await service.cancel_delivery(dead.id)
    assert (canceled.status, did) == (DeliveryStatus.CANCELED, True)
    await world.clock.advance(SECOND_MS)
    assert arrivals(world) == {0: [0, 1, 2, 3]}


async def test_changing_the_setting_lets_its_key_go_on_at_once(world: World) -> None:
    service = await _stopped(world)
    [dead] = await all_deliveries(service, status=DeliveryStatus.EXHAUSTED)
    changes = EndpointPatch(ordering_on_failure=OrderingOnFailure.CONTINUE)
    await service.update_endpoint(dead.endpoint_id, changes)
    await world.clock.advance(SECOND_MS)
    assert arrivals(world) == {0: [0, 1, 2, 3]}


async def test_canceling_the_first_that_waits_for_a_retry_lets_the_next_go_at_once(
    world: World,
) -> None:
    service = world.service(background=True, retry_schedule_s=(3_600,), batch_timeout_ms=3_600_000)
    await add(service)
    world.sender.script(url_of("a"), 503, 200)
    await service.emit_many([in_line(0, number) for number in range(3)])
    await world.clock.advance(SECOND_MS)
    [first] = [d for d in await all_deliveries(service) if d.attempts_made]
    await service.cancel_delivery(first.id)
    await world.clock.advance(SECOND_MS)
    assert arrivals(world) == {0: [0, 1, 2]}


async def test_a_stop_is_refused_where_no_store_would_keep_it(world: World) -> None:
    apart = WebhookPersistence(
        endpoint_store=world.persistence.endpoint_store,
        delivery_store=world.persistence.delivery_store,
        init=world.persistence.init,
    )
    service = world.service(wake_queue=QueueOfHints(), persistence=apart)
    with pytest.raises(InvalidInput) as refused:
        await service.add_endpoint(EndpointInput(url=url_of("a"), event_types=["*"], **STOP))
    assert [error.pointer for error in refused.value.errors] == ["/ordering_on_failure"]
    await add(service)
    await service.emit_many([in_line(0, number) for number in range(5)])
    await world.clock.run(service.flush())
    assert arrivals(world) == {0: list(range(5))}


# --- input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "x" * 257, "a b", "\u00e9", "a\n"])
async def test_a_key_that_is_none_is_refused(world: World, key: str) -> None:
    service = world.service(wake_queue=QueueOfHints())
    with pytest.raises(InvalidInput) as refused:
        await service.emit(event(ordering_key=key))
    assert [error.pointer for error in refused.value.errors] == ["/ordering_key"]


async def test_another_key_is_other_content(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints())
    await service.emit(event(1, id="one", ordering_key="k"))
    again = await service.emit(event(1, id="one", ordering_key="k"))
    assert again.duplicate is True
    for other in ("other", None):
        with pytest.raises(Exception, match="content"):
            await service.emit(event(1, id="one", ordering_key=other))
