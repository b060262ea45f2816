"""What a settlement and its endpoint do to each other, where a store keeps both."""

from __future__ import annotations

from webhook.domain.ids import DeliveryRef
from webhook.domain.model import (
    DeliveryState,
    DeliveryStatus,
    EndpointStatus,
)
from webhook.ports import ENDPOINT_REMOVED

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
    gone,
    new_event,
    read,
    refs_of,
    settle,
    succeeded,
    sweep_all,
)
from .stores import Maker, opened


async def test_a_gone_receiver_disables_its_endpoint(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await add_with_events(store, 3)
        other = await add_one(store)
        event = new_event()
        first = (await claim(store, limit=1)).claimed[0].delivery
        await settle(store, gone(first))
        assert (await read(store, first.ref)).status is DeliveryStatus.FAILED
        disabled = await store.endpoint_store.get(None, endpoint.id)
        assert disabled is not None
        assert (disabled.status, disabled.revision) == (
            EndpointStatus.ERROR,
            endpoint.revision + 1,
        )
        # It gets nothing new, and what is pending waits until it is active again.
        result = await emit(store, event)
        assert result.events[0].delivery_count == 1
        assert refs_of((await claim(store)).claimed) == [DeliveryRef(other.id, event.key)]
        await store.endpoint_store.update(changed(disabled, status=EndpointStatus.ACTIVE))
        assert refs_of((await claim(store)).claimed) == refs[1:]
        assert (await emit(store, new_event())).events[0].delivery_count == 2


async def test_a_gone_receiver_leaves_the_status_that_somebody_chose(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await add_with_events(store, 1)
        delivery = await claim_one(store)
        paused = changed(endpoint, status=EndpointStatus.INACTIVE)
        await store.endpoint_store.update(paused)
        await settle(store, gone(delivery))
        assert await store.endpoint_store.get(None, endpoint.id) == paused


async def test_a_late_gone_disables_nothing(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await add_with_events(store, 1)
        first = await claim_one(store)
        await claim_one(store, T0 + LEASE_MS)
        assert await settle(store, gone(first)) == []
        assert await store.endpoint_store.get(None, endpoint.id) == endpoint


async def test_a_success_under_way_while_its_endpoint_is_removed_is_kept(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await add_with_events(store, 1)
        delivery = await claim_one(store)
        await store.endpoint_store.remove(None, endpoint.id, T0)
        assert (await read(store, delivery.ref)).state is DeliveryState.CANCELED
        assert await settle(store, succeeded(delivery)) == [delivery.ref]
        assert (await read(store, delivery.ref)).state is DeliveryState.SUCCESS


async def test_a_failure_under_way_while_its_endpoint_is_removed_stays_canceled(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await add_with_events(store, 1)
        delivery = await claim_one(store)
        await store.endpoint_store.remove(None, endpoint.id, T0 + 1)
        await settle(store, failed(delivery, T0 + 2))
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.reason) == (DeliveryState.CANCELED, ENDPOINT_REMOVED)
        assert (stored.completed_at, stored.due_at) == (T0 + 1, None)
        assert stored.attempts_made == 1


async def test_a_settle_changes_nothing_once_the_cancel_is_written(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await add_with_events(store, 1)
        delivery = await claim_one(store)
        await store.endpoint_store.remove(None, endpoint.id, T0)
        # Its lease ends first: a store may leave what is leased until then.
        await claim(store, T0 + LEASE_MS)
        await sweep_all(store, T0 + LEASE_MS)
        before = await read(store, delivery.ref)
        assert await settle(store, succeeded(delivery)) == []
        assert await read(store, delivery.ref) == before
