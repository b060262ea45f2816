"""What each kind of recovery finds, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from webhook.domain.ids import DeliveryRef
from webhook.domain.model import DeliveryState, DeliveryStatus, EndpointStatus, ErrorKind
from webhook.domain.recovery import RecoveryKind, RecoveryStatus, Subscription
from webhook.ports import FirstAttempts, WebhookPersistence

from .builders import (
    DAY_MS,
    FAILED,
    SECOND_MS,
    SENT,
    T0,
    add_one,
    add_with_events,
    changed,
    claim,
    claim_all,
    emit,
    exhausted,
    failed,
    gone,
    list_deliveries,
    list_refs,
    new_event,
    new_events,
    read,
    refs_of,
    settle,
    states,
    succeeded,
    sweep_all,
)
from .recoveries import LATER, begin, end_all, keeper, piece, recover
from .stores import Maker, opened

ALL_STATES = [
    DeliveryState.SUCCESS,
    DeliveryState.FAILED,
    DeliveryState.EXHAUSTED,
    DeliveryState.CANCELED,
    DeliveryState.SCHEDULED,
    DeliveryState.LEASED,
    DeliveryState.READY,
]


async def _one_of_each(store: WebhookPersistence) -> list[DeliveryRef]:
    """Make a delivery of each state, in the order of ``ALL_STATES``."""
    endpoint, refs = await add_with_events(store, 7)
    by_ref = {each.delivery.ref: each.delivery for each in (await claim(store, limit=6)).claimed}
    one = [by_ref[ref] for ref in refs[:6]]
    fatal = msgspec.structs.replace(gone(one[1]), disable_endpoint=False)
    await settle(store, succeeded(one[0]), fatal, exhausted(one[2]), failed(one[4]))
    await store.delivery_store.cancel(None, refs[3], T0, "by hand")
    assert await states(store, *refs) == ALL_STATES
    assert endpoint.id == refs[0].endpoint_id
    return refs


async def test_failed_is_what_ended_failed_or_exhausted(maker: Maker) -> None:
    async with opened(maker) as store:
        refs = await _one_of_each(store)
        recovery, did = await recover(
            store, RecoveryKind.FAILED, endpoint_id=refs[0].endpoint_id, since=T0
        )
        assert did == refs[1:3]
        assert (recovery.scanned, recovery.replayed, recovery.made) == (7, 2, 0)
        ready = [DeliveryState.READY] * 2
        assert await states(store, *refs) == [ALL_STATES[0], *ready, *ALL_STATES[3:]]


async def test_all_is_whatever_has_ended(maker: Maker) -> None:
    async with opened(maker) as store:
        refs = await _one_of_each(store)
        recovery, did = await recover(
            store, RecoveryKind.ALL, endpoint_id=refs[0].endpoint_id, since=T0
        )
        assert did == refs[:4]
        assert (recovery.scanned, recovery.replayed, recovery.made) == (7, 4, 0)
        assert await states(store, *refs[4:]) == ALL_STATES[4:]


async def test_the_range_bounds_accept_times(maker: Maker) -> None:
    async with opened(maker) as store:
        # Few enough that their failures do not open the endpoint's circuit before the end.
        endpoint, refs = await add_with_events(store, 7)
        now = T0
        for kind in (RecoveryKind.FAILED, RecoveryKind.ALL, RecoveryKind.FILTER):
            await end_all(store, dead=set(refs), now=now)
            _, did = await recover(
                store, kind, endpoint_id=endpoint.id, since=T0 + 3, until=T0 + 5, limit=1
            )
            assert did == refs[3:5], kind
            now = LATER


async def test_other_endpoints_and_tenants_are_left_alone(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 3)
        other = await add_one(store)
        foreign = await add_one(store, tenant="acme")
        late = new_event(at=T0 + 50)
        theirs = new_event(at=T0 + 50, tenant="acme")
        await emit(store, late, theirs)
        left = [DeliveryRef(other.id, late.key), DeliveryRef(foreign.id, theirs.key)]
        await end_all(store, dead={*refs, DeliveryRef(endpoint.id, late.key), *left})
        _, did = await recover(store, RecoveryKind.FAILED, endpoint_id=endpoint.id, since=T0)
        assert did == [*refs, DeliveryRef(endpoint.id, late.key)]
        assert await states(store, *left) == [DeliveryState.EXHAUSTED] * 2


# --- missed ---------------------------------------------------------------------------------------


async def _pause(store: WebhookPersistence) -> tuple[str, list[str]]:
    """Make an endpoint that misses events; return its id and their keys, the first one seen."""
    endpoint = await add_one(store, SENT)
    seen = new_event(at=T0)
    await emit(store, seen)
    paused = changed(endpoint, status=EndpointStatus.INACTIVE)
    await store.endpoint_store.update(paused)
    missed = new_events(5, at=T0 + 10)
    await emit(store, *missed, new_event(FAILED, at=T0 + 12), new_event(at=T0 + 13, tenant="acme"))
    await store.endpoint_store.update(changed(paused, status=EndpointStatus.ACTIVE))
    await end_all(store)
    return endpoint.id, [seen.key, *(event.key for event in missed)]


async def test_missed_is_what_matches_and_has_no_delivery(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint_id, keys = await _pause(store)
        [endpoint] = await store.endpoint_store.get_many([endpoint_id])
        recovery, did = await recover(
            store, RecoveryKind.MISSED, endpoint, endpoint_id=endpoint_id, since=T0, limit=2
        )
        refs = [DeliveryRef(endpoint_id, key) for key in keys[1:]]
        assert did == refs
        assert (recovery.status, recovery.scanned) == (RecoveryStatus.DONE, 7)
        assert (recovery.made, recovery.replayed) == (5, 0)
        made = await read(store, refs[0])
        assert (made.state, made.tenant, made.event_type) == (DeliveryState.READY, "default", SENT)
        assert (made.due_at, made.run_started_at, made.attempts_made) == (LATER, LATER, 0)
        assert made.event_id == f"evt_{keys[1]}"
        claimed = await claim_all(store, LATER)
        assert refs_of(claimed) == refs
        assert {each.payload for each in claimed} == {
            event.payload
            for key in keys[1:]
            if (event := await store.delivery_store.get_event("default", f"evt_{key}"))
        }
        _, again = await recover(
            store, RecoveryKind.MISSED, endpoint, endpoint_id=endpoint_id, since=T0 + 1
        )
        assert again == []


async def test_an_event_remembers_whom_a_recovery_sent_it_to(maker: Maker) -> None:
    async with opened(maker) as store:
        other = await add_one(store, SENT)
        endpoint_id, keys = await _pause(store)
        [endpoint] = await store.endpoint_store.get_many([endpoint_id])
        await recover(store, RecoveryKind.MISSED, endpoint, endpoint_id=endpoint_id, since=T0)
        event = await store.delivery_store.get_event("default", f"evt_{keys[1]}")
        assert event is not None
        assert sorted(event.endpoint_ids) == sorted([other.id, endpoint_id])
        refs = sorted(DeliveryRef(each, keys[1]) for each in (other.id, endpoint_id))
        assert sorted(await list_refs(store, event_key=keys[1])) == refs
        listed = await list_deliveries(store, endpoint_id=endpoint_id)
        assert [each.key for each in listed] == keys[::-1]
        # And retention finds it: not before it has ended, and then with the event.
        await sweep_all(store, LATER, before=T0 + DAY_MS)
        assert [each.key for each in await list_deliveries(store)] == [
            key for key in keys[:0:-1] for _ in range(2)
        ]
        await end_all(store, now=LATER)
        await sweep_all(store, LATER, before=T0 + DAY_MS)
        assert await store.delivery_store.get_delivery(None, refs[0]) is None
        assert await store.delivery_store.get_delivery(None, refs[1]) is None
        assert await list_deliveries(store) == []


async def test_a_name_is_answered_as_the_first_time_whatever_a_recovery_made_since(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, SENT, status=EndpointStatus.INACTIVE)
        event = new_event(at=T0 + 1, id="own")
        await emit(store, event)
        endpoint = changed(endpoint, status=EndpointStatus.ACTIVE)
        await store.endpoint_store.update(endpoint)
        recovery, _ = await recover(
            store, RecoveryKind.MISSED, endpoint, endpoint_id=endpoint.id, since=T0
        )
        assert recovery.made == 1
        [again] = (await emit(store, new_event(at=T0 + 2, id="own"))).events
        assert (again.key, again.duplicate, again.delivery_count) == (event.key, True, 0)
        [repeated] = (await emit(store, event)).events
        assert (repeated.duplicate, repeated.delivery_count) == (False, 0)


async def test_two_that_make_the_same_piece_make_it_once(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint_id, keys = await _pause(store)
        [endpoint] = await store.endpoint_store.get_many([endpoint_id])
        subscription = Subscription.of(endpoint, None)
        one = await begin(store, RecoveryKind.MISSED, endpoint_id=endpoint_id, since=T0)
        two = await begin(store, RecoveryKind.MISSED, endpoint_id=endpoint_id, since=T0 + 1)
        found = [await keeper(store).scan(each, subscription, 100, 1000) for each in (one, two)]
        assert found[0].missed == found[1].missed == keys[1:]
        first = await keeper(store).advance(one, found[0], LATER)
        again = await keeper(store).advance(one, found[0], LATER)
        other = await keeper(store).advance(two, found[1], LATER)
        assert (first, first.made, other.made) == (again, 5, 0)
        for key in keys[1:]:
            event = await store.delivery_store.get_event("default", f"evt_{key}")
            assert event is not None
            assert event.endpoint_ids == (endpoint_id,)


async def test_missed_compares_the_subscription_as_it_is_now(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, "nothing.of.these")
        rock = {"genre": "rock", "n": 1}
        events = [
            new_event(SENT, at=T0 + 1, metadata=rock),
            new_event(SENT, at=T0 + 2, metadata={"genre": "jazz", "n": 1}),
            new_event(SENT, at=T0 + 3, metadata={"genre": ["folk", "rock"], "n": 1.0}),
            new_event(SENT, at=T0 + 4),
            new_event(FAILED, at=T0 + 5, metadata=rock),
            new_event("other", at=T0 + 6, metadata=rock),
        ]
        await emit(store, *events)
        now = changed(endpoint, event_types=("message.*",), filters={"genre": ("rock",), "n": (1,)})
        _, did = await recover(
            store, RecoveryKind.MISSED, now, endpoint_id=endpoint.id, since=T0, rows_max=2
        )
        wanted = (events[0], events[2], events[4])
        assert did == [DeliveryRef(endpoint.id, event.key) for event in wanted]


async def test_types_that_are_not_delivered_are_not_made(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, "nothing.of.these")
        events = [new_event(SENT, at=T0 + 1), new_event(FAILED, at=T0 + 2)]
        await emit(store, *events)
        now = Subscription.of(changed(endpoint, event_types=("*",)), [FAILED])
        recovery = await begin(store, RecoveryKind.MISSED, endpoint_id=endpoint.id, since=T0)
        found = await keeper(store).scan(recovery, now, 100, 1000)
        assert found.missed == [events[1].key]


async def test_all_makes_what_was_missed_too(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint_id, keys = await _pause(store)
        [endpoint] = await store.endpoint_store.get_many([endpoint_id])
        recovery, did = await recover(
            store, RecoveryKind.ALL, endpoint, endpoint_id=endpoint_id, since=T0, rows_max=2
        )
        assert did == [DeliveryRef(endpoint_id, key) for key in keys]
        assert (recovery.replayed, recovery.made) == (1, 5)
        assert [each.key for each in await list_deliveries(store)] == keys[::-1]


async def test_nothing_is_recovered_for_an_endpoint_that_was_removed(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint_id, keys = await _pause(store)
        [endpoint] = await store.endpoint_store.get_many([endpoint_id])
        recovery = await begin(store, RecoveryKind.ALL, endpoint_id=endpoint_id, since=T0)
        found = await keeper(store).scan(recovery, Subscription.of(endpoint, None), 100, 1000)
        assert (len(found.replays), len(found.missed)) == (1, 5)
        await store.endpoint_store.remove(None, endpoint_id, LATER)
        after = await keeper(store).advance(recovery, found, LATER)
        assert (after.status, after.replayed, after.made) == (RecoveryStatus.DONE, 0, 0)
        assert (await read(store, DeliveryRef(endpoint_id, keys[0]))).state is DeliveryState.SUCCESS
        assert len(await list_deliveries(store)) == 1
        _, filtered = await recover(store, RecoveryKind.FILTER, status=DeliveryStatus.SUCCESS)
        assert filtered == []


async def test_an_event_that_retention_removed_meanwhile_is_not_made(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint_id, keys = await _pause(store)
        [endpoint] = await store.endpoint_store.get_many([endpoint_id])
        recovery = await begin(store, RecoveryKind.MISSED, endpoint_id=endpoint_id, since=T0)
        found = await keeper(store).scan(recovery, Subscription.of(endpoint, None), 100, 1000)
        await sweep_all(store, LATER, before=T0 + 12)
        after = await keeper(store).advance(recovery, found, LATER)
        assert after.made == 3
        assert [each.key for each in await list_deliveries(store)] == keys[:2:-1]


async def test_a_repeated_accept_after_a_recovery_stores_nothing_twice(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint_id, keys = await _pause(store)
        [endpoint] = await store.endpoint_store.get_many([endpoint_id])
        await recover(store, RecoveryKind.MISSED, endpoint, endpoint_id=endpoint_id, since=T0)
        repeat = msgspec.structs.replace(new_event(at=T0 + 10), key=keys[1])
        none = FirstAttempts(limit=0, lease_ms=0, timeout_ms_max=0, timeout_ms_default=0)
        targets = None if store.joint else [[endpoint_id]]
        await store.delivery_store.accept([repeat], none, LATER, targets)
        assert len(await list_deliveries(store, event_key=keys[1])) == 1


# --- filter ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "which"),
    [
        ({"status": DeliveryStatus.EXHAUSTED}, {2}),
        ({"status": DeliveryStatus.FAILED}, {1}),
        ({"status": DeliveryStatus.SUCCESS}, {0}),
        ({"status": DeliveryStatus.CANCELED}, {3}),
        ({"error_kind": ErrorKind.TIMEOUT}, {2}),
        ({"error_kind": ErrorKind.HTTP_STATUS}, {1}),
        ({"event_type": SENT}, {0, 1, 2, 3}),
        ({"event_type": SENT, "status": DeliveryStatus.EXHAUSTED}, {2}),
        ({"event_type": FAILED}, set()),
        ({"since": T0 + 2}, {2, 3}),
        ({"until": T0 + 2}, {0, 1}),
    ],
)
async def test_a_filter_finds_finished_deliveries_as_a_list_does(
    maker: Maker, asked: dict[str, Any], which: set[int]
) -> None:
    async with opened(maker) as store:
        refs = await _one_of_each(store)
        expected = [refs[index] for index in sorted(which)]
        for narrowed in (asked, asked | {"endpoint_id": refs[0].endpoint_id}):
            recovery = await begin(store, RecoveryKind.FILTER, **narrowed)
            found = await keeper(store).scan(recovery, None, 100, 1000)
            assert sorted(found.replays) == expected
            assert found.done
        _, did = await recover(store, RecoveryKind.FILTER, limit=1, at=LATER + DAY_MS, **asked)
        assert did == expected
        assert await states(store, *expected) == [DeliveryState.READY] * len(expected)


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("rows_max", [2, 1000])
@pytest.mark.parametrize("status", [DeliveryStatus.EXHAUSTED, None])
async def test_a_filter_comes_to_each_delivery_once(
    maker: Maker, limit: int, rows_max: int, status: DeliveryStatus | None
) -> None:
    async with opened(maker) as store:
        endpoints = [await add_one(store) for _ in range(3)]
        events = new_events(5)
        await emit(store, *events, new_event(tenant="acme"))
        refs = [DeliveryRef(endpoint.id, event.key) for event in events for endpoint in endpoints]
        dead = {ref for index, ref in enumerate(sorted(refs)) if index % 3}
        await end_all(store, dead=dead)
        recovery, did = await recover(
            store, RecoveryKind.FILTER, limit=limit, rows_max=rows_max, status=status, since=T0
        )
        assert did == sorted(refs if status is None else dead)
        assert recovery.replayed == len(did)
        # How much it looks at on the way is the store's own affair.
        assert len(did) <= recovery.scanned <= 15


async def test_a_delivery_that_ended_otherwise_meanwhile_is_left_alone(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 3)
        await end_all(store, dead=set(refs))
        recovery = await begin(store, RecoveryKind.FILTER, status=DeliveryStatus.EXHAUSTED)
        found = await keeper(store).scan(recovery, None, 100, 1000)
        # By hand, and with success this time.
        await store.delivery_store.replay(None, refs[0], LATER)
        await store.delivery_store.replay(None, refs[1], LATER)
        [claimed, _] = (await claim(store, LATER)).claimed
        await settle(store, succeeded(claimed.delivery, LATER))
        after = await keeper(store).advance(recovery, found, LATER + SECOND_MS)
        assert after.replayed == 1
        assert await states(store, *refs) == [
            DeliveryState.SUCCESS,
            DeliveryState.LEASED,
            DeliveryState.READY,
        ]


async def test_pieces_are_bounded(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 30)
        await end_all(store, dead=set(refs[::10]))
        recovery = await begin(store, RecoveryKind.FAILED, endpoint_id=endpoint.id, since=T0)
        scanned: list[int] = []
        while recovery.running:
            recovery, found = await piece(store, recovery, rows_max=8)
            scanned.append(found.scanned)
        assert scanned == [8, 8, 8, 6]
        assert recovery.replayed == 3
