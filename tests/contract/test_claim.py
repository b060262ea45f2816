"""A claim leases what is due, at its very ms, to one claimer each, with all it takes to send."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from webhook.domain.ids import DeliveryRef
from webhook.domain.lifecycle import postpone, release
from webhook.domain.model import (
    Attempt,
    DeliveryState,
    EndpointStatus,
    ErrorKind,
)
from webhook.ports import CLAIM_DUE_MAX, INTERRUPTED, WebhookPersistence

from .builders import (
    LEASE_MS,
    SECOND_MS,
    T0,
    add,
    add_one,
    add_with_events,
    changed,
    claim,
    claim_all,
    claim_one,
    emit,
    failed,
    first_attempts,
    list_deliveries,
    new_endpoint,
    new_event,
    new_events,
    read,
    refs_of,
    settle,
    succeeded,
)
from .stores import Maker, opened


async def _add_many(store: WebhookPersistence, endpoints: int, events: int) -> list[str]:
    """Add endpoints for all events, emit some, and return the endpoints' ids."""
    added = [new_endpoint(at=T0 + index) for index in range(endpoints)]
    await add(store, *added)
    for event in new_events(events):
        await emit(store, event)
    return [endpoint.id for endpoint in added]


async def test_a_claim_of_an_empty_store_is_empty(maker: Maker) -> None:
    async with opened(maker) as store:
        found = await claim(store, start="anywhere")
        assert (found.claimed, found.more, found.next_due_at) == ([], False, None)


async def test_a_claim_gives_all_it_takes_to_send(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, headers={"x-key": "1"}, timeout_ms=4_000)
        event = new_event(id="order-1", data="é")
        await emit(store, event)
        found = await claim(store, T0 + 5)
        [claimed] = found.claimed
        assert claimed.payload == event.payload
        assert claimed.lease_left_ms == LEASE_MS
        assert claimed.endpoint == (endpoint if store.joint else None)
        delivery = claimed.delivery
        assert delivery.ref == DeliveryRef(endpoint.id, event.key)
        assert (delivery.tenant, delivery.event_id) == ("default", "order-1")
        assert (delivery.event_type, delivery.state) == (event.type, DeliveryState.LEASED)
        assert (delivery.claim, delivery.attempts_made) == (1, 0)
        assert (delivery.run_start, delivery.interruptions) == (0, 0)
        assert (found.more, found.next_due_at) == (False, T0 + 5 + LEASE_MS)
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.claim) == (DeliveryState.LEASED, 1)
        assert stored.due_at == T0 + 5 + LEASE_MS


async def test_a_claim_gives_the_endpoint_as_it_is_now(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, new_event())
        newer = changed(endpoint, url="https://moved.example/", updated_at=T0 + 1)
        await store.endpoint_store.update(newer)
        [claimed] = (await claim(store)).claimed
        assert claimed.endpoint == newer
        claimed.endpoint.headers["x-added"] = "1"
        assert await store.endpoint_store.get(None, endpoint.id) == newer


async def test_a_leased_delivery_is_given_to_nobody_else(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 3)
        assert len((await claim(store)).claimed) == 3
        found = await claim(store)
        assert (found.claimed, found.more) == ([], False)
        assert found.next_due_at == T0 + LEASE_MS


async def test_claimers_at_once_share_no_delivery(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 30)
        claims = await asyncio.gather(*(claim(store, limit=4) for _ in range(10)))
        found = [ref for each in claims for ref in refs_of(each.claimed)]
        assert sorted(found) == sorted(refs)


