"""An accept stores events and their deliveries, all or nothing, and a name only once."""

from __future__ import annotations

import msgspec

from webhook.domain.ids import DeliveryRef
from webhook.domain.model import Delivery, DeliveryState, DeliveryStatus, EndpointStatus, NewEvent
from webhook.ports import (
    ENDPOINT_REMOVED,
    NO_FIRST_ATTEMPTS,
    AcceptedEvent,
    EventQuery,
    WebhookPersistence,
)

from .builders import (
    FAILED,
    SENT,
    T0,
    add,
    add_one,
    changed,
    claim,
    claim_all,
    emit,
    finish,
    first_attempts,
    list_deliveries,
    new_endpoint,
    new_event,
    new_events,
    pages,
    read,
    refs_of,
    sweep_all,
)
from .stores import Maker, opened


async def _keys(store: WebhookPersistence, tenant: str = "default") -> list[str]:
    query = EventQuery(tenant=tenant, limit=50)
    return [event.key for event in await pages(store.delivery_store.list_events, query)]


def _accepted(event: NewEvent, delivery_count: int, *, duplicate: bool = False) -> AcceptedEvent:
    return AcceptedEvent(
        key=event.key,
        id=event.id or f"evt_{event.key}",
        delivery_count=delivery_count,
        duplicate=duplicate,
    )


