"""One event's payload can be erased: the rows stay, and nothing of it is ever sent again."""

from __future__ import annotations

import msgspec
import pytest

from webhook.domain.errors import Conflict
from webhook.domain.ids import DeliveryRef
from webhook.domain.lifecycle import Settlement
from webhook.domain.model import Delivery, DeliveryState, DeliveryStatus, Event, NewEvent
from webhook.domain.recovery import RecoveryKind, RecoveryStatus, Subscription
from webhook.ports import ENDPOINT_REMOVED, PAYLOAD_ERASED, EventQuery, WebhookPersistence

from .builders import (
    DAY_MS,
    SECOND_MS,
    SENT,
    T0,
    add_one,
    add_with_events,
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
    new_events,
    read,
    refs_of,
    settle,
    succeeded,
    sweep_all,
    with_attempt,
)
from .recoveries import LATER, begin, end_all, keeper, piece, recover
from .stores import Maker, opened
from .test_ordering_stop import stopped

SAID = "they said hush"


async def _erase(store: WebhookPersistence, key: str, tenant: str = "default") -> bool:
    return await store.delivery_store.erase_payload(tenant, key, LATER, PAYLOAD_ERASED)


async def _event(store: WebhookPersistence, event: NewEvent) -> Event:
    found = await store.delivery_store.get_event(event.tenant, event.id or f"evt_{event.key}")
    assert found is not None
    return found


def _answered(settlement: Settlement, response: str = SAID) -> Settlement:
    """Return the settlement with what the receiver answered."""
    assert settlement.attempt is not None
    attempt = msgspec.structs.replace(settlement.attempt, response=response, note='a "response":')
    return with_attempt(settlement, attempt)


def _canceled(before: Delivery) -> Delivery:
    return msgspec.structs.replace(
        before,
        state=DeliveryState.CANCELED,
        due_at=None,
        reason=PAYLOAD_ERASED,
        completed_at=LATER,
        payload_erased=True,
    )


