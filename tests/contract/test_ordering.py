"""Events of one ordering key reach an endpoint one by one, in the order of their accept."""

from __future__ import annotations

import msgspec
import pytest

from webhook.domain.ids import DeliveryRef
from webhook.domain.lifecycle import release
from webhook.domain.model import Delivery, DeliveryState, Endpoint, NewEvent
from webhook.domain.recovery import RecoveryKind
from webhook.ports import CANCELED_BY_HAND, WebhookPersistence

from .builders import (
    FAILED,
    LEASE_MS,
    SECOND_MS,
    SENT,
    T0,
    add_one,
    claim,
    claim_all,
    claim_one,
    emit,
    exhausted,
    failed,
    finish,
    first_attempts,
    list_deliveries,
    new_event,
    read,
    refs_of,
    settle,
    states,
    succeeded,
)
from .recoveries import recover
from .stores import Maker, opened

BLOCKED, READY = DeliveryState.BLOCKED, DeliveryState.READY
SUCCESS, CANCELED = DeliveryState.SUCCESS, DeliveryState.CANCELED
LATER = T0 + LEASE_MS


def in_line(count: int, ordering_key: str = "k", *, at: int = T0) -> list[NewEvent]:
    """Return events of one ordering key, the later ones with earlier keys: the clock goes back."""
    return [new_event(at=at - index, ordering_key=ordering_key) for index in range(count)]


async def line_up(
    store: WebhookPersistence, count: int, ordering_key: str = "k"
) -> tuple[Endpoint, list[DeliveryRef]]:
    """Add an endpoint, accept events of one key in one call; return their deliveries in order."""
    endpoint = await add_one(store)
    events = in_line(count, ordering_key)
    await emit(store, *events)
    return endpoint, [DeliveryRef(endpoint.id, event.key) for event in events]


async def one_by_one(store: WebhookPersistence, now: int = LATER) -> list[DeliveryRef]:
    """Claim and deliver until nothing is due; each claim must take at most one."""
    delivered: list[DeliveryRef] = []
    for _ in range(1000):
        claimed = (await claim(store, now)).claimed
        if not claimed:
            return delivered
        assert len(claimed) == 1
        delivered += await settle(store, succeeded(claimed[0].delivery, now))
    raise AssertionError("There is no end of it.")


async def cancel(store: WebhookPersistence, ref: DeliveryRef) -> Delivery | None:
    return await store.delivery_store.cancel(None, ref, LATER, CANCELED_BY_HAND)


# --- accept ---------------------------------------------------------------------------------------


