"""A pending delivery can be canceled by hand; a finished one stays as it ended."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from webhook.domain.ids import DeliveryRef
from webhook.domain.lifecycle import Settlement
from webhook.domain.model import Delivery, DeliveryState
from webhook.ports import CANCELED_BY_HAND, WebhookPersistence

from .builders import (
    LEASE_MS,
    SECOND_MS,
    T0,
    add_one,
    add_with_events,
    claim,
    claim_one,
    emit,
    exhausted,
    failed,
    finish,
    list_deliveries,
    new_events,
    new_key,
    read,
    refs_of,
    settle,
    succeeded,
)
from .stores import Maker, opened

LATER = T0 + 3_600_000


async def _cancel(
    store: WebhookPersistence, ref: DeliveryRef, now: int = LATER, tenant: str | None = None
) -> Delivery | None:
    return await store.delivery_store.cancel(tenant, ref, now, CANCELED_BY_HAND)


def _canceled(before: Delivery) -> Delivery:
    return msgspec.structs.replace(
        before,
        state=DeliveryState.CANCELED,
        due_at=None,
        reason=CANCELED_BY_HAND,
        completed_at=LATER,
    )


@pytest.mark.parametrize("end", ["cancel", "erase"])
async def test_what_is_canceled_makes_room_at_its_endpoint(joint_maker: Maker, end: str) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store, concurrency_max=1)
        events = new_events(2)
        await emit(store, *events)
        refs = [DeliveryRef(endpoint.id, event.key) for event in events]
        first = await claim_one(store)
        if end == "cancel":
            await _cancel(store, first.ref, T0)
        else:
            deliveries = store.delivery_store
            assert await deliveries.erase_payload(first.tenant, first.key, T0, "erased")
        assert refs_of((await claim(store)).claimed) == refs[1:]


async def test_a_ready_delivery_is_canceled_and_not_claimed(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 2)
        before = await read(store, refs[0])
        assert await _cancel(store, refs[0]) == _canceled(before)
        assert await read(store, refs[0]) == _canceled(before)
        assert refs_of((await claim(store, LATER)).claimed) == refs[1:]


async def test_a_scheduled_delivery_is_canceled_and_its_attempts_are_kept(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        await settle(store, failed(await claim_one(store)))
        before = await read(store, refs[0])
        assert before.state is DeliveryState.SCHEDULED
        assert await _cancel(store, refs[0]) == _canceled(before)
        assert len((await read(store, refs[0])).attempts) == 1
        last = await claim(store, LATER)
        assert (last.claimed, last.more, last.next_due_at) == ([], False, None)


@pytest.mark.parametrize("outcome", [succeeded, failed, exhausted])
async def test_the_late_settle_of_a_canceled_delivery_changes_nothing(
    maker: Maker, outcome: Callable[[Delivery], Settlement]
) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        claimed = await claim_one(store)
        canceled = await _cancel(store, refs[0])
        assert canceled is not None
        assert canceled.state is DeliveryState.CANCELED
        assert await settle(store, outcome(claimed)) == []
        assert await read(store, refs[0]) == canceled


async def test_the_late_settle_changes_nothing_after_a_replay_either(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        claimed = await claim_one(store)
        await _cancel(store, refs[0])
        replayed = await store.delivery_store.replay(None, refs[0], LATER)
        assert await settle(store, succeeded(claimed)) == []
        assert await read(store, refs[0]) == replayed
        again = await claim_one(store, LATER)
        assert await settle(store, succeeded(claimed)) == []
        assert again.claim == claimed.claim + 1


async def test_the_lease_of_a_canceled_delivery_ends_without_a_trace(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        await claim_one(store)
        canceled = await _cancel(store, refs[0], T0 + SECOND_MS)
        assert (await claim(store, T0 + LEASE_MS)).claimed == []
        assert await read(store, refs[0]) == canceled


@pytest.mark.parametrize("end", [succeeded, exhausted])
async def test_a_finished_delivery_is_left_as_it_is(
    maker: Maker, end: Callable[[Delivery, int], Settlement]
) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        ended = await finish(store, refs[0], end)
        assert await _cancel(store, refs[0]) == ended
        assert await read(store, refs[0]) == ended


async def test_canceling_twice_keeps_the_first_time(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        first = await _cancel(store, refs[0])
        assert await _cancel(store, refs[0], LATER + 1) == first


async def test_an_unknown_delivery_is_none(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 1)
        before = await read(store, refs[0])
        assert await _cancel(store, DeliveryRef(endpoint.id, new_key())) is None
        assert await _cancel(store, refs[0], tenant="acme") is None
        assert await read(store, refs[0]) == before
        canceled = await _cancel(store, refs[0], tenant="default")
        assert canceled is not None


async def test_what_waited_for_a_removed_endpoint_keeps_its_own_reason(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await add_with_events(store, 1)
        await store.endpoint_store.remove(None, endpoint.id, T0 + 5)
        before = await read(store, refs[0])
        assert await _cancel(store, refs[0]) == before


async def test_a_canceled_delivery_is_listed_as_one(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 3)
        canceled = await _cancel(store, refs[1])
        assert canceled is not None
        assert await list_deliveries(store, status=canceled.status) == [canceled]