async def test_the_payload_goes_and_the_event_stays(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        event, other = new_event(id="order-1", data=SAID), new_event(data=SAID)
        await emit(store, event, other)
        before = await _event(store, event)
        assert not before.payload_erased
        assert await _erase(store, event.key)
        after = await _event(store, event)
        assert after == msgspec.structs.replace(before, payload="")
        assert after.payload_erased
        listed = (await store.delivery_store.list_events(EventQuery())).items
        assert {one.key: one.payload for one in listed} == {event.key: "", other.key: other.payload}
        erased = {one.key: one.payload_erased for one in await list_deliveries(store)}
        assert erased == {event.key: True, other.key: False}
        by_endpoint = await list_deliveries(store, endpoint_id=endpoint.id)
        assert {one.key: one.payload_erased for one in by_endpoint} == erased


async def test_an_event_that_is_not_there_or_of_others_is_not_erased(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        event = new_event()
        await emit(store, event)
        before = await read(store, DeliveryRef(endpoint.id, event.key))
        assert not await _erase(store, new_event().key)
        assert not await _erase(store, event.key, tenant="acme")
        assert (await _event(store, event)).payload == event.payload
        assert await read(store, before.ref) == before


async def test_what_is_pending_is_canceled_and_never_claimed(maker: Maker) -> None:
    async with opened(maker) as store:
        for _ in range(3):
            await add_one(store)
        event, other = new_event(), new_event()
        await emit(store, event, other)
        leased, retried, *_ = (await claim(store, limit=2, per_endpoint=1)).claimed
        key = leased.delivery.key
        assert retried.delivery.key == key or {event.key, other.key} == {key, retried.delivery.key}
        await settle(store, failed(retried.delivery))
        before = [one for one in await list_deliveries(store) if one.key == key]
        assert len(before) == 3
        assert await _erase(store, key)
        for one in before:
            assert await read(store, one.ref) == _canceled(one)
        left = await claim_all(store, T0 + DAY_MS)
        assert {ref.key for ref in refs_of(left)} == {event.key, other.key} - {key}
        last = await claim(store, T0 + DAY_MS)
        assert (last.more, len(left)) == (False, 3)


async def test_a_late_settle_brings_no_response_back(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        event = new_event()
        accepted = await emit(store, event, first=first_attempts(1))
        [first] = accepted.claimed or (await claim(store)).claimed
        ref = DeliveryRef(endpoint.id, event.key)
        assert await _erase(store, event.key)
        for settlement_of in (succeeded, exhausted, failed):
            assert await settle(store, _answered(settlement_of(first.delivery))) == []
        after = await read(store, ref)
        assert (after.state, after.attempts) == (DeliveryState.CANCELED, ())


async def test_what_ended_stays_as_it_ended_but_for_the_responses(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        event, other = new_events(2)
        await emit(store, event, other)
        tries = (await claim(store)).claimed
        await settle(store, *(_answered(failed(one.delivery)) for one in tries))
        again = (await claim(store, T0 + SECOND_MS)).claimed
        now = T0 + SECOND_MS
        await settle(store, *(_answered(succeeded(one.delivery, now), "ok") for one in again))
        ref, kept = (DeliveryRef(endpoint.id, one.key) for one in (event, other))
        before = await read(store, ref)
        assert [one.response for one in before.attempts] == [SAID, "ok"]
        assert await _erase(store, event.key)
        attempts = tuple(msgspec.structs.replace(one, response=None) for one in before.attempts)
        after = msgspec.structs.replace(before, attempts=attempts, payload_erased=True)
        assert await read(store, ref) == after
        assert [one.response for one in (await read(store, kept)).attempts] == [SAID, "ok"]
        # Once more, it finds nothing to do.
        assert await _erase(store, event.key)
        assert await read(store, ref) == after


async def test_nothing_of_it_is_replayed(maker: Maker) -> None:
    async with opened(maker) as store:
        _, [ref, other] = await add_with_events(store, 2)
        await finish(store, ref)
        assert await _erase(store, ref.key)
        before = await read(store, ref)
        with pytest.raises(Conflict, match="payload was erased"):
            await store.delivery_store.replay(None, ref, LATER)
        assert await store.delivery_store.replay("acme", ref, LATER) is None
        assert await read(store, ref) == before
        assert await _erase(store, other.key)
        with pytest.raises(Conflict, match="payload was erased"):
            await store.delivery_store.replay(None, other, LATER)
        assert (await claim(store, LATER)).claimed == []


async def test_a_repeated_accept_is_answered_as_the_first_time(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        event = new_event(id="order-1")
        [first] = (await emit(store, event)).events
        assert await _erase(store, event.key)
        again = msgspec.structs.replace(event, key=new_event().key)
        repeat = await emit(store, again, first=first_attempts(5))
        assert repeat.events == [msgspec.structs.replace(first, duplicate=True)]
        # The call itself, repeated, stores nothing again either.
        same = await emit(store, event, first=first_attempts(5))
        assert (same.events, same.claimed, repeat.claimed) == ([first], [], [])
        assert (await _event(store, event)).payload == ""
        with pytest.raises(Conflict):
            await emit(store, msgspec.structs.replace(again, content_hash="0" * 64))


@pytest.mark.parametrize("kind", [RecoveryKind.FAILED, RecoveryKind.ALL, RecoveryKind.FILTER])
async def test_recoveries_pass_it_and_do_not_count_it(maker: Maker, kind: RecoveryKind) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 3)
        await end_all(store, dead=set(refs))
        assert await _erase(store, refs[1].key)
        recovery, done = await recover(store, kind, endpoint, endpoint_id=endpoint.id)
        assert (recovery.status, recovery.replayed) == (RecoveryStatus.DONE, 2)
        assert done == sorted([refs[0], refs[2]])
        assert (await read(store, refs[1])).state is DeliveryState.EXHAUSTED


@pytest.mark.parametrize("status", [DeliveryStatus.EXHAUSTED, DeliveryStatus.CANCELED, None])
async def test_a_filter_passes_it_by_every_way_in(
    maker: Maker, status: DeliveryStatus | None
) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 3)
        if status is DeliveryStatus.CANCELED:
            for ref in refs:
                await store.delivery_store.cancel(None, ref, T0, "by hand")
        else:
            await end_all(store, dead=set(refs))
        assert await _erase(store, refs[1].key)
        event_type = None if status else SENT
        recovery, done = await recover(
            store, RecoveryKind.FILTER, status=status, event_type=event_type
        )
        assert (recovery.replayed, done) == (2, sorted([refs[0], refs[2]]))


@pytest.mark.parametrize("filters", [None, {"provider": ["a"]}])
async def test_what_was_missed_of_it_is_not_made(
    maker: Maker, filters: dict[str, list[str]] | None
) -> None:
    async with opened(maker) as store:
        events = new_events(3, metadata={"provider": "a"})
        await emit(store, *events)
        endpoint = await add_one(store, at=T0, filters=filters)
        assert await _erase(store, events[1].key)
        recovery, done = await recover(
            store, RecoveryKind.MISSED, endpoint, endpoint_id=endpoint.id
        )
        assert recovery.made == 2
        assert [ref.key for ref in done] == [events[0].key, events[2].key]


async def test_a_piece_that_found_it_before_does_nothing_with_it(maker: Maker) -> None:
    async with opened(maker) as store:
        [early] = new_events(1)
        await emit(store, early)
        endpoint, refs = await add_with_events(store, 2)
        await end_all(store, dead=set(refs))
        recovery = await begin(store, RecoveryKind.ALL, endpoint_id=endpoint.id)
        found = await keeper(store).scan(recovery, Subscription.of(endpoint, None), 100, 1000)
        assert (len(found.replays), found.missed) == (2, [early.key])
        assert await _erase(store, early.key)
        assert await _erase(store, refs[0].key)
        done = await keeper(store).advance(recovery, found, LATER)
        assert (done.replayed, done.made) == (1, 0)
        assert refs_of((await claim(store, LATER)).claimed) == [refs[1]]
        assert (await _event(store, early)).endpoint_ids == ()


async def test_its_ordering_key_goes_on(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        events = new_events(3, ordering_key="k")
        for event in events:
            await emit(store, event)
        assert await _erase(store, events[0].key)
        assert [ref.key for ref in refs_of((await claim(store, LATER)).claimed)] == [events[1].key]
        # One that stands in the middle leaves the line too.
        assert await _erase(store, events[2].key)
        after = await read(store, DeliveryRef(endpoint.id, events[2].key))
        assert (after.state, after.waits_for) == (DeliveryState.CANCELED, None)


async def test_a_dead_letter_that_nobody_can_replay_stops_nothing(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await stopped(store)
        assert (await read(store, refs[0])).stops
        assert await _erase(store, refs[0].key)
        after = await read(store, refs[0])
        assert (after.state, after.reason) == (DeliveryState.CANCELED, PAYLOAD_ERASED)
        assert not after.stops
        assert (await claim_one(store, LATER)).ref == refs[1]


async def test_what_waits_for_a_removed_endpoint_reads_as_before(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, [ref, other] = await add_with_events(store, 2)
        claimed = {one.delivery.ref: one.delivery for one in (await claim(store)).claimed}
        assert await store.endpoint_store.remove(None, endpoint.id, T0 + 5)
        before = await read(store, ref)
        assert await _erase(store, ref.key)
        after = msgspec.structs.replace(before, payload_erased=True)
        if store.joint:
            assert (before.state, before.reason) == (DeliveryState.CANCELED, ENDPOINT_REMOVED)
            assert await read(store, ref) == after
        # What was on its way to it is not recorded, where it would be otherwise.
        assert await settle(store, _answered(succeeded(claimed[ref]))) == []
        assert await settle(store, _answered(succeeded(claimed[other]))) == [other]
        assert (await read(store, ref)).attempts == ()


async def test_retention_removes_what_is_left_of_it(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        event = new_event(id="order-1")
        await emit(store, event)
        assert await _erase(store, event.key)
        await sweep_all(store, LATER, before=T0 + 1)
        assert await store.delivery_store.get_event("default", "order-1") is None
        assert await list_deliveries(store) == []
        assert not (await emit(store, new_event(id="order-1"))).events[0].duplicate


async def test_the_pieces_of_a_recovery_go_on_behind_it(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 5)
        await end_all(store, dead=set(refs))
        for ref in refs[1:4]:
            assert await _erase(store, ref.key)
        recovery = await begin(store, RecoveryKind.FAILED, endpoint_id=endpoint.id)
        pieces = 0
        while recovery.running:
            recovery, _ = await piece(store, recovery, endpoint, limit=1, rows_max=2)
            pieces += 1
            assert pieces < 10
        assert (recovery.scanned, recovery.replayed) == (5, 2)