async def test_only_the_first_of_a_line_is_due_and_the_others_say_whom_they_wait_for(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        endpoint, refs = await line_up(store, 3)
        assert await states(store, *refs) == [READY, BLOCKED, BLOCKED]
        found = [await read(store, ref) for ref in refs]
        assert [d.ordering_key for d in found] == ["k"] * 3
        assert [d.waits_for for d in found] == [None, refs[0].key, refs[0].key]
        assert [d.due_at for d in found] == [T0, None, None]
        listed = await list_deliveries(store, endpoint_id=endpoint.id)
        assert sorted(listed, key=lambda d: d.ref) == sorted(found, key=lambda d: d.ref)
        taken = await claim(store)
        assert refs_of(taken.claimed) == refs[:1]
        assert taken.claimed[0].delivery.ordering_key == "k"
        assert taken.more is False
        again = await claim(store)
        assert (again.claimed, again.more) == ([], False)
        assert again.next_due_at == T0 + LEASE_MS


async def test_a_line_goes_by_the_accept_and_the_place_in_it_and_not_by_any_clock(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        events = [*in_line(3, at=T0), *in_line(2, at=T0 - 5_000), *in_line(1, at=T0 + 9_000)]
        await emit(store, *events[:3])
        await emit(store, *events[3:5])
        await emit(store, events[5])
        assert await one_by_one(store) == [DeliveryRef(endpoint.id, e.key) for e in events]


async def test_keys_endpoints_and_what_has_no_key_wait_for_nobody_else(maker: Maker) -> None:
    async with opened(maker) as store:
        first, second = await add_one(store), await add_one(store, SENT)
        events = [
            new_event(ordering_key="a"),
            new_event(FAILED, ordering_key="b"),
            new_event(),
            new_event(ordering_key="b"),
            new_event(FAILED),
        ]
        await emit(store, *events)
        due = {ref: state for e in events for ref, state in (await _of(store, e)).items()}
        waits = DeliveryRef(first.id, events[3].key)
        assert [ref for ref, state in due.items() if state is not READY] == [waits]
        # The event before it with its key did not go to this endpoint.
        assert due[DeliveryRef(second.id, events[3].key)] is READY


async def _of(store: WebhookPersistence, event: NewEvent) -> dict[DeliveryRef, DeliveryState]:
    found = await list_deliveries(store, event_key=event.key)
    return {delivery.ref: delivery.state for delivery in found}


async def test_what_has_a_key_is_not_leased_at_accept_and_what_is_blocked_is_not_waiting(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        await add_one(store)
        [plain, head, next_one] = [new_event(), *in_line(2)]
        result = await emit(store, head, plain, first=first_attempts(5))
        assert [each.delivery.key for each in result.claimed] == [plain.key]
        assert result.waiting is True
        assert [e.delivery_count for e in result.events] == [1, 1]
        result = await emit(store, next_one, first=first_attempts(5))
        assert (result.claimed, result.waiting) == ([], False)


async def test_an_accept_that_is_repeated_stands_in_line_once(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        events = in_line(3)
        for _ in range(2):
            result = await emit(store, *events[:2])
            assert [e.duplicate for e in result.events] == [False, False]
        await emit(store, events[2])
        await emit(store, *events[:2])
        assert await one_by_one(store) == [DeliveryRef(endpoint.id, e.key) for e in events]


async def test_a_duplicate_takes_no_place_in_line(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        first = new_event(id="one", ordering_key="k")
        again = msgspec.structs.replace(first, key=new_event().key)
        other = new_event(ordering_key="k")
        await emit(store, first)
        result = await emit(store, again, other)
        assert [e.duplicate for e in result.events] == [True, False]
        assert await one_by_one(store) == [DeliveryRef(endpoint.id, e.key) for e in (first, other)]


async def test_an_event_shows_its_key(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, new_event(id="one", ordering_key="k"), new_event(id="two"))
        found = [await store.delivery_store.get_event("default", name) for name in ("one", "two")]
        assert [event.ordering_key for event in found if event] == ["k", None]


# --- settle ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [succeeded, exhausted])
async def test_whatever_ends_the_first_lets_the_next_become_due_at_once(
    maker: Maker, end: object
) -> None:
    async with opened(maker) as store:
        _, refs = await line_up(store, 3)
        settlement = succeeded if end is succeeded else exhausted
        await settle(store, settlement(await claim_one(store), T0 + 5))
        assert (await states(store, *refs))[1:] == [READY, BLOCKED]
        found = [await read(store, ref) for ref in refs[1:]]
        assert (found[0].due_at, found[0].waits_for) == (T0 + 5, None)
        assert found[1].waits_for == refs[1].key
        assert await one_by_one(store) == refs[1:]


async def test_a_retry_a_release_and_a_lease_that_ends_keep_the_first_where_it_is(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        _, refs = await line_up(store, 2)
        await settle(store, failed(await claim_one(store), T0, retry_in_ms=SECOND_MS))
        assert await states(store, *refs) == [DeliveryState.SCHEDULED, BLOCKED]
        now = T0 + SECOND_MS
        await settle(store, release(await claim_one(store, now), now))
        await claim_one(store, now)
        taken = await claim_one(store, now + LEASE_MS)
        assert taken.ref == refs[0]
        assert taken.interruptions == 1
        assert await states(store, *refs) == [DeliveryState.LEASED, BLOCKED]


async def test_a_settle_that_comes_too_late_lets_nobody_go(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await line_up(store, 3)
        stale = await claim_one(store)
        fresh = await claim_one(store, LATER)
        assert await settle(store, succeeded(stale, LATER)) == []
        assert await states(store, *refs) == [DeliveryState.LEASED, BLOCKED, BLOCKED]
        # A repeat of the same settlement lets go one only.
        for _ in range(2):
            await settle(store, succeeded(fresh, LATER))
        assert await states(store, *refs) == [SUCCESS, READY, BLOCKED]


async def test_a_late_success_that_counts_lets_the_next_go(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await line_up(store, 2)
        late = await claim_one(store)
        assert (await claim(store, LATER, limit=0)).claimed == []
        assert await states(store, *refs) == [READY, BLOCKED]
        assert await settle(store, succeeded(late, LATER)) == [refs[0]]
        assert await states(store, *refs) == [SUCCESS, READY]


async def test_many_keys_are_under_way_at_once_each_with_one(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        keys = [f"key-{number}" for number in range(8)]
        events = [event for key in keys for event in in_line(3, key)]
        await emit(store, *events)
        order: list[str] = []
        for _ in range(3):
            claimed = await claim_all(store, T0)
            assert sorted(c.delivery.ordering_key or "" for c in claimed) == keys
            order += [c.delivery.key for c in claimed]
            await settle(store, *(succeeded(c.delivery) for c in claimed))
        for key in keys:
            mine = [e.key for e in events if e.ordering_key == key]
            assert [k for k in order if k in mine] == mine
        assert await claim_all(store, T0) == []


async def test_a_line_that_was_empty_begins_anew(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await line_up(store, 2)
        assert await one_by_one(store) == refs
        events = in_line(2)
        await emit(store, *events)
        assert await one_by_one(store) == [DeliveryRef(endpoint.id, e.key) for e in events]


# --- cancel and replay ----------------------------------------------------------------------------


async def test_canceling_one_of_a_line_keeps_the_others_in_line(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await line_up(store, 5)
        canceled = await cancel(store, refs[2])
        assert canceled is not None
        assert (canceled.state, canceled.waits_for) == (CANCELED, None)
        assert await states(store, refs[0], refs[1], refs[3]) == [READY, BLOCKED, BLOCKED]
        await cancel(store, refs[0])
        assert await states(store, refs[1], refs[3]) == [READY, BLOCKED]
        await cancel(store, refs[4])
        assert await one_by_one(store) == [refs[1], refs[3]]


async def test_canceling_the_first_while_it_is_under_way_lets_the_next_go(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await line_up(store, 2)
        under_way = await claim_one(store)
        await cancel(store, refs[0])
        assert await states(store, *refs) == [CANCELED, READY]
        assert await settle(store, succeeded(under_way)) == []


async def test_a_replay_waits_for_nobody_and_nobody_for_it(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await line_up(store, 4)
        await finish(store, refs[0])
        await cancel(store, refs[2])
        for ref in (refs[0], refs[2]):
            replayed = await store.delivery_store.replay(None, ref, LATER)
            assert replayed is not None
            assert (replayed.state, replayed.waits_for) == (READY, None)
        assert await states(store, refs[1], refs[3]) == [READY, BLOCKED]
        await finish(store, refs[0], now=LATER)
        assert await states(store, refs[1], refs[3]) == [DeliveryState.LEASED, BLOCKED]


async def test_a_replay_of_one_that_is_blocked_changes_nothing(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await line_up(store, 2)
        found = await store.delivery_store.replay(None, refs[1], LATER)
        assert found == await read(store, refs[1])
        assert found is not None
        assert found.waits_for == refs[0].key


async def test_what_was_missed_goes_to_the_end_of_its_line_oldest_first(maker: Maker) -> None:
    async with opened(maker) as store:
        before = [new_event(at=T0 + n, ordering_key="k") for n in range(3)]
        await emit(store, *before, new_event(at=T0 + 3))
        endpoint = await add_one(store)
        pending = in_line(2, at=T0 + 50)
        await emit(store, *pending)
        done, _ = await recover(
            store, RecoveryKind.MISSED, endpoint, endpoint_id=endpoint.id, until=T0 + 10, limit=2
        )
        assert done.made == 4
        [plain] = [
            c.delivery for c in (await claim(store)).claimed if c.delivery.ordering_key is None
        ]
        await settle(store, succeeded(plain))
        expected = [DeliveryRef(endpoint.id, e.key) for e in (*pending, *before)]
        assert await one_by_one(store) == expected
