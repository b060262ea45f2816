"""Deliveries are listed newest event first, each once, whatever arrives or changes meanwhile."""

from __future__ import annotations

import msgspec
import pytest

from webhook.domain.ids import DeliveryRef
from webhook.domain.model import (
    Delivery,
    DeliveryStatus,
    ErrorKind,
)
from webhook.ports import NO_FIRST_ATTEMPTS, DeliveryQuery, WebhookPersistence

from .builders import (
    FAILED,
    LEASE_MS,
    SENT,
    T0,
    add,
    add_one,
    claim,
    claim_all,
    emit,
    emit_mixed,
    exhausted,
    failed,
    gone,
    list_deliveries,
    list_refs,
    new_endpoint,
    new_event,
    new_events,
    new_key,
    pages,
    settle,
    succeeded,
)
from .stores import Maker, opened

LIMITS = (7, 50, 120, 250)


async def _settle_in_turn(store: WebhookPersistence) -> list[Delivery]:
    """Claim all and bring every fifth delivery to the same end; return them, oldest first.

    The ends are success, retry, exhausted (two kinds), and none, which stays leased.
    """
    claimed = await claim_all(store, T0)
    deliveries = sorted((each.delivery for each in claimed), key=lambda each: each.key)
    ends = (
        succeeded,
        failed,
        lambda each: exhausted(each, error_kind=ErrorKind.DNS),
        lambda each: exhausted(each, error_kind=ErrorKind.TLS),
    )
    for start in range(0, len(deliveries), 100):
        settlements = [
            ends[place % 5](delivery)
            for place, delivery in enumerate(deliveries[start : start + 100], start)
            if place % 5 < len(ends)
        ]
        await settle(store, *settlements)
    return deliveries


def _newest_first(refs: list[DeliveryRef]) -> list[DeliveryRef]:
    return sorted(refs, key=lambda ref: ref.key, reverse=True)


@pytest.mark.parametrize("limit", LIMITS)
async def test_deliveries_are_listed_newest_event_first_from_page_to_page(
    maker: Maker, limit: int
) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        theirs = await add_one(store, tenant="acme")
        events = await emit_mixed(store)
        found = await list_deliveries(store, limit=limit)
        assert [each.ref for each in found] == [
            DeliveryRef(endpoint.id, event.key) for event in reversed(events)
        ]
        found = await list_deliveries(store, limit=limit, tenant="acme")
        assert {each.endpoint_id for each in found} == {theirs.id}
        assert len(found) == len(events)


@pytest.mark.parametrize("limit", [1, 4, 50])
async def test_pages_may_end_amid_the_deliveries_of_one_event(maker: Maker, limit: int) -> None:
    async with opened(maker) as store:
        endpoints = [new_endpoint() for _ in range(7)]
        await add(store, *endpoints)
        events = new_events(5)
        # In no order that a list could count on.
        targets = [endpoints[index].id for index in (4, 0, 6, 2, 5, 1, 3)]
        await store.delivery_store.accept(events, NO_FIRST_ATTEMPTS, T0, [targets] * 5)
        found = [each.ref for each in await list_deliveries(store, limit=limit)]
        assert [ref.key for ref in found] == [
            event.key for event in reversed(events) for _ in endpoints
        ]
        assert sorted(found) == sorted(
            DeliveryRef(endpoint.id, event.key) for endpoint in endpoints for event in events
        )


async def test_deliveries_are_listed_as_they_are_read(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(10))
        await _settle_in_turn(store)
        for found in (
            await list_deliveries(store, limit=4),
            await list_deliveries(store, limit=4, endpoint_id=endpoint.id),
            await list_deliveries(store, limit=4, status=DeliveryStatus.EXHAUSTED),
        ):
            assert found
            for delivery in found:
                assert await store.delivery_store.get_delivery(None, delivery.ref) == delivery


@pytest.mark.parametrize("limit", LIMITS)
async def test_deliveries_are_listed_by_status(maker: Maker, limit: int) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit_mixed(store)
        refs = [each.ref for each in await _settle_in_turn(store)]
        expected = {
            DeliveryStatus.SUCCESS: refs[::5],
            DeliveryStatus.PENDING: refs[1::5] + refs[4::5],
            DeliveryStatus.EXHAUSTED: refs[2::5] + refs[3::5],
            DeliveryStatus.FAILED: [],
            DeliveryStatus.CANCELED: [],
        }
        for status, of_status in expected.items():
            found = await list_deliveries(store, limit=limit, status=status)
            assert [each.ref for each in found] == _newest_first(of_status)


