"""Recoveries run by themselves: soon where a loop runs, by sweeps elsewhere, and only once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from tests.engine.world import (
    HOUR_MS,
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
from webhook.domain.errors import InvalidInput, NotFound, NotSupported
from webhook.domain.health import FAILURES_MAX
from webhook.domain.model import Delivery, DeliveryStatus, Endpoint
from webhook.domain.recovery import RecoveryKind, RecoveryStatus
from webhook.domain.retry import RetryPolicy
from webhook.engine import recovery as engine
from webhook.engine.recovery import PIECE_MISSED, PIECE_REPLAYS
from webhook.ports import DOUBLE_CLICK_MS, ENDPOINT_REMOVED, DeliveryQuery, RecoveryQuery
from webhook.runtime import WebhookRuntimeService

NEVER_AGAIN = RetryPolicy(max_retries=0)
DEAD = DeliveryStatus.EXHAUSTED


async def emit(service: WebhookRuntimeService, count: int) -> None:
    for start in range(0, count, 100):
        await service.emit_many([event(n) for n in range(start, min(count, start + 100))])


async def dead_letters(world: World, service: WebhookRuntimeService, count: int) -> Endpoint:
    """Make an endpoint that failed so many events, and works again."""
    endpoint = await add(service, retry=NEVER_AGAIN)
    world.sender.script(url_of("a"), 503)
    few = FAILURES_MAX - 1
    for start in range(0, count, few):
        await emit(service, min(few, count - start))
        await world.clock.run(service.flush())
        # Coming back by hand shuts its circuit, which would let through one at a time.
        for active in (False, True):
            await service.update_endpoint(endpoint.id, EndpointPatch(active=active))
    world.sender.script(url_of("a"), 200)
    await world.clock.advance(HOUR_MS)
    return await service.get_endpoint(endpoint.id)


def tried_twice(deliveries: Sequence[Delivery]) -> int:
    return sum(delivery.attempts_made == 2 for delivery in deliveries)


async def test_where_a_loop_runs_no_piece_waits_for_a_minute(world: World) -> None:
    endpoint = await dead_letters(world, world.service(), 2 * PIECE_REPLAYS + 50)
    service = world.service(background=True)
    await service.initialize()
    recovery = await service.recover_endpoint(endpoint.id, since=endpoint.created_at)
    assert (recovery.status, recovery.replayed) == (RecoveryStatus.RUNNING, PIECE_REPLAYS)
    await world.clock.advance(5 * SECOND_MS)
    done = await service.get_recovery(recovery.id)
    assert (done.status, done.replayed) == (RecoveryStatus.DONE, 2 * PIECE_REPLAYS + 50)
    assert set(await statuses(service)) == {DeliveryStatus.SUCCESS}


async def test_without_a_loop_the_next_sweep_goes_on(world: World) -> None:
    service = world.service()
    endpoint = await dead_letters(world, service, 2 * PIECE_REPLAYS + 50)
    recovery = await service.recover_endpoint(endpoint.id, since=endpoint.created_at)
    assert recovery.running
    await service.sweep(recovery_pieces=1)
    assert (await service.get_recovery(recovery.id)).replayed == 2 * PIECE_REPLAYS
    # Another process, and no trace of the first one but what the store keeps.
    await world.service().sweep()
    done = await service.get_recovery(recovery.id)
    assert (done.status, done.replayed) == (RecoveryStatus.DONE, 2 * PIECE_REPLAYS + 50)
    await world.clock.run(service.flush())
    assert tried_twice(await all_deliveries(service)) == 2 * PIECE_REPLAYS + 50


async def test_a_server_that_starts_goes_on_at_once_with_what_a_crash_left(world: World) -> None:
    first = world.service()
    endpoint = await dead_letters(world, first, 2 * PIECE_REPLAYS)
    recovery = await first.recover_endpoint(endpoint.id, since=endpoint.created_at)
    assert recovery.running
    second = world.service(background=True)
    await second.initialize()
    await world.clock.advance(SECOND_MS)
    assert not (await second.get_recovery(recovery.id)).running
    await world.clock.advance(SECOND_MS)
    assert set(await statuses(second)) == {DeliveryStatus.SUCCESS}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_piece_with_an_unknown_outcome_is_done_once(world: World, when: str) -> None:
    service = world.service()
    endpoint = await dead_letters(world, service, PIECE_REPLAYS + 10)
    world.faults.fail("recovery.advance", 1, "after" if when == "after" else "before")
    recovery = await service.recover_endpoint(endpoint.id, since=endpoint.created_at)
    assert recovery.running
    await service.sweep()
    done = await service.get_recovery(recovery.id)
    assert (done.status, done.replayed) == (RecoveryStatus.DONE, PIECE_REPLAYS + 10)
    await world.clock.run(service.flush())
    assert tried_twice(await all_deliveries(service)) == PIECE_REPLAYS + 10


async def test_the_loop_survives_a_store_that_does_not_answer(world: World) -> None:
    first = world.service()
    endpoint = await dead_letters(world, first, 2 * PIECE_REPLAYS)
    recovery = await first.recover_endpoint(endpoint.id, since=endpoint.created_at)
    second = world.service(background=True)
    world.faults.fail("recovery.running", 1)
    await second.initialize()
    await world.clock.advance(2 * MINUTE_MS)
    assert not (await second.get_recovery(recovery.id)).running


async def test_a_double_click_starts_one(world: World) -> None:
    service = world.service()
    endpoint = await dead_letters(world, service, FAILURES_MAX - 2)
    both = await asyncio.gather(
        *(service.recover_endpoint(endpoint.id, since=endpoint.created_at) for _ in range(2))
    )
    assert len({recovery.id for recovery in both}) == 1
    world.sender.script(url_of("a"), 503)
    await world.clock.run(service.flush())
    # It is done, and failed once more; the third click is as impatient as the second.
    third = await service.recover_endpoint(endpoint.id, since=endpoint.created_at)
    assert third.id == both[0].id
    await world.clock.run(service.flush())
    assert tried_twice(await all_deliveries(service)) == FAILURES_MAX - 2
    await world.clock.advance(DOUBLE_CLICK_MS + 1)
    later = await service.recover_endpoint(endpoint.id, since=endpoint.created_at)
    assert (later.replayed, len((await service.list_recoveries()).items)) == (
        FAILURES_MAX - 2,
        2,
    )


async def test_a_stopped_recovery_stays_stopped(world: World) -> None:
    endpoint = await dead_letters(world, world.service(), PIECE_REPLAYS + 50)
    service = world.service()
    recovery = await service.recover_endpoint(endpoint.id, since=endpoint.created_at)
    stopped, by_this = await service.cancel_recovery(recovery.id, tenant="default")
    assert (stopped.status, stopped.reason) == (RecoveryStatus.CANCELED, "canceled by hand")
    assert by_this
    assert await service.cancel_recovery(recovery.id) == (stopped, False)
    await service.sweep()
    await world.clock.run(service.flush())
    assert await service.get_recovery(recovery.id) == stopped
    assert (await statuses(service)).count(DEAD) == 50


async def test_what_fails_again_meanwhile_is_not_replayed_again(world: World) -> None:
    endpoint = await dead_letters(world, world.service(), 2 * PIECE_REPLAYS + 50)
    world.sender.script(url_of("a"), 503)
    service = world.service(background=True)
    await service.initialize()
    await service.recover_endpoint(endpoint.id, since=endpoint.created_at)
    await world.clock.advance(HOUR_MS)
    found = await all_deliveries(service)
    # The circuit has opened and lets through one at a time: some still wait for their second.
    assert {delivery.attempts_made for delivery in found} == {1, 2}
    assert {delivery.status for delivery in found} == {DEAD, DeliveryStatus.PENDING}


async def test_an_endpoint_gets_what_it_missed_while_it_was_paused(world: World) -> None:
    service = world.service()
    endpoint = await add(service, "a", "message.*", filters={"room": ["a"]})
    await emit(service, 1)
    await service.update_endpoint(endpoint.id, EndpointPatch(active=False))
    count = PIECE_MISSED + 20
    for start in range(0, count, 60):
        await service.emit_many(
            [event(n, metadata={"room": "a"}) for n in range(start, start + 60)]
        )
    await service.emit_many([event(0, metadata={"room": "b"}), event(0, type="other")])
    await service.update_endpoint(endpoint.id, EndpointPatch(active=True))
    await world.clock.run(service.flush())
    assert world.sender.requests == []
    would = await service.recover_endpoint(
        endpoint.id, since=0, which=RecoveryKind.MISSED, dry_run=True
    )
    assert (would.made, would.replayed, would.more) == (count, 0, False)
    recovery = await service.recover_endpoint(endpoint.id, since=0, which=RecoveryKind.MISSED)
    assert 0 < recovery.made <= PIECE_MISSED
    assert recovery.running
    await service.sweep()
    await world.clock.run(service.flush())
    assert len({request.event_id for request in world.sender.requests}) == count
    assert set(await statuses(service)) == {DeliveryStatus.SUCCESS}
    for delivery in (await all_deliveries(service))[:3]:
        assert await all_deliveries(service, event_key=delivery.key) == [delivery]


async def test_events_from_before_the_endpoint_are_not_missed(world: World) -> None:
    service = world.service()
    await service.emit(event("before"))
    await world.clock.advance(1)
    endpoint = await add(service)
    recovery = await service.recover_endpoint(endpoint.id, since=0, which=RecoveryKind.ALL)
    assert (recovery.status, recovery.scanned) == (RecoveryStatus.DONE, 0)


async def test_types_that_are_not_delivered_are_not_missed(world: World) -> None:
    everything = world.service()
    endpoint = await add(everything)
    await everything.update_endpoint(endpoint.id, EndpointPatch(active=False))
    await everything.emit_many([event(type="a"), event(type="b")])
    some = world.service(enabled_events=("b",))
    recovery = await some.recover_endpoint(endpoint.id, since=0, which=RecoveryKind.MISSED)
    assert recovery.made == 1


async def test_a_filter_replays_what_a_list_shows(world: World) -> None:
    service = world.service()
    await dead_letters(world, service, 10)
    await add(service, "b")
    await service.emit(event(type="other"))
    await world.clock.run(service.flush())
    query = DeliveryQuery(status=DEAD, event_type="message.sent")
    would = await service.replay_matching(query, dry_run=True)
    assert (would.replayed, would.more) == (10, False)
    assert (await statuses(service)).count(DEAD) == 10
    recovery = await service.replay_matching(query)
    assert (recovery.status, recovery.replayed) == (RecoveryStatus.DONE, 10)
    assert (recovery.kind, recovery.range.status) == (RecoveryKind.FILTER, DEAD)
    await world.clock.run(service.flush())
    assert set(await statuses(service)) == {DeliveryStatus.SUCCESS}


async def test_a_dry_run_counts_to_a_bound_and_writes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = world.service()
    endpoint = await dead_letters(world, service, 30)
    monkeypatch.setattr(engine, "COUNT_MAX", 20)
    bounded = await service.recover_endpoint(endpoint.id, since=0, dry_run=True)
    assert (bounded.replayed, bounded.more) == (20, True)
    monkeypatch.setattr(engine, "_COUNT_ROWS", 7)
    monkeypatch.setattr(engine, "COUNT_MAX", 31)
    whole = await service.recover_endpoint(endpoint.id, since=0, dry_run=True)
    assert (whole.replayed, whole.scanned, whole.more) == (30, 30, False)
    assert world.faults.calls["recovery.start"] == world.faults.calls["recovery.advance"] == 0
    assert (await statuses(service)).count(DEAD) == 30


async def test_a_removed_endpoint_ends_its_recovery(world: World) -> None:
    service = world.service()
    endpoint = await dead_letters(world, service, PIECE_REPLAYS + 1)
    recovery = await service.recover_endpoint(endpoint.id, since=0)
    await service.remove_endpoint(endpoint.id)
    await service.sweep()
    ended = await service.get_recovery(recovery.id)
    assert (ended.status, ended.reason) == (RecoveryStatus.CANCELED, ENDPOINT_REMOVED)
    with pytest.raises(NotFound):
        await service.recover_endpoint(endpoint.id, since=0)


async def test_a_call_gives_one_hint_for_what_it_brought_and_what_is_left(world: World) -> None:
    endpoint = await dead_letters(world, world.service(), PIECE_REPLAYS + 1)
    hints = QueueOfHints()
    service = world.service(wake_queue=hints)
    recovery = await service.recover_endpoint(endpoint.id, since=0)
    assert (recovery.running, hints.delays) == (True, [0])
    assert await service.recover_some(pieces=5) is False
    assert hints.delays == [0, 0]
    assert await service.recover_some(pieces=5) is False
    assert hints.delays == [0, 0]


async def test_what_cannot_be_meant_is_refused(world: World) -> None:
    service = world.service()
    endpoint = await add(service)
    with pytest.raises(InvalidInput, match="at least one filter"):
        await service.replay_matching(DeliveryQuery())
    with pytest.raises(InvalidInput, match="/status"):
        await service.replay_matching(DeliveryQuery(status=DeliveryStatus.PENDING))
    with pytest.raises(InvalidInput, match="one by one"):
        await service.replay_matching(DeliveryQuery(event_key="0" * 26))
    with pytest.raises(InvalidInput, match="/until"):
        await service.recover_endpoint(endpoint.id, since=5, until=5)
    with pytest.raises(InvalidInput, match="/which"):
        await service.recover_endpoint(endpoint.id, since=5, which=RecoveryKind.FILTER)
    with pytest.raises(NotFound):
        await service.recover_endpoint(endpoint.id, since=5, tenant="acme")
    for unknown in ("rcv_" + "0" * 26, "rcv_1", "x"):
        with pytest.raises(NotFound):
            await service.get_recovery(unknown)
        with pytest.raises(NotFound):
            await service.cancel_recovery(unknown)


async def test_stores_without_recoveries_refuse_with_words(world: World) -> None:
    bare = msgspec.structs.replace(world.persistence, recovery_store=None)
    service = world.service(persistence=bare)
    endpoint = await dead_letters(world, service, 1)
    for call in (
        service.recover_endpoint(endpoint.id, since=0),
        service.replay_matching(DeliveryQuery(status=DEAD)),
        service.list_recoveries(),
        service.get_recovery("rcv_" + "0" * 26),
        service.cancel_recovery("rcv_" + "0" * 26),
    ):
        with pytest.raises(NotSupported, match="keep no recoveries"):
            await call
    await service.sweep()
    assert await service.recover_some() is False


async def test_recoveries_are_forgotten_with_the_events_of_their_time(world: World) -> None:
    service = world.service(retention_days=2)
    endpoint = await dead_letters(world, service, 1)
    recovery = await service.recover_endpoint(endpoint.id, since=0)
    await world.clock.run(service.flush())
    await service.sweep()
    assert (await service.list_recoveries(RecoveryQuery())).items == [recovery]
    await world.clock.advance(49 * HOUR_MS)
    await service.sweep()
    assert (await service.list_recoveries()).items == []
