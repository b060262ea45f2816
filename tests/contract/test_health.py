"""Failures in a row open an endpoint's circuit and may disable it; a success forgets them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from webhook.domain.health import (
    CIRCUIT_MS,
    ERROR_AFTER_MS,
    FAILURES_MAX,
)
from webhook.domain.lifecycle import cancel, interrupt, postpone, release
from webhook.domain.model import EndpointStatus

from .builders import (
    DAY_MS,
    FAILED,
    LEASE_MS,
    SECOND_MS,
    SENT,
    T0,
    add_one,
    changed,
    claim,
    emit,
    exhausted,
    failed,
    gone,
    new_event,
    new_events,
    settle,
    succeeded,
)
from .failing import OPENED_AT, TOOK_MS, fail, health, open_circuit, stored
from .stores import Maker, opened

# --- counting -------------------------------------------------------------------------------------


async def test_failures_in_a_row_are_counted_from_the_first(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(5))
        first, second, *rest = (await claim(store)).claimed
        await settle(store, failed(first.delivery, T0))
        assert await health(store, endpoint) == (1, T0 + TOOK_MS, None)
        await settle(store, gone_wrong := failed(second.delivery, T0 + 50))
        assert await health(store, endpoint) == (2, T0 + TOOK_MS, None)
        # A repeat, its outcome being unknown, counts nothing twice.
        assert await settle(store, gone_wrong) == []
        assert await health(store, endpoint) == (2, T0 + TOOK_MS, None)
        await settle(store, *(exhausted(each.delivery, T0 + 90) for each in rest))
        assert await health(store, endpoint) == (5, T0 + TOOK_MS, None)


async def test_a_success_forgets_the_failures_before_it(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(4))
        first, second, third, _ = (await claim(store)).claimed
        await settle(store, failed(first.delivery))
        await settle(store, succeeded(second.delivery))
        assert await health(store, endpoint) == (0, None, None)
        await settle(store, failed(third.delivery, T0 + 40))
        assert await health(store, endpoint) == (1, T0 + 40 + TOOK_MS, None)


async def test_of_one_settle_the_success_comes_last(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(12))
        first, *rest = (await claim(store)).claimed
        await settle(store, succeeded(first.delivery), *(exhausted(each.delivery) for each in rest))
        assert await health(store, endpoint) == (0, None, None)


async def test_a_success_changes_nothing_of_an_endpoint_without_failures(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(3))
        claimed = (await claim(store)).claimed
        await settle(store, *(succeeded(each.delivery) for each in claimed))
        assert await stored(store, endpoint) == endpoint


async def test_each_endpoint_of_a_settle_has_its_own_count(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        bad = await add_one(store, SENT)
        worse = await add_one(store, FAILED)
        good = await add_one(store, "message.read")
        await emit(store, *new_events(3, SENT), *new_events(11, FAILED))
        await emit(store, *new_events(2, "message.read"))
        claimed = (await claim(store)).claimed
        outcomes = {bad.id: failed, worse.id: exhausted, good.id: succeeded}
        await settle(
            store, *(outcomes[each.delivery.endpoint_id](each.delivery) for each in claimed)
        )
        assert await health(store, bad) == (3, OPENED_AT, None)
        assert await health(store, worse) == (FAILURES_MAX, OPENED_AT, OPENED_AT + CIRCUIT_MS)
        assert await stored(store, good) == good


@pytest.mark.parametrize("ends", [release, interrupt])
async def test_what_was_not_heard_of_is_no_failure(joint_maker: Maker, ends: Any) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(12))
        for times in range(4):
            claimed = (await claim(store, T0 + times)).claimed
            await settle(store, *(ends(each.delivery, T0 + times) for each in claimed))
        await claim(store, T0 + 10)
        # Nor is a lease that ends.
        assert len((await claim(store, T0 + 10 + LEASE_MS)).claimed) == 12
        assert await stored(store, endpoint) == endpoint


async def test_what_was_not_sent_is_no_failure(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(12))
        first, *rest = (await claim(store)).claimed
        await settle(store, cancel(first.delivery, T0, "nobody wants it"))
        await settle(store, *(postpone(each.delivery, T0, T0 + 1) for each in rest))
        assert await stored(store, endpoint) == endpoint


async def test_a_late_failure_of_an_older_claim_is_not_counted(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, new_event())
        [old] = (await claim(store)).claimed
        await claim(store, T0 + LEASE_MS)
        assert await settle(store, failed(old.delivery, T0 + LEASE_MS)) == []
        assert await health(store, endpoint) == (0, None, None)


async def test_an_update_leaves_the_health_as_it_is(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await open_circuit(store)
        # Read before it failed.
        await store.endpoint_store.update(changed(endpoint, name="renamed"))
        found = await stored(store, endpoint)
        assert (found.name, found.failures) == ("renamed", FAILURES_MAX)
        assert found.open_until == OPENED_AT + CIRCUIT_MS
        # And a repeat of it is one, whatever failed since.
        await store.endpoint_store.update(changed(endpoint, name="renamed"))


# --- the end --------------------------------------------------------------------------------------


async def test_five_days_of_nothing_but_failures_disable_the_endpoint(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await open_circuit(store)
        late = T0 + ERROR_AFTER_MS
        [early] = await fail(store, 1, late - 1)
        still = await stored(store, endpoint)
        assert (still.status, still.revision) == (EndpointStatus.ACTIVE, endpoint.revision)
        assert still.open_until is not None
        [last] = (await claim(store, still.open_until)).claimed
        settlement = failed(last.delivery, still.open_until)
        await settle(store, settlement)
        assert early.delivery.ref != last.delivery.ref
        disabled = await stored(store, endpoint)
        assert (disabled.status, disabled.revision) == (
            EndpointStatus.ERROR,
            endpoint.revision + 1,
        )
        assert disabled.updated_at == still.open_until + TOOK_MS
        assert disabled.failing_since == OPENED_AT
        # It gets nothing new, and a repeat of the settle changes nothing.
        assert (await emit(store, new_event())).events[0].delivery_count == 0
        assert await settle(store, settlement) == []
        assert await stored(store, endpoint) == disabled
        found = await claim(store, still.open_until + DAY_MS)
        assert (found.claimed, found.more, found.next_gate_at) == ([], False, None)


async def test_the_day_counts_to_the_ms(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await open_circuit(store)
        [probe] = (await claim(store, T0 + ERROR_AFTER_MS)).claimed
        await settle(store, failed(probe.delivery, T0 + ERROR_AFTER_MS))
        assert (await stored(store, endpoint)).status is EndpointStatus.ERROR


async def test_a_success_within_the_five_days_begins_them_anew(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await open_circuit(store)
        [probe] = (await claim(store, T0 + 4 * DAY_MS)).claimed
        await settle(store, succeeded(probe.delivery, T0 + 4 * DAY_MS))
        for second in range(FAILURES_MAX):
            await fail(store, 1, T0 + 6 * DAY_MS + second * SECOND_MS, limit=1)
        assert (await stored(store, endpoint)).status is EndpointStatus.ACTIVE


async def test_a_success_settled_with_the_last_failure_begins_them_anew(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(FAILURES_MAX + 2))
        claimed = (await claim(store)).claimed
        await settle(store, *(failed(each.delivery, T0) for each in claimed[:FAILURES_MAX]))
        late = T0 + ERROR_AFTER_MS
        [probe] = (await claim(store, late)).claimed
        slow = next(c for c in claimed[FAILURES_MAX:] if c.delivery.ref != probe.delivery.ref)
        await settle(store, failed(probe.delivery, late), succeeded(slow.delivery, late))
        assert (await stored(store, endpoint)).status is EndpointStatus.ACTIVE
        assert await health(store, endpoint) == (0, None, None)


async def test_two_failures_a_week_apart_are_no_five_days_of_failures(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(2))
        await fail(store, 1, limit=1)
        await fail(store, 1, T0 + 7 * DAY_MS, limit=1)
        assert (await stored(store, endpoint)).status is EndpointStatus.ACTIVE


async def test_an_endpoint_that_is_made_active_again_begins_anew_and_goes_on(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint = await open_circuit(store, events=30)
        await fail(store, 1, T0 + ERROR_AFTER_MS)
        disabled = await stored(store, endpoint)
        assert disabled.status is EndpointStatus.ERROR
        await store.endpoint_store.update(changed(disabled, name="still disabled"))
        disabled = await stored(store, endpoint)
        assert disabled.failures > 0
        back = changed(disabled, status=EndpointStatus.ACTIVE)
        await store.endpoint_store.update(back)
        found = await stored(store, endpoint)
        assert found == msgspec.structs.replace(
            back, failures=0, failing_since=None, open_until=None, paced_since=back.updated_at
        )
        # What has waited does not come all at once.
        assert len((await claim(store, T0 + ERROR_AFTER_MS)).claimed) == 2
        assert (await emit(store, new_event())).events[0].delivery_count == 1


async def test_an_endpoint_that_somebody_paused_fails_no_further(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(30))
        claimed = (await claim(store)).claimed
        await settle(store, failed(claimed[0].delivery))
        paused = changed(endpoint, status=EndpointStatus.INACTIVE)
        await store.endpoint_store.update(paused)
        before = await stored(store, endpoint)
        await settle(store, *(exhausted(each.delivery) for each in claimed[1:20]))
        await settle(store, succeeded(claimed[20].delivery), gone(claimed[21].delivery))
        assert await stored(store, endpoint) == before
