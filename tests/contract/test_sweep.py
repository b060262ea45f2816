"""A sweep tidies in bounded pieces and never takes what is still to be delivered."""

from __future__ import annotations

import asyncio

from webhook.domain.ids import DeliveryRef
from webhook.domain.model import Delivery, DeliveryState
from webhook.ports import ENDPOINT_REMOVED, EventQuery, WebhookPersistence

from .builders import (
    DAY_MS,
    LEASE_MS,
    SENT,
    T0,
    add,
    add_one,
    add_with_events,
    claim,
    claim_all,
    emit,
    exhausted,
    failed,
    finish,
    list_deliveries,
    new_endpoint,
    new_event,
    new_events,
    pages,
    read,
    settle,
    states,
    succeeded,
    sweep_all,
)
from .stores import Maker, opened

LATER = T0 + 30 * DAY_MS


async def _keys(store: WebhookPersistence, tenant: str = "default") -> list[str]:
    query = EventQuery(tenant=tenant, limit=50)
    found = await pages(store.delivery_store.list_events, query)
    return [event.key for event in reversed(found)]


async def _succeed_all(store: WebhookPersistence) -> None:
    claimed = await claim_all(store, T0)
    for start in range(0, len(claimed), 100):
        await settle(store, *(succeeded(each.delivery) for each in claimed[start : start + 100]))


async def test_a_sweep_of_an_empty_store_does_nothing(maker: Maker) -> None:
    async with opened(maker) as store:
        report = await store.delivery_store.sweep(LATER, LATER, 100)
        assert (report.canceled, report.events_removed, report.deliveries_removed) == (0, 0, 0)
        assert report.more is False


async def test_old_events_go_with_their_deliveries(maker: Maker) -> None:
    async with opened(maker) as store:
        await add(store, new_endpoint(), new_endpoint())
        events = new_events(6)
        await emit(store, *events)
        await _succeed_all(store)
        report = await store.delivery_store.sweep(LATER, T0 + 4, 100)
        assert (report.events_removed, report.deliveries_removed) == (4, 8)
        assert await _keys(store) == [event.key for event in events[4:]]
        assert len(await list_deliveries(store)) == 4
        for event in events[:4]:
            assert await store.delivery_store.get_event("default", f"evt_{event.key}") is None
            assert await list_deliveries(store, event_key=event.key) == []


async def test_an_event_goes_only_when_it_was_accepted_before_the_bound(maker: Maker) -> None:
    async with opened(maker) as store:
        event = new_event(at=T0)
        await emit(store, event)
        await sweep_all(store, LATER, before=T0)
        assert await _keys(store) == [event.key]
        await sweep_all(store, LATER, before=T0 + 1)
        assert await _keys(store) == []


async def test_events_that_reached_nobody_go_too(maker: Maker) -> None:
    async with opened(maker) as store:
        await emit(store, *new_events(3), new_event(tenant="acme"))
        report = await store.delivery_store.sweep(LATER, LATER, 100)
        assert (report.events_removed, report.deliveries_removed) == (4, 0)
        assert await _keys(store) == []


async def test_an_event_with_a_pending_delivery_stays(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 4)
        claimed = [each.delivery for each in (await claim(store, limit=3)).claimed]
        # Ended, scheduled, leased, ready: only the first may go.
        await settle(store, exhausted(claimed[0]), failed(claimed[1]))
        await sweep_all(store, T0, before=LATER)
        assert await _keys(store) == [ref.key for ref in refs[1:]]
        assert await states(store, *refs[1:]) == [
            DeliveryState.SCHEDULED,
            DeliveryState.LEASED,
            DeliveryState.READY,
        ]