async def test_an_accepted_event_is_read_as_it_was_given(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoints = [await add_one(store, SENT), await add_one(store)]
        # What JSON and SQL like to change: escapes, quotes, big and small numbers, other planes.
        event = msgspec.structs.replace(
            new_event(SENT, at=T0 + 7),
            payload='{"a":"it\'s \\u00e9 é 🎉 \\" ","n":[1e400,-0.0,1234567890123456789], "b" : 1}',
        )
        await emit(store, event)
        found = await store.delivery_store.get_event("default", f"evt_{event.key}")
        assert found is not None
        assert (found.key, found.id) == (event.key, f"evt_{event.key}")
        assert (found.tenant, found.type, found.payload) == ("default", SENT, event.payload)
        assert found.accepted_at == T0 + 7
        assert sorted(found.endpoint_ids) == sorted(each.id for each in endpoints)


async def test_an_accept_makes_one_ready_delivery_per_matching_endpoint(maker: Maker) -> None:
    async with opened(maker) as store:
        matching = [await add_one(store, SENT), await add_one(store, "*", "message.*", SENT)]
        await add_one(store, FAILED)
        event = new_event(SENT)
        result = await emit(store, event)
        assert result.events == [_accepted(event, 2)]
        assert result.claimed == []
        assert result.waiting is True
        found = await list_deliveries(store)
        assert sorted(each.endpoint_id for each in found) == sorted(each.id for each in matching)
        for delivery in found:
            assert delivery == Delivery(
                endpoint_id=delivery.endpoint_id,
                key=event.key,
                tenant="default",
                event_id=f"evt_{event.key}",
                event_type=SENT,
                state=DeliveryState.READY,
                due_at=T0,
            )
            assert delivery.status is DeliveryStatus.PENDING
            assert await read(store, delivery.ref) == delivery


async def test_an_event_that_matches_nobody_is_kept(maker: Maker) -> None:
    async with opened(maker) as store:
        event = new_event()
        result = await emit(store, event)
        assert result.events == [_accepted(event, 0)]
        assert (result.claimed, result.waiting) == ([], False)
        assert await _keys(store) == [event.key]
        assert await list_deliveries(store) == []


async def test_an_accept_of_nothing_is_nothing(maker: Maker) -> None:
    async with opened(maker) as store:
        result = await emit(store)
        assert (result.events, result.claimed, result.waiting) == ([], [], False)


async def test_events_reach_only_endpoints_of_their_tenant(maker: Maker) -> None:
    async with opened(maker) as store:
        mine, theirs = await add_one(store), await add_one(store, tenant="acme")
        events = [new_event(), new_event(tenant="acme"), new_event(tenant="nobody")]
        result = await emit(store, *events)
        assert [each.delivery_count for each in result.events] == [1, 1, 0]
        assert [each.ref for each in await list_deliveries(store)] == [
            DeliveryRef(mine.id, events[0].key)
        ]
        assert [each.ref for each in await list_deliveries(store, tenant="acme")] == [
            DeliveryRef(theirs.id, events[1].key)
        ]


async def test_events_reach_only_active_endpoints(maker: Maker) -> None:
    async with opened(maker) as store:
        for status in EndpointStatus:
            await add_one(store, status=status)
        removed = await add_one(store)
        await store.endpoint_store.remove(None, removed.id, T0)
        result = await emit(store, new_event())
        assert result.events[0].delivery_count == 1


async def test_events_reach_an_endpoint_only_if_its_filters_match(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, filters={"provider": ("a", 1), "region": ("eu",)})
        await add_one(store, filters={"provider": ()})
        matching = [
            new_event(metadata={"provider": "a", "region": "eu"}),
            new_event(metadata={"provider": [1.0, "z"], "region": ["us", "eu"]}),
        ]
        others = [
            new_event(metadata={"provider": "1", "region": "eu"}),
            new_event(metadata={"provider": "a"}),
            new_event(),
        ]
        result = await emit(store, *others, *matching)
        assert [each.delivery_count for each in result.events] == [0, 0, 0, 1, 1]
        found = await list_deliveries(store)
        assert sorted(each.ref for each in found) == sorted(
            DeliveryRef(endpoint.id, event.key) for event in matching
        )


async def test_an_event_is_got_by_its_callers_id_or_by_ours(maker: Maker) -> None:
    async with opened(maker) as store:
        named, unnamed = new_event(id="order:1-a"), new_event()
        keyed = new_event(idempotency_key="abc")
        await emit(store, named, unnamed, keyed)
        for event_id, event in (
            ("order:1-a", named),
            (f"evt_{unnamed.key}", unnamed),
            (f"evt_{keyed.key}", keyed),
        ):
            found = await store.delivery_store.get_event("default", event_id)
            assert found is not None
            assert (found.id, found.key) == (event_id, event.key)
            assert await store.delivery_store.get_event("acme", event_id) is None
        for event_id in ("abc", "order:1", "", f"evt_{named.key}", f"evt_{new_event().key}"):
            assert await store.delivery_store.get_event("default", event_id) is None


async def test_a_callers_id_may_look_like_ours(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        event = new_event(id=f"evt_{new_event().key}")
        await emit(store, event)
        found = await store.delivery_store.get_event("default", event.id or "")
        assert found is not None
        assert (found.id, found.key) == (event.id, event.key)
        [delivery] = await list_deliveries(store)
        assert delivery.event_id == event.id


async def test_repeating_a_call_stores_nothing_twice_and_is_no_duplicate(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        call = [
            new_event(id="a"),
            new_event(),
            new_event(id="a"),
            new_event(idempotency_key="b", data=1),
        ]
        first = await emit(store, *call)
        again = await emit(store, *call, now=T0 + 100)
        assert again.events == first.events
        assert [each.duplicate for each in again.events] == [False, False, True, False]
        assert again.waiting is True
        assert len(await _keys(store)) == 3
        found = await list_deliveries(store)
        assert [(each.state, each.due_at) for each in found] == [(DeliveryState.READY, T0)] * 3


async def test_repeating_a_call_returns_the_first_answer_whatever_has_happened_since(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        event = new_event()
        first = await emit(store, event)
        await add_one(store)
        done = await finish(store, DeliveryRef(endpoint.id, event.key))
        again = await emit(store, event, first=first_attempts(10), now=T0 + 100)
        assert again.events == first.events
        assert again.claimed == []
        assert await list_deliveries(store) == [done]


async def test_given_targets_are_taken_as_they_are(maker: Maker) -> None:
    async with opened(maker) as store:
        matching, other = await add_one(store, SENT), await add_one(store, FAILED)
        events = [new_event(SENT), new_event(SENT), new_event(SENT)]
        result = await store.delivery_store.accept(
            events, NO_FIRST_ATTEMPTS, T0, [[other.id, other.id], [], [matching.id, other.id]]
        )
        assert [each.delivery_count for each in result.events] == [1, 0, 2]
        found = [(each.endpoint_id, each.key) for each in await list_deliveries(store)]
        assert sorted(found) == sorted(
            [
                (other.id, events[0].key),
                (matching.id, events[2].key),
                (other.id, events[2].key),
            ]
        )


async def test_a_given_target_that_was_removed_meanwhile_reads_as_canceled(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await store.endpoint_store.remove(None, endpoint.id, T0)
        event = new_event()
        result = await store.delivery_store.accept(
            [event], first_attempts(1), T0 + 1, [[endpoint.id]]
        )
        assert (result.events, result.claimed) == ([_accepted(event, 1)], [])
        [before] = await list_deliveries(store)
        assert (before.state, before.reason) == (DeliveryState.CANCELED, ENDPOINT_REMOVED)
        assert (await claim(store)).claimed == []
        await sweep_all(store, T0 + 1)
        assert await list_deliveries(store) == [before]
        assert (await store.delivery_store.sweep(T0 + 1, T0 + 1, 10)).events_removed == 1


async def test_a_changed_subscription_cancels_nothing_that_is_pending(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, SENT)
        event = new_event(SENT)
        await emit(store, event)
        await store.endpoint_store.update(
            changed(endpoint, event_types=(FAILED,), filters={"a": ("b",)})
        )
        claimed = await claim_all(store, T0)
        assert refs_of(claimed) == [DeliveryRef(endpoint.id, event.key)]


async def test_a_hundred_events_to_several_endpoints_are_one_accept(maker: Maker) -> None:
    async with opened(maker) as store:
        await add(store, *[new_endpoint() for _ in range(5)], *[new_endpoint(FAILED)])
        events = new_events(100)
        result = await emit(store, *events, first=first_attempts(7))
        assert result.events == [_accepted(event, 5) for event in events]
        assert len(result.claimed) == 7
        assert len(await list_deliveries(store, limit=250)) == 500


async def test_the_largest_payload_is_kept(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        events = [new_event(data="é" * 120_000) for _ in range(4)]
        await emit(store, *events)
        found = await claim_all(store, T0)
        assert sorted(each.payload for each in found) == sorted(each.payload for each in events)
