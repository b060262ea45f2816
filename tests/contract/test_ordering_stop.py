"""A dead letter stops its ordering key where the endpoint says so; and what tidies lines up."""

from __future__ import annotations

import pytest

from webhook.domain.ids import DeliveryRef
from webhook.domain.model import Delivery, DeliveryState, Endpoint, OrderingOnFailure
from webhook.ports import (
    CANCELED_BY_HAND,
    ENDPOINT_REMOVED,
    EventQuery,
    Overdue,
    WebhookPersistence,
)

from .builders import (
    DAY_MS,
    T0,
    add_one,
    changed,
    claim,
    claim_all,
    claim_one,
    emit,
    exhausted,
    failed,
    list_deliveries,
    new_event,
    pages,
    read,
    refs_of,
    settle,
    states,
    succeeded,
    sweep_all,
)
from .stores import Maker, opened
from .test_ordering import (
    BLOCKED,
    CANCELED,
    LATER,
    READY,
    SUCCESS,
    in_line,
    line_up,
    one_by_one,
)

EXHAUSTED = DeliveryState.EXHAUSTED
STOP, CONTINUE = OrderingOnFailure.STOP, OrderingOnFailure.CONTINUE
REASON = "pending for more than 30 days"
MONTH_MS = 30 * DAY_MS


async def stopped(
    store: WebhookPersistence, count: int = 3, ordering_key: str = "k"
) -> tuple[Endpoint, list[DeliveryRef]]:
    """Return a line whose first delivery is a dead letter that stops it."""
    endpoint = await add_one(store, ordering_on_failure=STOP)
    events = in_line(count, ordering_key)
    await emit(store, *events)
    await settle(store, exhausted(await claim_one(store)))
    return endpoint, [DeliveryRef(endpoint.id, event.key) for event in events]


async def replay(store: WebhookPersistence, ref: DeliveryRef) -> Delivery:
    found = await store.delivery_store.replay(None, ref, LATER)
    assert found is not None
    return found


