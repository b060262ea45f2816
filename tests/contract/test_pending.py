"""What has been pending for too long is canceled by the sweep, and nothing that has not been."""

from __future__ import annotations

from webhook.domain.ids import DeliveryRef
from webhook.domain.model import DeliveryState, EndpointStatus
from webhook.ports import ENDPOINT_REMOVED, SWEEP_AHEAD_MS, Overdue, WebhookPersistence

from .builders import (
    DAY_MS,
    LEASE_MS,
    T0,
    add_one,
    add_with_events,
    changed,
    claim,
    claim_all,
    emit,
    exhausted,
    failed,
    finish,
    new_event,
    new_events,
    read,
    refs_of,
    settle,
    states,
    succeeded,
)
from .stores import Maker, opened

REASON = "pending for more than 30 days"
LATER = T0 + 30 * DAY_MS


async def _sweep(
    store: WebhookPersistence, before: int, *, now: int = LATER, limit: int = 100
) -> int:
    """Sweep to the end; return how many deliveries were canceled."""
    canceled = 0
    for _ in range(1000):
        report = await store.delivery_store.sweep(now, 0, limit, Overdue(before, REASON))
        canceled += report.canceled
        if not report.more:
            return canceled
    raise AssertionError("The sweep comes to no end.")


async def test_what_is_ready_and_was_accepted_before_the_bound_is_canceled(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 4)
        assert await _sweep(store, T0 + 2) == 2
        canceled = await read(store, refs[0])
        assert (canceled.state, canceled.reason) == (DeliveryState.CANCELED, REASON)
        assert (canceled.completed_at, canceled.due_at) == (LATER, None)
        assert refs_of((await claim(store, LATER)).claimed) == refs[2:]
        assert await _sweep(store, T0 + 2) == 0


async def test_without_a_bound_nothing_is_canceled(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 2)
        assert (await store.delivery_store.sweep(LATER, 0, 100)).canceled == 0
        assert await states(store, *refs) == [DeliveryState.READY] * 2


async def test_a_retry_that_falls_due_soon_is_canceled_and_a_later_one_may_wait(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 2)
        claimed = (await claim(store)).claimed
        soon, late = SWEEP_AHEAD_MS, 86_400_000
        await settle(
            store,
            failed(claimed[0].delivery, retry_in_ms=soon),
            failed(claimed[1].delivery, retry_in_ms=late),
        )
        await _sweep(store, T0 + 100, now=T0)
        assert (await read(store, refs[0])).state is DeliveryState.CANCELED
        assert len((await read(store, refs[0])).attempts) == 1
        await _sweep(store, T0 + 100, now=T0 + late - soon)
        assert (await read(store, refs[1])).state is DeliveryState.CANCELED


async def test_what_is_under_way_or_has_ended_is_left_alone(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 3)
        claimed = (await claim(store)).claimed
        await settle(store, succeeded(claimed[0].delivery), exhausted(claimed[1].delivery))
        assert await _sweep(store, LATER, now=T0 + 1) == 0
        assert await states(store, *refs) == [
            DeliveryState.SUCCESS,
            DeliveryState.EXHAUSTED,
            DeliveryState.LEASED,
        ]
        assert await settle(store, succeeded(claimed[2].delivery)) == refs[2:]


async def test_a_replay_is_pending_since_it_began(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 1)
        await finish(store, refs[0], exhausted)
        await store.delivery_store.replay(None, refs[0], T0 + DAY_MS)
        waits = new_event(at=T0 + 5)
        await emit(store, waits)
        assert await _sweep(store, T0 + DAY_MS) == 1
        assert (await read(store, DeliveryRef(endpoint.id, waits.key))).reason == REASON
        assert (await read(store, refs[0])).state is DeliveryState.READY
        # A retry does not make it younger.
        [claimed] = await claim_all(store, T0 + DAY_MS)
        await settle(store, failed(claimed.delivery, T0 + DAY_MS, retry_in_ms=0))
        assert await _sweep(store, T0 + DAY_MS) == 0
        assert await _sweep(store, T0 + DAY_MS + 1) == 1


async def test_what_a_canceled_delivery_was_is_replayed_as_any_other(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        await _sweep(store, LATER)
        replayed = await store.delivery_store.replay(None, refs[0], LATER)
        assert replayed is not None
        assert (replayed.state, replayed.reason) == (DeliveryState.READY, None)
        assert await _sweep(store, LATER) == 0
        assert refs_of(await claim_all(store, LATER)) == refs


async def test_it_is_done_in_bounded_pieces_over_all_endpoints(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoints = [await add_one(store) for _ in range(5)]
        await emit(store, *new_events(10))
        paused = [changed(each, status=EndpointStatus.INACTIVE) for each in endpoints[:2]]
        for each in paused:
            await store.endpoint_store.update(each)
        report = await store.delivery_store.sweep(LATER, 0, 7, Overdue(T0 + 8, REASON))
        assert 0 < report.canceled <= 14
        assert report.more
        assert report.canceled + await _sweep(store, T0 + 8, limit=7) == 40
        left = [each.delivery.key for each in await claim_all(store, LATER)]
        assert len(left) == (6 if store.joint else 10)


async def test_many_retries_that_fall_due_at_once_are_all_seen(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 30)
        claimed = (await claim(store)).claimed
        await settle(
            store,
            *(
                failed(each.delivery, retry_in_ms=1000 + index)
                for index, each in enumerate(claimed)
            ),
        )
        assert await _sweep(store, T0 + 15, now=T0, limit=4) == 15
        expected = [DeliveryState.CANCELED] * 15 + [DeliveryState.SCHEDULED] * 15
        assert await states(store, *refs) == expected


async def test_what_waits_for_a_removed_endpoint_keeps_that_reason(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await add_with_events(store, 3)
        [first, _, _] = (await claim(store)).claimed
        await settle(store, failed(first.delivery, retry_in_ms=1000))
        await store.endpoint_store.remove(None, endpoint.id, T0 + 9)
        await _sweep(store, LATER, now=T0 + LEASE_MS, limit=1)
        for ref in refs:
            assert (await read(store, ref)).reason == ENDPOINT_REMOVED
