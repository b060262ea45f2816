"""A replay starts a new run of a finished delivery in the same row, and changes no pending one."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from webhook.domain.errors import Conflict
from webhook.domain.ids import DeliveryRef
from webhook.domain.lifecycle import Settlement, cancel
from webhook.domain.model import Delivery, DeliveryState, EndpointStatus
from webhook.ports import WebhookPersistence

from .builders import (
    LEASE_MS,
    SECOND_MS,
    T0,
    add_one,
    add_with_events,
    changed,
    claim,
    claim_one,
    emit,
    exhausted,
    failed,
    finish,
    new_event,
    new_key,
    read,
    refs_of,
    settle,
    succeeded,
)
from .stores import Maker, opened

LATER = T0 + 3_600_000


def _canceled(delivery: Delivery, now: int) -> Settlement:
    return cancel(delivery, now, "by hand")


async def _replay(
    store: WebhookPersistence, ref: DeliveryRef, now: int = LATER, tenant: str | None = None
) -> Delivery | None:
    return await store.delivery_store.replay(tenant, ref, now)


@pytest.mark.parametrize("end", [succeeded, exhausted, _canceled])
async def test_a_replay_starts_a_new_run_in_the_same_row(
    maker: Maker, end: Callable[[Delivery, int], Settlement]
) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        await settle(store, failed(await claim_one(store)))
        ended = await finish(store, refs[0], end, T0 + SECOND_MS)
        replayed = await _replay(store, refs[0])
        assert replayed == msgspec.structs.replace(
            ended,
            state=DeliveryState.READY,
            due_at=LATER,
            run_start=ended.attempts_made,
            run_started_at=LATER,
            interruptions=0,
            reason=None,
            completed_at=None,
        )
        assert await read(store, refs[0]) == replayed
        again = await claim_one(store, LATER)
        assert (again.ref, again.claim) == (refs[0], ended.claim + 1)
        assert (again.attempts_made, again.run_start) == (ended.attempts_made, ended.attempts_made)


async def test_the_status_shows_the_last_run_and_the_log_all(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        await finish(store, refs[0], exhausted)
        await _replay(store, refs[0])
        stored = await finish(store, refs[0], succeeded, LATER)
        assert (stored.state, stored.completed_at) == (DeliveryState.SUCCESS, LATER)
        assert stored.reason is None
        assert [each.number for each in stored.attempts] == [1, 2]
        assert [each.manual for each in stored.attempts] == [False, True]
        assert (stored.attempts_made, stored.run_start, stored.claim) == (2, 1, 2)


async def test_a_new_run_has_all_its_retries(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        await finish(store, refs[0], exhausted)
        await _replay(store, refs[0])
        retried = await finish(store, refs[0], failed, LATER)
        assert (retried.state, retried.run_start) == (DeliveryState.SCHEDULED, 1)
        assert retried.due_at == LATER + SECOND_MS


async def test_a_delivery_can_be_replayed_again(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        await finish(store, refs[0])
        for run in range(1, 4):
            now = LATER + run
            replayed = await _replay(store, refs[0], now)
            assert replayed is not None
            assert (replayed.run_start, replayed.due_at) == (run, now)
            await finish(store, refs[0], succeeded, now)


async def test_a_pending_delivery_is_returned_unchanged(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        ready = await read(store, refs[0])
        assert await _replay(store, refs[0]) == ready
        delivery = await claim_one(store)
        leased = await read(store, refs[0])
        assert await _replay(store, refs[0]) == leased
        await settle(store, failed(delivery))
        scheduled = await read(store, refs[0])
        assert await _replay(store, refs[0]) == scheduled
        assert await read(store, refs[0]) == scheduled


async def test_replaying_twice_starts_one_run(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        await finish(store, refs[0])
        first = await _replay(store, refs[0], LATER)
        assert await _replay(store, refs[0], LATER + 1) == first
        assert len((await claim(store, LATER + 1)).claimed) == 1


async def test_an_unknown_delivery_is_none(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 1)
        done = await finish(store, refs[0])
        assert await _replay(store, DeliveryRef(endpoint.id, new_key())) is None
        assert await _replay(store, DeliveryRef(f"ep_{new_key()}", refs[0].key)) is None
        assert await _replay(store, refs[0], tenant="acme") is None
        assert await read(store, refs[0]) == done
        replayed = await _replay(store, refs[0], tenant="default")
        assert replayed is not None
        assert replayed.state is DeliveryState.READY


async def test_a_delivery_of_a_removed_endpoint_cannot_be_replayed(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await add_with_events(store, 2)
        [first, _] = (await claim(store)).claimed
        await settle(store, succeeded(first.delivery))
        await store.endpoint_store.remove(None, endpoint.id, T0)
        for ref in refs:  # one has ended, the other waited and reads as canceled
            before = await read(store, ref)
            with pytest.raises(Conflict):
                await _replay(store, ref)
            assert await _replay(store, ref, tenant="acme") is None
            assert await read(store, ref) == before


async def test_a_replay_waits_while_its_endpoint_is_not_active(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await add_with_events(store, 1)
        await finish(store, refs[0])
        paused = changed(endpoint, status=EndpointStatus.ERROR)
        await store.endpoint_store.update(paused)
        replayed = await _replay(store, refs[0])
        assert replayed is not None
        assert replayed.state is DeliveryState.READY
        assert (await claim(store, LATER)).claimed == []
        await store.endpoint_store.update(changed(paused, status=EndpointStatus.ACTIVE))
        assert refs_of((await claim(store, LATER)).claimed) == refs


async def test_a_replay_does_not_touch_the_events_other_deliveries(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoints = [await add_one(store), await add_one(store)]
        event = new_event()
        await emit(store, event)
        refs = [DeliveryRef(endpoint.id, event.key) for endpoint in endpoints]
        claimed = (await claim(store)).claimed
        await settle(store, *(succeeded(each.delivery) for each in claimed))
        other = await read(store, refs[1])
        await _replay(store, refs[0])
        assert await read(store, refs[1]) == other
        assert refs_of((await claim(store, LATER)).claimed) == refs[:1]


async def test_a_replayed_delivery_that_was_given_up_starts_without_interruptions(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        for times in range(5):
            await claim_one(store, T0 + times * LEASE_MS)
        await finish(store, refs[0], _canceled, T0 + 5 * LEASE_MS)
        await _replay(store, refs[0])
        assert (await claim_one(store, LATER)).interruptions == 0