async def test_a_dead_letter_stops_its_key_and_shows_it(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await stopped(store, 2)
        other = new_event(ordering_key="other")
        late = new_event(ordering_key="k")
        await emit(store, other, late)
        dead, waits = [await read(store, ref) for ref in refs]
        assert (dead.state, dead.stops) == (EXHAUSTED, True)
        assert (waits.state, waits.waits_for, waits.stops) == (BLOCKED, refs[0].key, False)
        assert (await read(store, DeliveryRef(endpoint.id, late.key))).waits_for == refs[0].key
        assert refs_of(await claim_all(store, LATER)) == [DeliveryRef(endpoint.id, other.key)]
        assert [d.stops for d in await list_deliveries(store, status=EXHAUSTED.status)] == [True]


async def test_a_key_is_stopped_although_nobody_was_waiting(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await stopped(store, 1)
        late = new_event(ordering_key="k")
        await emit(store, late)
        assert await states(store, DeliveryRef(endpoint.id, late.key)) == [BLOCKED]


async def test_a_replay_of_it_holds_the_key_up_until_it_succeeds(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await stopped(store)
        for _ in range(2):
            pending = await replay(store, refs[0])
            assert (pending.state, pending.stops) == (READY, False)
            assert await states(store, *refs[1:]) == [BLOCKED, BLOCKED]
            await settle(store, exhausted(await claim_one(store, LATER), LATER))
            assert (await read(store, refs[0])).stops is True
        await replay(store, refs[0])
        await settle(store, succeeded(await claim_one(store, LATER), LATER))
        assert (await read(store, refs[0])).stops is False
        assert await states(store, *refs) == [SUCCESS, READY, BLOCKED]
        assert await one_by_one(store) == refs[1:]


async def test_canceling_it_lets_the_key_go_on(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await stopped(store)
        canceled = await store.delivery_store.cancel(None, refs[0], LATER, CANCELED_BY_HAND)
        assert canceled is not None
        assert (canceled.state, canceled.reason) == (CANCELED, CANCELED_BY_HAND)
        assert (canceled.completed_at, len(canceled.attempts)) == (LATER, 1)
        assert canceled.stops is False
        assert await one_by_one(store) == refs[1:]


async def test_a_dead_letter_that_stops_nothing_stays_what_it_is(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await line_up(store, 1)
        await settle(store, exhausted(await claim_one(store)))
        before = await read(store, refs[0])
        assert before.stops is False
        assert await store.delivery_store.cancel(None, refs[0], LATER, CANCELED_BY_HAND) == before


async def test_canceling_one_behind_it_keeps_the_key_stopped(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await stopped(store)
        await store.delivery_store.cancel(None, refs[1], LATER, CANCELED_BY_HAND)
        assert await states(store, *refs) == [EXHAUSTED, CANCELED, BLOCKED]


async def test_a_setting_that_is_changed_lets_all_keys_go_on(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store, ordering_on_failure=STOP)
        lines = [in_line(2, f"key-{number}") for number in range(5)]
        await emit(store, *(event for line in lines for event in line))
        await settle(store, *(exhausted(c.delivery) for c in await claim_all(store, T0)))
        # Another change lets nothing go.
        endpoint = changed(endpoint, name="orders")
        await store.endpoint_store.update(endpoint)
        assert await claim_all(store, LATER) == []
        await store.endpoint_store.update(changed(endpoint, ordering_on_failure=CONTINUE))
        expected = sorted(DeliveryRef(endpoint.id, line[1].key) for line in lines)
        assert sorted(refs_of(await claim_all(store, LATER))) == expected
        assert not any(d.stops for d in await list_deliveries(store, endpoint_id=endpoint.id))


async def test_a_dead_letter_that_ended_before_the_setting_stops_nothing(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await line_up(store, 3)
        await settle(store, exhausted(await claim_one(store)))
        await store.endpoint_store.update(changed(endpoint, ordering_on_failure=STOP))
        assert await states(store, *refs) == [EXHAUSTED, READY, BLOCKED]
        await settle(store, exhausted(await claim_one(store)))
        assert await states(store, *refs) == [EXHAUSTED, EXHAUSTED, BLOCKED]


async def test_stores_apart_know_of_no_stop(separate_maker: Maker) -> None:
    async with opened(separate_maker) as store:
        await add_one(store, ordering_on_failure=STOP)
        await emit(store, *in_line(2))
        await settle(store, exhausted(await claim_one(store)))
        assert len(await claim_all(store, T0)) == 1


# --- sweep ----------------------------------------------------------------------------------------


async def sweep_overdue(store: WebhookPersistence, before: int, limit: int = 100) -> int:
    canceled = 0
    for _ in range(1000):
        report = await store.delivery_store.sweep(T0 + MONTH_MS, 0, limit, Overdue(before, REASON))
        canceled += report.canceled
        if not report.more:
            return canceled
    raise AssertionError("The sweep comes to no end.")


@pytest.mark.parametrize("limit", [3, 100])
async def test_what_is_blocked_for_too_long_is_canceled_with_the_first_or_without(
    maker: Maker, limit: int
) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        events = [new_event(at=T0 + n, ordering_key="k") for n in range(10)]
        await emit(store, *events)
        refs = [DeliveryRef(endpoint.id, event.key) for event in events]
        assert await sweep_overdue(store, T0 + 8, limit) == 8
        assert await states(store, *refs) == [CANCELED] * 8 + [READY, BLOCKED]
        found = await read(store, refs[3])
        assert (found.reason, found.completed_at, found.due_at) == (REASON, T0 + MONTH_MS, None)
        assert await sweep_overdue(store, T0 + 8, limit) == 0


async def test_what_is_blocked_too_long_behind_one_that_is_not_is_canceled(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        # The clock went back: the first has the latest time.
        events = [new_event(at=T0 + at, ordering_key="k") for at in (1000, 0, 1, 2000)]
        await emit(store, *events)
        refs = [DeliveryRef(endpoint.id, event.key) for event in events]
        assert await sweep_overdue(store, T0 + 500) == 2
        assert await states(store, *refs) == [READY, CANCELED, CANCELED, BLOCKED]
        assert (await read(store, refs[1])).waits_for is None
        assert await one_by_one(store) == [refs[0], refs[3]]


async def test_what_is_blocked_behind_a_dead_letter_is_canceled_when_it_is_overdue(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        _, refs = await stopped(store)
        assert await sweep_overdue(store, T0 + 1000) == 2
        assert await states(store, *refs) == [EXHAUSTED, CANCELED, CANCELED]
        assert (await read(store, refs[0])).stops is True


@pytest.mark.parametrize("limit", [3, 100])
async def test_what_is_blocked_for_a_removed_endpoint_is_canceled(
    joint_maker: Maker, limit: int
) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await line_up(store, 10)
        await store.endpoint_store.remove(None, endpoint.id, T0 + 5)
        seen = [await read(store, ref) for ref in refs]
        assert {(d.state, d.reason, d.waits_for) for d in seen} == {
            (CANCELED, ENDPOINT_REMOVED, None)
        }
        await sweep_all(store, LATER, limit=limit)
        assert [await read(store, ref) for ref in refs] == seen
        await sweep_all(store, LATER + 1, before=LATER, limit=limit)
        query = EventQuery(tenant="default", limit=50)
        assert await pages(store.delivery_store.list_events, query) == []


async def test_a_dead_letter_of_a_removed_endpoint_stops_nothing(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await stopped(store)
        await store.endpoint_store.remove(None, endpoint.id, LATER)
        assert (await read(store, refs[0])).stops is False
        await sweep_all(store, LATER + 1)
        await sweep_all(store, LATER + 1, before=LATER)
        assert await list_deliveries(store, endpoint_id=endpoint.id) == []


async def test_a_dead_letter_is_kept_for_as_long_as_it_stops_its_key(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await stopped(store, 1)
        await sweep_all(store, LATER, before=LATER)
        assert (await read(store, refs[0])).stops is True
        await store.delivery_store.cancel(None, refs[0], LATER, CANCELED_BY_HAND)
        await sweep_all(store, LATER, before=LATER)
        assert await store.delivery_store.get_delivery(None, refs[0]) is None


async def test_an_old_line_is_kept_until_its_last_one_has_ended(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await line_up(store, 3)
        await settle(store, failed(await claim_one(store), retry_in_ms=DAY_MS))
        await sweep_all(store, LATER, before=LATER)
        assert (await claim(store, LATER)).claimed == []
        assert await one_by_one(store, T0 + DAY_MS) == refs
