"""An endpoint's limits hold over all claimers, whatever becomes of them; a shut gate wakes none."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from webhook.domain.health import CLOCK_SLIP_MS, RATE_AHEAD_MS, RATE_REFILL_MS
from webhook.domain.ids import DeliveryRef
from webhook.domain.lifecycle import postpone, release
from webhook.domain.model import DeliveryState, Endpoint
from webhook.ports import Claimed, WebhookPersistence

from .builders import (
    LEASE_MS,
    SECOND_MS,
    T0,
    add_one,
    changed,
    claim,
    claim_all,
    emit,
    failed,
    first_attempts,
    new_event,
    new_events,
    read,
    refs_of,
    settle,
    succeeded,
)
from .stores import Maker, opened


async def _add_limited(
    store: WebhookPersistence,
    count: int,
    *,
    concurrency_max: int | None = None,
    rate_limit_per_second: float | None = None,
) -> tuple[Endpoint, list[DeliveryRef]]:
    """Add a limited endpoint and events for it."""
    endpoint = await add_one(
        store, concurrency_max=concurrency_max, rate_limit_per_second=rate_limit_per_second
    )
    events = new_events(count)
    await emit(store, *events)
    return endpoint, [DeliveryRef(endpoint.id, event.key) for event in events]


def _starts(claimed: list[Claimed], now: int) -> list[int]:
    return sorted(now + each.start_in_ms for each in claimed)


# --- concurrency_max ------------------------------------------------------------------------------


async def test_no_more_is_leased_than_the_concurrency_allows(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await _add_limited(store, 5, concurrency_max=2)
        found = await claim(store)
        assert refs_of(found.claimed) == refs[:2]
        assert [each.start_in_ms for each in found.claimed] == [0, 0]
        assert (found.more, found.held_back, found.next_gate_at) == (False, True, None)
        again = await claim(store)
        assert (again.claimed, again.more, again.held_back) == ([], False, True)
        assert (again.next_gate_at, again.next_due_at) == (None, T0 + LEASE_MS)


async def test_claimers_at_once_share_the_concurrency(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await _add_limited(store, 9, concurrency_max=3)
        claims = await asyncio.gather(*(claim(store, limit=2) for _ in range(5)))
        found = [ref for each in claims for ref in refs_of(each.claimed)]
        assert sorted(found) == sorted(refs[:3])


@pytest.mark.parametrize("ends", [succeeded, failed, release])
async def test_whatever_is_settled_makes_room_for_as_much(joint_maker: Maker, ends: Any) -> None:
    async with opened(joint_maker) as store:
        await _add_limited(store, 6, concurrency_max=3)
        claimed = (await claim(store)).claimed
        await settle(store, *(ends(each.delivery, T0) for each in claimed[:2]))
        found = await claim(store)
        assert len(found.claimed) == 2
        assert found.more is False
        assert (await claim(store)).claimed == []


async def test_a_lease_makes_room_at_the_ms_it_ends_and_not_before(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await _add_limited(store, 4, concurrency_max=2)
        await claim(store, T0, limit=1)
        await claim(store, T0 + 10, limit=1)
        early = await claim(store, T0 + LEASE_MS - 1)
        assert (early.claimed, early.more) == ([], False)
        first_ended = await claim(store, T0 + LEASE_MS)
        assert refs_of(first_ended.claimed) == [refs[0]]
        second_ended = await claim(store, T0 + LEASE_MS + 10)
        assert refs_of(second_ended.claimed) == [refs[1]]
        assert (await claim(store, T0 + LEASE_MS + 10)).claimed == []


async def test_a_late_outcome_makes_no_room_that_another_claim_has_taken(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        await _add_limited(store, 3, concurrency_max=1)
        [dead] = (await claim(store)).claimed
        later = T0 + LEASE_MS
        assert len((await claim(store, later)).claimed) == 1
        assert await settle(store, succeeded(dead.delivery, later)) == []
        assert (await claim(store, later)).claimed == []


async def test_a_postponed_delivery_leaves_its_place(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await _add_limited(store, 2, concurrency_max=1)
        [first] = (await claim(store)).claimed
        await settle(store, postpone(first.delivery, T0, T0 + SECOND_MS))
        assert refs_of((await claim(store)).claimed) == refs[1:]
        # What falls due meanwhile waits, and is no more to be had.
        found = await claim(store, T0 + SECOND_MS)
        assert (found.claimed, found.more) == ([], False)
        assert (await read(store, refs[0])).state is DeliveryState.READY


async def test_one_full_endpoint_hides_no_other(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await _add_limited(store, 3, concurrency_max=1)
        assert len((await claim(store)).claimed) == 1
        other = await add_one(store, "other.type")
        event = new_event("other.type")
        await emit(store, event)
        found = await claim(store)
        assert DeliveryRef(other.id, event.key) in refs_of(found.claimed)
        assert len(found.claimed) == 1
        assert found.more is False


async def test_more_is_true_while_a_limited_endpoint_has_room(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await _add_limited(store, 3, concurrency_max=2)
        found = await claim(store, limit=1)
        assert (refs_of(found.claimed), found.more) == (refs[:1], True)
        assert (await claim(store, limit=1)).more is False


async def test_a_gate_holds_nothing_back_when_nothing_is_due_behind_it(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await _add_limited(store, 2, concurrency_max=2, rate_limit_per_second=1)
        found = await claim(store)
        assert len(found.claimed) == 2
        assert (found.more, found.held_back, found.next_gate_at) == (False, False, None)


async def test_a_raised_limit_gives_more_and_a_lowered_one_waits_until_it_is_kept(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint, refs = await _add_limited(store, 6, concurrency_max=1)
        first = (await claim(store)).claimed
        raised = changed(endpoint, concurrency_max=3)
        await store.endpoint_store.update(raised)
        more = (await claim(store)).claimed
        assert refs_of(more) == refs[1:3]
        lowered = changed(raised, concurrency_max=2)
        await store.endpoint_store.update(lowered)
        await settle(store, succeeded(first[0].delivery))
        assert (await claim(store)).claimed == []
        await settle(store, succeeded(more[0].delivery))
        assert refs_of((await claim(store)).claimed) == [refs[3]]
        await store.endpoint_store.update(changed(lowered, concurrency_max=None))
        assert refs_of((await claim(store)).claimed) == refs[4:]


# --- rate_limit_per_second ------------------------------------------------------------------------


async def test_a_rate_spaces_the_starts_of_a_claim(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await _add_limited(store, 20, rate_limit_per_second=5)
        found = await claim(store)
        assert [each.start_in_ms for each in found.claimed] == [0, 200, 400, 600, 800, 1000]
        assert max(each.start_in_ms for each in found.claimed) <= RATE_AHEAD_MS
        assert found.more is False
        assert found.next_gate_at == T0 + 1200 - RATE_REFILL_MS


async def test_a_lease_runs_from_the_start_that_the_rate_gave(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await _add_limited(store, 2, rate_limit_per_second=2)
        first, second = (await claim(store)).claimed
        assert (first.lease_left_ms, second.lease_left_ms) == (LEASE_MS, LEASE_MS + 500)
        assert (await read(store, second.delivery.ref)).due_at == T0 + 500 + LEASE_MS
        assert refs_of((await claim(store, T0 + LEASE_MS)).claimed) == [first.delivery.ref]


@pytest.mark.parametrize("rate", [0.5, 1, 3, 5, 7.5, 70, 1000])
async def test_starts_are_never_closer_than_the_interval_over_two_claimers(
    joint_maker: Maker, rate: float
) -> None:
    async with opened(joint_maker) as store:
        await _add_limited(store, 90, rate_limit_per_second=rate)
        starts: list[int] = []
        # Two claimers who come at odd times, and settle at once.
        for now in sorted([*range(T0, T0 + 4000, 370), *range(T0 + 99, T0 + 4000, 430)]):
            found = await claim(store, now, limit=7)
            assert all(0 <= each.start_in_ms <= RATE_AHEAD_MS for each in found.claimed)
            starts += _starts(found.claimed, now)
            await settle(store, *(succeeded(each.delivery, now) for each in found.claimed))
        assert starts == sorted(starts)
        gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
        assert all(gap >= int(1000 / rate) for gap in gaps)
        # Nor do the fractions of a ms add up.
        assert starts[-1] - starts[0] >= (len(starts) - 1) * 1000 / rate - 1


async def test_claimers_at_once_get_no_start_twice(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await _add_limited(store, 30, rate_limit_per_second=10)
        claims = await asyncio.gather(*(claim(store, limit=3) for _ in range(6)))
        claimed = [one for each in claims for one in each.claimed]
        # Who met an endpoint that another one was claiming of may have passed it by.
        claimed += await claim_all(store, T0, limit=3)
        starts = sorted(_starts(claimed, T0))
        assert starts == [T0 + place * 100 for place in range(11)]


async def test_the_gate_of_a_rate_opens_when_the_claim_said(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await _add_limited(store, 3, rate_limit_per_second=0.1)
        found = await claim(store)
        assert (len(found.claimed), found.more) == (1, False)
        assert found.next_gate_at == T0 + 10_000 - RATE_REFILL_MS
        shut = await claim(store, T0 + 10_000 - RATE_AHEAD_MS - 1)
        assert (shut.claimed, shut.more) == ([], False)
        assert shut.next_gate_at == found.next_gate_at
        opened_gate = await claim(store, found.next_gate_at)
        assert [each.start_in_ms for each in opened_gate.claimed] == [RATE_REFILL_MS]


async def test_an_idle_endpoint_saves_no_starts_up(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await _add_limited(store, 20, rate_limit_per_second=5)
        await claim(store, T0, limit=1)
        found = await claim(store, T0 + 30_000)
        assert [each.start_in_ms for each in found.claimed] == [0, 200, 400, 600, 800, 1000]


async def test_retries_pass_the_same_gate(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await _add_limited(store, 2, rate_limit_per_second=1)
        claimed = (await claim(store)).claimed
        await settle(store, *(failed(each.delivery, T0, retry_in_ms=1) for each in claimed))
        again = await claim(store, T0 + 1)
        assert again.claimed == []
        found = await claim(store, T0 + 1000)
        assert [each.start_in_ms for each in found.claimed] == [1000]


async def test_a_start_that_was_taken_is_given_to_nobody_else(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await _add_limited(store, 9, rate_limit_per_second=2)
        deliveries = store.delivery_store
        assert await deliveries.take_start(endpoint.id, T0, 0) == 0
        assert await deliveries.take_start(endpoint.id, T0, 499) == 500
        assert await deliveries.take_start(endpoint.id, T0, 500) == 500
        assert [each.start_in_ms for each in (await claim(store)).claimed] == [1000]
        assert await deliveries.take_start(endpoint.id, T0 + 200, 10_000) == 1300


async def test_a_start_is_free_without_a_rate(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await _add_limited(store, 1, concurrency_max=1)
        for endpoint_id in (endpoint.id, endpoint.id, "ep_unknown"):
            assert await store.delivery_store.take_start(endpoint_id, T0, 0) == 0


async def test_a_changed_rate_counts_from_the_last_start(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await _add_limited(store, 20, rate_limit_per_second=0.1)
        await claim(store)
        quick = changed(endpoint, rate_limit_per_second=4.0)
        await store.endpoint_store.update(quick)
        found = await claim(store, limit=2)
        assert [each.start_in_ms for each in found.claimed] == [250, 500]
        slow = changed(quick, rate_limit_per_second=1.0)
        await store.endpoint_store.update(slow)
        shut = await claim(store)
        assert (shut.claimed, shut.next_gate_at) == ([], T0 + 1500 - RATE_REFILL_MS)
        await store.endpoint_store.update(changed(slow, rate_limit_per_second=None))
        assert {each.start_in_ms for each in (await claim(store)).claimed} == {0}


async def test_a_clock_that_is_set_back_keeps_no_endpoint_waiting(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await _add_limited(store, 20, rate_limit_per_second=5)
        await claim(store, T0, limit=1)
        back = T0 - CLOCK_SLIP_MS - 1
        found = await claim(store, back)
        assert [each.start_in_ms for each in found.claimed] == [0, 200, 400, 600, 800, 1000]
        shut = await claim(store, back)
        assert (shut.claimed, shut.more) == ([], False)


async def test_both_limits_hold_together(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, refs = await _add_limited(store, 9, concurrency_max=2, rate_limit_per_second=5)
        found = await claim(store)
        assert [each.start_in_ms for each in found.claimed] == [0, 200]
        full = await claim(store, T0 + 300)
        assert (full.claimed, full.more, full.next_gate_at) == ([], False, None)
        await settle(store, *(succeeded(each.delivery, T0 + 300) for each in found.claimed))
        later = await claim(store, T0 + 300)
        assert refs_of(later.claimed) == refs[2:4]
        assert _starts(later.claimed, T0 + 300) == [T0 + 400, T0 + 600]


# --- accept ---------------------------------------------------------------------------------------


async def test_an_accept_leases_nothing_of_an_endpoint_that_has_a_limit(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        free = await add_one(store)
        await add_one(store, concurrency_max=100)
        await add_one(store, rate_limit_per_second=1000)
        result = await emit(store, new_event(), first=first_attempts(3))
        assert [each.delivery.endpoint_id for each in result.claimed] == [free.id]
        assert result.waiting is True
        assert len((await claim(store)).claimed) == 2


async def test_an_endpoints_limits_are_kept_and_read_back(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await _add_limited(store, 1, concurrency_max=7, rate_limit_per_second=0.25)
        stored = await store.endpoint_store.get(None, endpoint.id)
        assert stored == endpoint
        [claimed] = (await claim(store)).claimed
        assert claimed.endpoint == endpoint
