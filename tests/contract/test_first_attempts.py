"""An accept may lease its first deliveries to the caller, who sends them at once."""

from __future__ import annotations

from collections import Counter

from webhook.domain.ids import DeliveryRef
from webhook.domain.model import DeliveryState, EndpointStatus

from .builders import (
    LEASE_MS,
    SENT,
    T0,
    add,
    add_one,
    claim,
    emit,
    first_attempts,
    new_endpoint,
    new_event,
    new_events,
    read,
    refs_of,
    settle,
    succeeded,
)
from .stores import Maker, opened


async def test_first_attempts_come_back_leased(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        event = new_event()
        result = await emit(store, event, first=first_attempts(5))
        [claimed] = result.claimed
        assert claimed.payload == event.payload
        assert claimed.lease_left_ms == LEASE_MS
        assert claimed.endpoint == (endpoint if store.joint else None)
        delivery = claimed.delivery
        assert (delivery.ref, delivery.state) == (
            DeliveryRef(endpoint.id, event.key),
            DeliveryState.LEASED,
        )
        assert (delivery.claim, delivery.attempts_made, delivery.run_start) == (0, 0, 0)
        assert (delivery.tenant, delivery.event_id) == ("default", f"evt_{event.key}")
        assert delivery.event_type == SENT
        assert result.waiting is False
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.claim) == (DeliveryState.LEASED, 0)
        assert stored.due_at == T0 + LEASE_MS
        assert (await claim(store, T0)).claimed == []


async def test_first_attempts_are_limited_to_the_first_deliveries(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        events = new_events(5)
        result = await emit(store, *events, first=first_attempts(3))
        refs = [DeliveryRef(endpoint.id, event.key) for event in events]
        assert refs_of(result.claimed) == refs[:3]
        assert result.waiting is True
        assert refs_of((await claim(store, T0)).claimed) == refs[3:]


async def test_first_attempts_over_several_endpoints_stay_within_their_limit(maker: Maker) -> None:
    async with opened(maker) as store:
        await add(store, *[new_endpoint() for _ in range(4)])
        events = new_events(2)
        result = await emit(store, *events, first=first_attempts(6))
        assert len(result.claimed) == 6
        counts = Counter(each.delivery.key for each in result.claimed)
        assert counts == {events[0].key: 4, events[1].key: 2}
        rest = refs_of((await claim(store, T0)).claimed)
        assert len(rest) == 2
        assert not set(rest) & set(refs_of(result.claimed))


async def test_endpoints_of_a_long_timeout_get_no_first_attempt(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        slow = await add_one(store, timeout_ms=20_001)
        at_bound = await add_one(store, timeout_ms=20_000)
        by_default = await add_one(store)
        event = new_event()
        result = await emit(store, event, first=first_attempts(10, timeout_ms_max=20_000))
        leased = sorted(each.delivery.endpoint_id for each in result.claimed)
        assert leased == sorted([at_bound.id, by_default.id])
        assert result.waiting is True
        [rest] = (await claim(store, T0)).claimed
        assert rest.delivery.endpoint_id == slow.id


async def test_the_services_timeout_counts_for_endpoints_without_one(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        quick = await add_one(store, timeout_ms=1_000)
        await add_one(store)
        result = await emit(store, new_event(), first=first_attempts(1, timeout_ms_max=14_999))
        # The slow ones use up nothing of the limit.
        assert [each.delivery.endpoint_id for each in result.claimed] == [quick.id]


async def test_repeating_a_call_returns_what_is_still_leased_to_the_caller(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        events = new_events(3)
        first = await emit(store, *events, first=first_attempts(2))
        again = await emit(store, *events, first=first_attempts(2), now=T0 + 100)
        assert again.events == first.events
        assert refs_of(again.claimed) == refs_of(first.claimed)
        assert [each.delivery.claim for each in again.claimed] == [0, 0]
        assert [each.lease_left_ms for each in again.claimed] == [LEASE_MS - 100] * 2
        assert [each.payload for each in again.claimed] == [each.payload for each in first.claimed]
        assert again.waiting is True
        await settle(store, succeeded(first.claimed[0].delivery))
        last = await emit(store, *events, first=first_attempts(2), now=T0 + 200)
        assert refs_of(last.claimed) == refs_of(first.claimed)[1:]


async def test_repeating_a_call_returns_no_lease_that_has_ended_or_was_taken_over(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        await add_one(store)
        event = new_event()
        await emit(store, event, first=first_attempts(1))
        end = T0 + LEASE_MS
        assert (await emit(store, event, first=first_attempts(1), now=end)).claimed == []
        assert [each.delivery.claim for each in (await claim(store, end)).claimed] == [1]
        assert (await emit(store, event, first=first_attempts(1), now=end)).claimed == []


async def test_repeating_a_call_returns_nothing_that_somebody_else_has_claimed(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        await add_one(store)
        events = new_events(2)
        first = await emit(store, *events, first=first_attempts(1))
        [taken] = (await claim(store, T0)).claimed
        again = await emit(store, *events, first=first_attempts(2), now=T0)
        assert refs_of(again.claimed) == refs_of(first.claimed)
        assert taken.delivery.ref not in refs_of(again.claimed)


async def test_repeating_a_call_after_a_removal_returns_the_lease_without_the_endpoint(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        event = new_event()
        first = await emit(store, event, first=first_attempts(1))
        await store.endpoint_store.remove(None, endpoint.id, T0)
        again = await emit(store, event, first=first_attempts(1))
        assert refs_of(again.claimed) == refs_of(first.claimed)
        assert [each.endpoint for each in again.claimed] == [None]


async def test_a_given_target_that_is_not_active_gets_no_first_attempt(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        active = await add_one(store)
        paused = await add_one(store, status=EndpointStatus.SUSPENDED)
        result = await store.delivery_store.accept(
            [new_event()], first_attempts(1), T0, [[paused.id, active.id]]
        )
        assert [each.delivery.endpoint_id for each in result.claimed] == [active.id]
        assert result.waiting is True
        assert (await claim(store)).claimed == []