async def test_an_event_stays_whole_until_the_last_of_its_deliveries_has_ended(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        endpoints = [await add_one(store), await add_one(store)]
        event = new_event(id="a")
        await emit(store, event)
        refs = sorted(DeliveryRef(endpoint.id, event.key) for endpoint in endpoints)
        claimed = (await claim(store)).claimed
        await settle(store, succeeded(claimed[0].delivery))
        await sweep_all(store, LATER, before=LATER)
        assert await store.delivery_store.get_event("default", "a") is not None
        assert (await emit(store, new_event(id="a"))).events[0].duplicate is True
        assert await states(store, *refs) == [DeliveryState.SUCCESS, DeliveryState.LEASED]
        await settle(store, succeeded(claimed[1].delivery))
        await sweep_all(store, LATER, before=LATER)
        assert await store.delivery_store.get_event("default", "a") is None
        for ref in refs:
            assert await store.delivery_store.get_delivery(None, ref) is None


async def test_a_name_is_free_again_after_its_event_has_gone(maker: Maker) -> None:
    async with opened(maker) as store:
        old = [new_event(id="a"), new_event(idempotency_key="b")]
        kept = new_event(id="c", at=T0 + 10)
        await emit(store, *old, kept)
        await sweep_all(store, LATER, before=T0 + 5)
        again = [
            new_event(id="a", data="other", at=LATER),
            new_event(idempotency_key="b", data="other", at=LATER),
            new_event(id="c", at=LATER),
        ]
        result = await emit(store, *again, now=LATER)
        assert [each.duplicate for each in result.events] == [False, False, True]
        assert result.events[2].key == kept.key


async def test_a_late_settle_of_a_removed_delivery_is_ignored(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        ended = await finish(store, refs[0])
        await sweep_all(store, LATER, before=LATER)
        assert await settle(store, succeeded(ended)) == []
        assert await store.delivery_store.replay(None, refs[0], LATER) is None
        assert await store.delivery_store.get_delivery(None, refs[0]) is None


async def test_a_sweep_is_done_in_bounded_pieces(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, *new_events(45), *new_events(20, tenant="acme"))
        await _succeed_all(store)
        removed = 0
        for _ in range(100):
            report = await store.delivery_store.sweep(LATER, LATER, 10)
            assert report.events_removed <= 10
            removed += report.events_removed
            if not report.more:
                break
        assert removed == 65
        assert await _keys(store) == await _keys(store, "acme") == []
        assert await list_deliveries(store) == []


async def test_old_pending_events_hold_up_no_others(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 30)
        younger = new_events(30, "other.type", at=T0 + 100, tenant="acme")
        younger += new_events(30, at=T0 + 200)
        await emit(store, *younger)
        assert endpoint.id
        claimed = await claim_all(store, T0)
        deliveries = [each.delivery for each in claimed]
        ended = [each for each in deliveries if each.ref not in refs]
        await settle(store, *(succeeded(each) for each in ended))
        await sweep_all(store, LATER, before=LATER, limit=10)
        assert await _keys(store) == [ref.key for ref in refs]
        assert await _keys(store, "acme") == []
        # Once they have ended, they go as well.
        await settle(store, *(succeeded(each) for each in deliveries if each.ref in refs))
        await sweep_all(store, LATER, before=LATER, limit=10)
        assert await _keys(store) == []


async def test_more_old_pending_events_than_a_piece_looks_at_hold_up_no_others(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        await add_one(store, SENT)
        pending = new_events(2_100)
        for start in range(0, len(pending), 100):
            await emit(store, *pending[start : start + 100])
        ended = new_events(15, "nobody.wants.it", at=T0 + 3_000)
        others = new_events(15, "nobody.wants.it", tenant="zulu")
        await emit(store, *ended, *others)
        assert await sweep_all(store, LATER, before=LATER, limit=10) < 20
        assert await _keys(store, "zulu") == []
        assert await _keys(store) == [event.key for event in pending]


async def test_sweeps_side_by_side_do_each_thing_once(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, *new_events(50))
        await _succeed_all(store)
        reports = await asyncio.gather(
            *(store.delivery_store.sweep(LATER, LATER, 20) for _ in range(4))
        )
        assert sum(each.events_removed for each in reports) == 50
        assert sum(each.deliveries_removed for each in reports) == 50


async def test_a_sweep_leaves_pending_deliveries_of_live_endpoints(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 3)
        await sweep_all(store, LATER)
        assert await states(store, *refs) == [DeliveryState.READY] * 3


async def test_what_waits_for_a_removed_endpoint_is_canceled_in_pieces(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await add_with_events(store, 45)
        other = await add_one(store)
        later_event = new_event(at=T0 + 100)
        await emit(store, later_event)
        await store.endpoint_store.remove(None, endpoint.id, T0 + 9)
        canceled = 0
        for _ in range(100):
            report = await store.delivery_store.sweep(LATER, 0, 10)
            assert report.canceled <= 10
            canceled += report.canceled
            if not report.more:
                break
        # With the event that reached both endpoints.
        assert canceled == 46
        for delivery in await list_deliveries(store, endpoint_id=endpoint.id):
            assert (delivery.state, delivery.reason) == (DeliveryState.CANCELED, ENDPOINT_REMOVED)
            assert (delivery.completed_at, delivery.due_at) == (T0 + 9, None)
        assert await states(store, DeliveryRef(other.id, later_event.key)) == [DeliveryState.READY]
        assert (await store.delivery_store.sweep(LATER, 0, 10)).canceled == 0
        assert len(refs) == 45


async def test_a_removal_reads_the_same_before_and_after_the_sweep(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await add_with_events(store, 4)
        claimed = [each.delivery for each in (await claim(store, limit=3)).claimed]
        await settle(store, succeeded(claimed[0]), failed(claimed[1]))
        await store.endpoint_store.remove(None, endpoint.id, T0 + 77)

        async def seen() -> list[Delivery]:
            return [await read(store, ref) for ref in refs]

        before = await seen()
        assert [each.state for each in before] == [
            DeliveryState.SUCCESS,
            *[DeliveryState.CANCELED] * 3,
        ]
        for delivery in before[1:]:
            assert (delivery.reason, delivery.completed_at) == (ENDPOINT_REMOVED, T0 + 77)
            assert delivery.due_at is None
        await sweep_all(store, LATER)
        assert await seen() == before


async def test_events_of_a_removed_endpoint_go_like_others(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await add_with_events(store, 25)
        claimed = [each.delivery for each in (await claim(store, limit=10)).claimed]
        await settle(store, *(failed(each) for each in claimed[:5]))
        await store.endpoint_store.remove(None, endpoint.id, T0)
        # What is scheduled or leased may be left until it is due, and a claim has seen that.
        await claim_all(store, T0 + LEASE_MS)
        await sweep_all(store, LATER, before=LATER, limit=10)
        assert await _keys(store) == []
        for ref in refs:
            assert await store.delivery_store.get_delivery(None, ref) is None