async def test_failed_deliveries_are_listed_apart_from_exhausted_ones(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, *new_events(4))
        deliveries = [each.delivery for each in (await claim(store)).claimed]
        await settle(store, gone(deliveries[0]), gone(deliveries[1]), exhausted(deliveries[2]))
        refs = [each.ref for each in deliveries]
        found = await list_deliveries(store, limit=1, status=DeliveryStatus.FAILED)
        assert [each.ref for each in found] == [refs[1], refs[0]]
        found = await list_deliveries(store, limit=1, status=DeliveryStatus.EXHAUSTED)
        assert [each.ref for each in found] == [refs[2]]


async def test_deliveries_are_listed_by_the_error_of_their_last_attempt(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, *new_events(20))
        refs = [each.ref for each in await _settle_in_turn(store)]
        # The retries succeed: what failed before is not the last attempt any more.
        again = await claim_all(store, T0 + LEASE_MS - 1)
        await settle(store, *(succeeded(each.delivery) for each in again[:2]))
        assert await list_refs(store, error_kind=ErrorKind.DNS) == _newest_first(refs[2::5])
        assert await list_refs(store, error_kind=ErrorKind.TLS) == _newest_first(refs[3::5])
        assert await list_refs(store, error_kind=ErrorKind.TIMEOUT) == _newest_first(
            [each.delivery.ref for each in again[2:]]
        )
        assert await list_refs(store, error_kind=ErrorKind.RESET) == []
        assert await list_refs(
            store, error_kind=ErrorKind.DNS, status=DeliveryStatus.EXHAUSTED
        ) == _newest_first(refs[2::5])
        assert await list_refs(store, error_kind=ErrorKind.DNS, status=DeliveryStatus.PENDING) == []


async def test_an_interruption_is_a_last_attempt_too(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, new_event())
        await claim(store, T0)
        await claim(store, T0 + LEASE_MS)
        assert len(await list_deliveries(store, error_kind=ErrorKind.INTERRUPTED)) == 1