async def test_the_oldest_event_of_an_endpoint_comes_first(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        events = new_events(6)
        for event in (events[3], events[0], events[5], events[1], events[4], events[2]):
            await emit(store, event)
        refs = [DeliveryRef(endpoint.id, event.key) for event in events]
        assert refs_of((await claim(store, limit=4)).claimed) == refs[:4]
        assert refs_of((await claim(store, limit=4)).claimed) == refs[4:]


async def test_a_retry_is_due_at_its_very_ms(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        await settle(store, failed(delivery, T0 + 7, retry_in_ms=5 * SECOND_MS))
        due_at = T0 + 7 + 5 * SECOND_MS
        early = await claim(store, due_at - 1)
        assert (early.claimed, early.more, early.next_due_at) == ([], False, due_at)
        again = await claim_one(store, due_at)
        assert (again.ref, again.claim, again.attempts_made) == (delivery.ref, 2, 1)
        assert again.interruptions == 0


async def test_a_lease_ends_at_its_very_ms(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        end = T0 + LEASE_MS
        early = await claim(store, end - 1)
        assert (early.claimed, early.more, early.next_due_at) == ([], False, end)
        again = await claim_one(store, end)
        assert (again.ref, again.claim) == (delivery.ref, 2)
        assert (again.attempts_made, again.interruptions) == (0, 1)


async def test_a_first_attempts_lease_ends_at_its_very_ms(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        result = await emit(store, new_event(), first=first_attempts(1))
        end = T0 + LEASE_MS
        early = await claim(store, end - 1)
        assert (early.claimed, early.next_due_at) == ([], end)
        again = await claim_one(store, end)
        assert (again.ref, again.claim) == (result.claimed[0].delivery.ref, 1)
        assert again.interruptions == 1


async def test_an_ended_lease_is_noted_among_the_attempts(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        await settle(store, failed(delivery, T0))
        await claim_one(store, T0 + SECOND_MS)
        end = T0 + SECOND_MS + LEASE_MS
        late = end + 12_345
        await claim_one(store, late)
        stored = await read(store, delivery.ref)
        assert stored.attempts[1:] == (
            Attempt(
                number=2,
                started_at=end,
                error_kind=ErrorKind.INTERRUPTED,
                error=INTERRUPTED,
            ),
        )
        assert (stored.attempts_made, stored.interruptions, stored.claim) == (1, 1, 3)
        assert stored.due_at == late + LEASE_MS


async def test_interruptions_add_up_while_nobody_reports(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        for times in range(7):
            delivery = await claim_one(store, T0 + times * LEASE_MS)
            assert (delivery.claim, delivery.interruptions) == (times + 1, times)
        stored = await read(store, refs[0])
        assert [each.error_kind for each in stored.attempts] == [ErrorKind.INTERRUPTED] * 6
        assert stored.attempts_made == 0


async def test_an_ended_lease_waits_until_somebody_claims(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        await claim_one(store)
        stored = await read(store, refs[0])
        assert (stored.state, stored.claim) == (DeliveryState.LEASED, 1)
        # Paused since, the delivery becomes ready, but is not taken.
        await claim(store, T0 + LEASE_MS, limit=1, in_flight={refs[0].endpoint_id: 100})
        stored = await read(store, refs[0])
        assert (stored.state, stored.claim) == (DeliveryState.READY, 1)
        assert stored.interruptions == 1


async def test_what_was_given_back_is_claimed_again_at_once(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        await settle(store, release(delivery, T0))
        again = await claim_one(store, T0)
        assert (again.ref, again.claim, again.interruptions) == (delivery.ref, 2, 0)


@pytest.mark.parametrize(
    "status", [each for each in EndpointStatus if each is not EndpointStatus.ACTIVE]
)
async def test_what_is_pending_waits_while_its_endpoint_is_not_active(
    joint_maker: Maker, status: EndpointStatus
) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await add_with_events(store, 3)
        other = await add_one(store, "other.type")
        leased_and_retried = (await claim(store, limit=2)).claimed
        await settle(store, failed(leased_and_retried[1].delivery))
        paused = changed(endpoint, status=status)
        await store.endpoint_store.update(paused)
        late = T0 + LEASE_MS
        found = await claim(store, late)
        assert (found.claimed, found.more, found.next_due_at) == ([], False, None)
        event = new_event("other.type")
        await emit(store, event)
        found = await claim(store, late)
        assert refs_of(found.claimed) == [DeliveryRef(other.id, event.key)]
        assert found.more is False
        await store.endpoint_store.update(changed(paused, status=EndpointStatus.ACTIVE))
        found = await claim(store, late)
        assert refs_of(found.claimed) == refs


async def test_what_is_leased_when_its_endpoint_is_paused_can_be_settled(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await add_with_events(store, 1)
        delivery = await claim_one(store)
        await store.endpoint_store.update(changed(endpoint, status=EndpointStatus.INACTIVE))
        assert await settle(store, succeeded(delivery)) == refs


async def test_a_removed_endpoints_deliveries_are_not_claimed(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await add_with_events(store, 4)
        claimed = (await claim(store, limit=2)).claimed
        await settle(store, failed(claimed[0].delivery))
        await store.endpoint_store.remove(None, endpoint.id, T0)
        found = await claim(store, T0 + LEASE_MS)
        assert (found.claimed, found.more) == ([], False)


async def test_a_backlog_that_falls_due_at_once_is_worked_off_in_portions(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 450)
        claimed = await claim_all(store, T0)
        assert sorted(refs_of(claimed)) == sorted(refs)
        half = len(claimed) // 2
        later = T0 + SECOND_MS
        await settle(store, *(postpone(each.delivery, T0, later) for each in claimed[:half]))
        late = T0 + LEASE_MS
        again = await claim_all(store, late)
        assert sorted(refs_of(again)) == sorted(refs)
        assert Counter(each.delivery.interruptions for each in again) == {0: half, 1: half}


async def test_a_claim_makes_no_more_ready_than_its_bound(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, CLAIM_DUE_MAX + 50)
        claimed = await claim_all(store, T0)
        for start in range(0, len(claimed), 100):
            some = claimed[start : start + 100]
            await settle(store, *(postpone(each.delivery, T0, T0 + SECOND_MS) for each in some))
        found = await claim(store, T0 + SECOND_MS, limit=1)
        assert (len(found.claimed), found.more) == (1, True)
        left = Counter(each.state for each in await list_deliveries(store, limit=250))
        assert left[DeliveryState.SCHEDULED] >= 50
        assert len(await claim_all(store, T0 + SECOND_MS)) == CLAIM_DUE_MAX + 49


async def test_due_work_behind_the_backlog_of_a_paused_endpoint_is_found(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await add_with_events(store, CLAIM_DUE_MAX + 50)
        claimed = await claim_all(store, T0)
        for start in range(0, len(claimed), 100):
            some = claimed[start : start + 100]
            await settle(store, *(failed(each.delivery) for each in some))
        other = await add_one(store, "other.type")
        event = new_event("other.type")
        await emit(store, event, first=first_attempts(2))
        await store.endpoint_store.update(changed(endpoint, status=EndpointStatus.INACTIVE))
        # The retries fell due before these leases ended, and a claim makes only so many ready.
        found = await claim_all(store, T0 + LEASE_MS)
        assert refs_of(found) == [DeliveryRef(other.id, event.key)]
        assert len(refs) == CLAIM_DUE_MAX + 50


async def test_next_due_at_is_the_earliest_of_retries_and_leases(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 3)
        first, second, _ = (await claim(store, T0)).claimed
        await settle(store, failed(first.delivery, T0, retry_in_ms=60 * SECOND_MS))
        assert (await claim(store, T0)).next_due_at == T0 + LEASE_MS
        await settle(store, failed(second.delivery, T0, retry_in_ms=9 * SECOND_MS))
        found = await claim(store, T0)
        assert (found.claimed, found.more, found.next_due_at) == ([], False, T0 + 9 * SECOND_MS)


async def test_nothing_waits_once_all_has_ended(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 3)
        claimed = (await claim(store)).claimed
        await settle(store, *(succeeded(each.delivery) for each in claimed))
        found = await claim(store, T0 + 10 * LEASE_MS)
        assert (found.claimed, found.more, found.next_due_at) == ([], False, None)


async def test_a_clock_that_jumps_back_takes_nothing_from_a_claimer(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 2)
        taken = await claim(store, T0, limit=1)
        back = T0 - 3_600_000
        rest = await claim(store, back)
        assert len(rest.claimed) == 1
        assert refs_of(rest.claimed) != refs_of(taken.claimed)
        assert rest.next_due_at == back + LEASE_MS
