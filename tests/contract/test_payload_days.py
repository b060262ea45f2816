"""Payloads may be kept for less long than their events; the sweep erases them in bounded pieces."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from webhook.domain.errors import Conflict
from webhook.domain.ids import DeliveryRef
from webhook.ports import EventQuery, SweepReport, WebhookPersistence

from .builders import (
    DAY_MS,
    LEASE_MS,
    T0,
    add,
    add_one,
    add_with_events,
    claim,
    claim_all,
    emit,
    failed,
    finish,
    new_endpoint,
    new_event,
    new_events,
    pages,
    read,
    settle,
    succeeded,
    sweep_all,
    with_attempt,
)
from .stores import Maker, opened
from .test_ordering_stop import stopped

LATER = T0 + 30 * DAY_MS


async def _kept(store: WebhookPersistence, tenant: str = "default") -> list[str]:
    """Return the keys of the events that have their payloads, oldest first."""
    found = await pages(store.delivery_store.list_events, EventQuery(tenant=tenant, limit=50))
    return [event.key for event in reversed(found) if not event.payload_erased]


async def _sweep(store: WebhookPersistence, before: int, limit: int = 100) -> SweepReport:
    return await store.delivery_store.sweep(LATER, 0, limit, payloads_before=before)


async def test_old_payloads_go_and_the_rows_stay(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        events = [*new_events(3), new_event(id="order-1", at=T0 + 3)]
        await emit(store, *events)
        said = []
        for each in (await claim(store)).claimed:
            settlement = succeeded(each.delivery)
            assert settlement.attempt is not None
            answered = msgspec.structs.replace(settlement.attempt, response="they said hush")
            said.append(with_attempt(settlement, answered))
        await settle(store, *said)
        refs = [DeliveryRef(endpoint.id, event.key) for event in events]
        before = [await read(store, ref) for ref in refs]
        report = await _sweep(store, T0 + 2)
        assert (report.payloads_erased, report.events_removed, report.more) == (2, 0, False)
        assert await _kept(store) == [event.key for event in events[2:]]
        for ref, was in zip(refs[:2], before[:2], strict=True):
            attempts = tuple(msgspec.structs.replace(one, response=None) for one in was.attempts)
            assert await read(store, ref) == msgspec.structs.replace(
                was, attempts=attempts, payload_erased=True
            )
        assert [await read(store, ref) for ref in refs[2:]] == before[2:]
        with pytest.raises(Conflict, match="payload was erased"):
            await store.delivery_store.replay(None, refs[0], LATER)
        # A name is answered as the first time all the same.
        assert (await _sweep(store, LATER)).payloads_erased == 2
        again = await emit(store, new_event(id="order-1", at=LATER))
        assert [(e.key, e.duplicate) for e in again.events] == [(events[3].key, True)]


async def test_nothing_goes_unless_it_is_asked_for(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 3)
        await settle(store, *(succeeded(each.delivery) for each in await claim_all(store, T0)))
        await sweep_all(store, LATER)
        assert len(await _kept(store)) == 3


async def test_what_is_pending_keeps_its_payload_until_it_has_ended(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoints = [await add_one(store), await add_one(store)]
        events = new_events(3)
        await emit(store, *events)
        of_first = [
            each.delivery
            for each in (await claim(store)).claimed
            if each.delivery.endpoint_id == endpoints[0].id
        ]
        # Of each event one delivery is leased; the other has ended, is scheduled, is leased.
        await settle(store, succeeded(of_first[0]), failed(of_first[1]))
        keys = [event.key for event in events]
        assert (await _sweep(store, LATER)).payloads_erased == 0
        assert await _kept(store) == keys
        # Whatever is claimed still has its payload.
        again = (await claim(store, T0 + LEASE_MS)).claimed
        payloads = {event.key: event.payload for event in events}
        assert {one.delivery.ref.key: one.payload for one in again} == payloads
        ended = [each.delivery for each in again if each.delivery.ref.key == keys[1]]
        await settle(store, *(succeeded(each, T0 + LEASE_MS) for each in ended))
        assert (await _sweep(store, LATER)).payloads_erased == 1
        assert await _kept(store) == [keys[0], keys[2]]
        # Once it is to be kept for longer, what was held is kept for as long too.
        rest = [each.delivery for each in again if each.delivery.ref.key != keys[1]]
        await settle(store, *(succeeded(each, T0 + LEASE_MS) for each in rest))
        assert (await _sweep(store, T0 + 1)).payloads_erased == 1
        assert await _kept(store) == [keys[2]]
        assert (await _sweep(store, LATER)).payloads_erased == 1
        assert (await _sweep(store, LATER)).payloads_erased == 0


async def test_a_dead_letter_that_stops_its_key_keeps_its_payload(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await stopped(store)
        await sweep_all(store, T0, payloads_before=LATER)
        assert refs[0].key in await _kept(store)
        assert await store.delivery_store.replay(None, refs[0], LATER) is not None


async def test_a_replay_before_its_payload_goes_keeps_it(maker: Maker) -> None:
    async with opened(maker) as store:
        _, [ref] = await add_with_events(store, 1)
        await finish(store, ref)
        assert await store.delivery_store.replay(None, ref, T0) is not None
        assert (await _sweep(store, LATER)).payloads_erased == 0
        [claimed] = (await claim(store, T0)).claimed
        assert claimed.payload != ""


async def test_it_is_done_in_bounded_pieces(maker: Maker) -> None:
    async with opened(maker) as store:
        await add(store, new_endpoint(), new_endpoint(tenant="acme"))
        mine, theirs = new_events(45), new_events(20, tenant="acme")
        await emit(store, *mine, *theirs)
        claimed = await claim_all(store, T0)
        waits = {each.delivery.ref.key for each in claimed[::3]}
        held = [each.delivery for each in claimed if each.delivery.ref.key in waits]
        await settle(
            store,
            *(succeeded(each.delivery) for each in claimed if each.delivery.ref.key not in waits),
        )

        async def all_pieces() -> int:
            erased = 0
            for _ in range(100):
                report = await _sweep(store, LATER, 10)
                assert report.payloads_erased <= 10
                erased += report.payloads_erased
                if not report.more:
                    return erased
            raise AssertionError("The sweep comes to no end.")

        assert await all_pieces() == 65 - len(waits)
        assert {*await _kept(store), *await _kept(store, "acme")} == waits
        await settle(store, *(succeeded(each) for each in held))
        assert await all_pieces() == len(waits)
        assert await _kept(store) == await _kept(store, "acme") == []
        # New ones come behind the horizon.
        young = new_event(at=LATER)
        await emit(store, young, now=LATER)
        for each in (await claim(store, LATER)).claimed:
            await settle(store, succeeded(each.delivery, LATER))
        assert await all_pieces() == 0
        assert await _kept(store) == [young.key]


async def test_more_of_them_held_than_a_piece_looks_at_hold_up_no_others(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        for place in range(0, 1_100, 100):
            await emit(store, *new_events(100, at=T0 + 1 + place))
        await sweep_all(store, T0, payloads_before=LATER, limit=500)
        last = new_event(at=T0 + 2_000)
        await emit(store, last)
        await sweep_all(store, T0, payloads_before=LATER, limit=500)
        await store.delivery_store.cancel(None, DeliveryRef(refs[0].endpoint_id, last.key), T0, "x")
        await sweep_all(store, T0, payloads_before=LATER, limit=500)
        event = await store.delivery_store.get_event("default", f"evt_{last.key}")
        assert event is not None
        assert event.payload_erased


async def test_sweeps_side_by_side_do_each_thing_once(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, *new_events(50))
        for each in await claim_all(store, T0):
            await settle(store, succeeded(each.delivery))
        reports = await asyncio.gather(*(_sweep(store, LATER, 20) for _ in range(4)))
        assert sum(each.payloads_erased for each in reports) == 50
        assert await _kept(store) == []


async def test_retention_removes_what_is_left(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 4)
        first, *others = [each.delivery for each in await claim_all(store, T0)]
        await settle(store, succeeded(first))
        await sweep_all(store, T0, payloads_before=LATER)
        await settle(store, *(succeeded(each) for each in others))
        await sweep_all(store, LATER, before=LATER, payloads_before=LATER)
        assert (await store.delivery_store.list_events(EventQuery())).items == []