async def test_deliveries_are_listed_by_endpoint(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoints = [await add_one(store), await add_one(store), await add_one(store, SENT)]
        theirs = await add_one(store, tenant="acme")
        events = await emit_mixed(store)

        for endpoint in endpoints[:2]:
            assert await list_refs(store, endpoint_id=endpoint.id) == [
                DeliveryRef(endpoint.id, event.key) for event in reversed(events)
            ]
        assert len(await list_refs(store, endpoint_id=endpoints[2].id)) == 60
        assert len(await list_refs(store, tenant="acme", endpoint_id=theirs.id)) == 120
        assert await list_refs(store, endpoint_id=theirs.id) == []
        assert await list_refs(store, tenant="acme", endpoint_id=endpoints[0].id) == []
        assert await list_refs(store, endpoint_id=f"ep_{new_key()}") == []


async def test_deliveries_are_listed_by_event(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoints = [new_endpoint() for _ in range(5)]
        await add(store, *endpoints, new_endpoint(tenant="acme"))
        events = [*new_events(3), new_event(tenant="acme")]
        await emit(store, *events)
        found = [
            each.ref for each in await list_deliveries(store, limit=2, event_key=events[1].key)
        ]
        assert sorted(found) == sorted(DeliveryRef(each.id, events[1].key) for each in endpoints)
        found = [
            each.ref
            for each in await list_deliveries(
                store, event_key=events[1].key, endpoint_id=endpoints[3].id
            )
        ]
        assert found == [DeliveryRef(endpoints[3].id, events[1].key)]
        assert await list_deliveries(store, event_key=events[3].key) == []
        assert await list_deliveries(store, event_key=new_key()) == []
        assert len(await list_deliveries(store, tenant="acme", event_key=events[3].key)) == 1
        pending = await list_deliveries(
            store, event_key=events[1].key, status=DeliveryStatus.PENDING, event_type=SENT
        )
        assert len(pending) == 5
        assert await list_deliveries(store, event_key=events[1].key, event_type=FAILED) == []
        for since, until, count in ((T0 + 1, T0 + 2, 5), (None, T0 + 1, 0), (T0 + 2, None, 0)):
            found = await list_refs(store, event_key=events[1].key, since=since, until=until)
            assert len(found) == count


async def test_deliveries_are_listed_by_type(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        events = reversed(await emit_mixed(store))
        sent = [DeliveryRef(endpoint.id, event.key) for event in events if event.type == SENT]
        for endpoint_id in (None, endpoint.id):
            assert await list_refs(store, event_type=SENT, endpoint_id=endpoint_id) == sent
            assert await list_refs(store, event_type="message", endpoint_id=endpoint_id) == []


async def test_deliveries_are_listed_by_time(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        events = list(reversed(await emit_mixed(store)))
        refs = [DeliveryRef(endpoint.id, event.key) for event in events]
        # The newest is 119 ms after the first; since is inclusive, until is not.
        for since, until, expected in (
            (T0 + 100, None, refs[:20]),
            (None, T0 + 100, refs[20:]),
            (T0 + 30, T0 + 40, refs[80:90]),
            (T0 + 40, T0 + 40, []),
            (T0 + 999, None, []),
        ):
            for endpoint_id in (None, endpoint.id):
                found = await list_refs(store, since=since, until=until, endpoint_id=endpoint_id)
                assert found == expected
        sent = [ref for ref, event in zip(refs, events, strict=True) if event.type == SENT]
        found = await list_refs(store, since=T0 + 30, until=T0 + 40, event_type=SENT)
        assert found == [ref for ref in refs[80:90] if ref in sent]


async def test_dead_letters_are_listed_by_endpoint_type_and_time(maker: Maker) -> None:
    async with opened(maker) as store:
        first, second = await add_one(store, SENT), await add_one(store)
        await emit_mixed(store, 40)
        claimed = await claim_all(store, T0)
        mine = [each.delivery for each in claimed if each.delivery.tenant == "default"]
        assert len(mine) == 60
        await settle(store, *(exhausted(each) for each in mine))
        every = T0 + 1_000
        for endpoint_id, event_type, until in (
            (None, None, every),
            (first.id, None, every),
            (second.id, FAILED, every),
            (None, None, T0 + 11),
            (second.id, SENT, T0 + 11),
        ):
            found = await list_refs(
                store,
                status=DeliveryStatus.EXHAUSTED,
                endpoint_id=endpoint_id,
                event_type=event_type,
                until=until,
            )
            assert sorted(found) == sorted(
                each.ref
                for each in mine
                if endpoint_id in (None, each.endpoint_id)
                and event_type in (None, each.event_type)
                and each.created_at < until
            )


async def test_the_next_page_of_deliveries_is_not_moved_by_new_ones(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        await add_one(store)
        events = new_events(30)
        await emit(store, *events[:20])
        for endpoint_id, per_event in ((None, 2), (endpoint.id, 1)):
            query = DeliveryQuery(
                tenant="default", limit=7, until=T0 + 500, endpoint_id=endpoint_id
            )
            page = await store.delivery_store.list_deliveries(query)
            before = {each.key for each in page.items}
            await emit(store, *new_events(5, at=T0 + 100))
            rest = await pages(
                store.delivery_store.list_deliveries,
                msgspec.structs.replace(query, after=page.after),
            )
            keys = [each.key for each in page.items + rest]
            assert max(each.key for each in rest) <= max(before)
            assert keys == sorted(keys, reverse=True)
            refs = [each.ref for each in page.items + rest]
            assert len(refs) == len(set(refs))
            assert len([key for key in keys if key <= events[19].key]) == 20 * per_event


async def test_a_delivery_that_changes_meanwhile_is_listed_no_second_time(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, *new_events(10))
        query = DeliveryQuery(tenant="default", limit=4)
        page = await store.delivery_store.list_deliveries(query)
        await _settle_in_turn(store)
        rest = await pages(
            store.delivery_store.list_deliveries,
            DeliveryQuery(tenant="default", limit=4, after=page.after),
        )
        assert len({each.ref for each in page.items + rest}) == len(page.items + rest) == 10


async def test_what_waits_for_a_removed_endpoint_is_listed_as_canceled(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(10))
        refs = [each.ref for each in await _settle_in_turn(store)]
        await store.endpoint_store.remove(None, endpoint.id, T0)

        expected = {
            DeliveryStatus.PENDING: [],
            DeliveryStatus.CANCELED: refs[1::5] + refs[4::5],
            DeliveryStatus.SUCCESS: refs[::5],
        }
        for status, of_status in expected.items():
            for endpoint_id in (None, endpoint.id):
                found = await list_deliveries(
                    store, limit=3, status=status, endpoint_id=endpoint_id
                )
                assert [each.ref for each in found] == _newest_first(of_status)
                assert {each.status for each in found} <= {status}


async def test_a_delivery_is_not_read_through_another_tenant(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, tenant="acme")
        event = new_event(tenant="acme")
        await emit(store, event)
        ref = DeliveryRef(endpoint.id, event.key)
        assert await store.delivery_store.get_delivery("default", ref) is None
        found = await store.delivery_store.get_delivery("acme", ref)
        assert found is not None
        assert found == await store.delivery_store.get_delivery(None, ref)
        assert await list_deliveries(store) == []
