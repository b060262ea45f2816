"""A delivery store without endpoints keeps the same promise for the targets that it is given."""

from __future__ import annotations

import pytest

from webhook.domain.ids import DeliveryRef
from webhook.domain.model import DeliveryState, EndpointStatus
from webhook.ports import NO_FIRST_ATTEMPTS, EventQuery

from .builders import (
    LEASE_MS,
    T0,
    add_one,
    add_with_events,
    changed,
    claim,
    claim_one,
    emit,
    failed,
    finish,
    first_attempts,
    gone,
    new_event,
    new_key,
    pages,
    read,
    refs_of,
    settle,
    states,
    sweep_all,
)
from .stores import Maker, opened


async def test_an_accept_without_targets_is_a_mistake_and_stores_nothing(
    separate_maker: Maker,
) -> None:
    async with opened(separate_maker) as store:
        with pytest.raises(ValueError, match="targets"):
            await store.delivery_store.accept([new_event(id="a")], NO_FIRST_ATTEMPTS, T0)
        query = EventQuery(tenant="default", limit=10)
        assert await pages(store.delivery_store.list_events, query) == []
        assert (await emit(store, new_event(id="a", data=2))).events[0].duplicate is False


async def test_targets_need_no_endpoint(separate_maker: Maker) -> None:
    async with opened(separate_maker) as store:
        endpoint_ids = [f"ep_{new_key()}" for _ in range(3)]
        event = new_event()
        result = await store.delivery_store.accept(
            [event], first_attempts(2), T0, [[*endpoint_ids, endpoint_ids[0]]]
        )
        assert result.events[0].delivery_count == 3
        assert len(result.claimed) == 2
        assert result.waiting is True
        rest = (await claim(store)).claimed
        assert [each.endpoint for each in [*result.claimed, *rest]] == [None] * 3
        assert sorted(refs_of([*result.claimed, *rest])) == sorted(
            DeliveryRef(endpoint_id, event.key) for endpoint_id in endpoint_ids
        )


async def test_the_services_timeout_counts_where_none_is_known(separate_maker: Maker) -> None:
    async with opened(separate_maker) as store:
        await add_one(store, timeout_ms=1_000)
        result = await emit(store, new_event(), first=first_attempts(5, timeout_ms_max=14_999))
        assert result.claimed == []
        result = await emit(store, new_event(), first=first_attempts(5, timeout_ms_max=15_000))
        assert len(result.claimed) == 1


async def test_a_claim_gives_deliveries_of_endpoints_whose_status_it_cannot_know(
    separate_maker: Maker,
) -> None:
    async with opened(separate_maker) as store:
        paused, refs = await add_with_events(store, 1)
        await store.endpoint_store.update(changed(paused, status=EndpointStatus.INACTIVE))
        assert refs_of((await claim(store)).claimed) == refs
        await store.endpoint_store.remove(None, paused.id, T0)
        found = await claim(store, T0 + LEASE_MS)
        assert refs_of(found.claimed) == refs
        assert found.claimed[0].endpoint is None


async def test_a_gone_receiver_ends_the_delivery_and_leaves_the_endpoint_to_its_store(
    separate_maker: Maker,
) -> None:
    async with opened(separate_maker) as store:
        endpoint, refs = await add_with_events(store, 2)
        first = (await claim(store, limit=1)).claimed[0].delivery
        assert await settle(store, gone(first)) == [first.ref]
        assert await states(store, *refs) == [DeliveryState.FAILED, DeliveryState.READY]
        assert await store.endpoint_store.get(None, endpoint.id) == endpoint
        assert refs_of((await claim(store)).claimed) == refs[1:]


async def test_a_removed_endpoints_deliveries_stay_what_they_are(separate_maker: Maker) -> None:
    async with opened(separate_maker) as store:
        endpoint, refs = await add_with_events(store, 2)
        await settle(store, failed((await claim(store, limit=1)).claimed[0].delivery))
        await store.endpoint_store.remove(None, endpoint.id, T0)
        before = [await read(store, ref) for ref in refs]
        assert [each.state for each in before] == [DeliveryState.SCHEDULED, DeliveryState.READY]
        await sweep_all(store, T0)
        assert [await read(store, ref) for ref in refs] == before


async def test_a_delivery_of_a_removed_endpoint_can_be_replayed(separate_maker: Maker) -> None:
    async with opened(separate_maker) as store:
        endpoint, refs = await add_with_events(store, 1)
        await finish(store, refs[0])
        await store.endpoint_store.remove(None, endpoint.id, T0)
        replayed = await store.delivery_store.replay(None, refs[0], T0)
        assert replayed is not None
        assert (await claim_one(store)).ref == refs[0]
