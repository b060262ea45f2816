"""Failures in a row open an endpoint's circuit and in the end disable it; a success forgets them."""

from __future__ import annotations

import msgspec
import pytest

from webhook.domain.health import (
    CIRCUIT_MS,
    CIRCUIT_MS_MAX,
    CLOCK_SLIP_MS,
    ERROR_AFTER_MS,
    FAILURES_MAX,
)
from webhook.domain.ids import DeliveryRef
from webhook.domain.lifecycle import cancel, interrupt, postpone, release
from webhook.domain.model import Endpoint, EndpointStatus
from webhook.ports import Claimed, WebhookPersistence

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
    first_attempts,
    gone,
    new_event,
    new_events,
    refs_of,
    settle,
    succeeded,
)
from .stores import Maker, opened

# A failure takes 12 ms in these tests, and is counted when it ends.
TOOK_MS = 12
OPENED_AT = T0 + TOOK_MS


async def _endpoint(store: WebhookPersistence, endpoint: Endpoint) -> Endpoint:
    found = await store.endpoint_store.get(None, endpoint.id)
    assert found is not None
    return found


async def _health(
    store: WebhookPersistence, endpoint: Endpoint
) -> tuple[int, int | None, int | None]:
    found = await _endpoint(store, endpoint)
    return found.failures, found.failing_since, found.open_until


async def _fail(
    store: WebhookPersistence, times: int, now: int = T0, *, limit: int = 100
) -> list[Claimed]:
    """Let so many attempts fail, one settle each; they are not tried again soon."""
    claimed = (await claim(store, now, limit=limit)).claimed[:times]
    assert len(claimed) == times
    for each in claimed:
        await settle(store, exhausted(each.delivery, now))
    return claimed


async def _open(store: WebhookPersistence, events: int = 60) -> Endpoint:
    """Return an endpoint whose circuit has just opened, with events still waiting."""
    endpoint = await add_one(store)
    await emit(store, *new_events(events))
    await _fail(store, FAILURES_MAX, limit=FAILURES_MAX)
    return endpoint


# --- counting -------------------------------------------------------------------------------------


async def test_failures_in_a_row_are_counted_from_the_first(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(5))
        first, second, *rest = (await claim(store)).claimed
        await settle(store, failed(first.delivery, T0))
        assert await _health(store, endpoint) == (1, T0 + TOOK_MS, None)
        await settle(store, gone_wrong := failed(second.delivery, T0 + 50))
        assert await _health(store, endpoint) == (2, T0 + TOOK_MS, None)
        # A repeat, its outcome being unknown, counts nothing twice.
        assert await settle(store, gone_wrong) == []
        assert await _health(store, endpoint) == (2, T0 + TOOK_MS, None)
        await settle(store, *(exhausted(each.delivery, T0 + 90) for each in rest))
        assert await _health(store, endpoint) == (5, T0 + TOOK_MS, None)


async def test_a_success_forgets_the_failures_before_it(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(4))
        first, second, third, _ = (await claim(store)).claimed
        await settle(store, failed(first.delivery))
        await settle(store, succeeded(second.delivery))
        assert await _health(store, endpoint) == (0, None, None)
        await settle(store, failed(third.delivery, T0 + 40))
        assert await _health(store, endpoint) == (1, T0 + 40 + TOOK_MS, None)


async def test_of_one_settle_the_success_comes_last(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(12))
        first, *rest = (await claim(store)).claimed
        await settle(store, succeeded(first.delivery), *(exhausted(each.delivery) for each in rest))
        assert await _health(store, endpoint) == (0, None, None)


async def test_a_success_changes_nothing_of_an_endpoint_without_failures(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(3))
        claimed = (await claim(store)).claimed
        await settle(store, *(succeeded(each.delivery) for each in claimed))
        assert await _endpoint(store, endpoint) == endpoint


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
        assert await _health(store, bad) == (3, OPENED_AT, None)
        assert await _health(store, worse) == (FAILURES_MAX, OPENED_AT, OPENED_AT + CIRCUIT_MS)
        assert await _endpoint(store, good) == good


@pytest.mark.parametrize("ends", [release, interrupt])
async def test_what_was_not_heard_of_is_no_failure(joint_maker: Maker, ends: object) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(12))
        for times in range(4):
            claimed = (await claim(store, T0 + times)).claimed
            await settle(store, *(ends(each.delivery, T0 + times) for each in claimed))  # type: ignore[operator]
        await claim(store, T0 + 10)
        # Nor is a lease that ends.
        assert len((await claim(store, T0 + 10 + LEASE_MS)).claimed) == 12
        assert await _endpoint(store, endpoint) == endpoint


async def test_what_was_not_sent_is_no_failure(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(12))
        first, *rest = (await claim(store)).claimed
        await settle(store, cancel(first.delivery, T0, "nobody wants it"))
        await settle(store, *(postpone(each.delivery, T0, T0 + 1) for each in rest))
        assert await _endpoint(store, endpoint) == endpoint


async def test_a_late_failure_of_an_older_claim_is_not_counted(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, new_event())
        [old] = (await claim(store)).claimed
        await claim(store, T0 + LEASE_MS)
        assert await settle(store, failed(old.delivery, T0 + LEASE_MS)) == []
        assert await _health(store, endpoint) == (0, None, None)


async def test_an_update_leaves_the_health_as_it_is(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await _open(store)
        # Read before it failed.
        await store.endpoint_store.update(changed(endpoint, name="renamed"))
        stored = await _endpoint(store, endpoint)
        assert (stored.name, stored.failures) == ("renamed", FAILURES_MAX)
        assert stored.open_until == OPENED_AT + CIRCUIT_MS
        # And a repeat of it is one, whatever failed since.
        await store.endpoint_store.update(changed(endpoint, name="renamed"))


# --- the circuit ----------------------------------------------------------------------------------


async def test_the_circuit_opens_at_exactly_so_many_failures_in_a_row(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(20))
        await _fail(store, FAILURES_MAX - 1, limit=FAILURES_MAX - 1)
        assert await _health(store, endpoint) == (FAILURES_MAX - 1, OPENED_AT, None)
        [last] = await _fail(store, 1, limit=1)
        assert await _health(store, endpoint) == (
            FAILURES_MAX,
            OPENED_AT,
            OPENED_AT + CIRCUIT_MS,
        )
        found = await claim(store)
        assert (found.claimed, found.more) == ([], False)
        assert last.endpoint is not None
        assert last.endpoint.failures == FAILURES_MAX - 1


async def test_nothing_is_sent_while_the_circuit_is_open_and_then_one_at_a_time(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        await _open(store)
        open_until = OPENED_AT + CIRCUIT_MS
        early = await claim(store, open_until - 1)
        assert (early.claimed, early.more, early.next_gate_at) == ([], False, open_until)
        probing = await claim(store, open_until)
        assert (len(probing.claimed), probing.more, probing.next_gate_at) == (1, False, None)
        beside = await claim(store, open_until + 20 * SECOND_MS)
        assert (beside.claimed, beside.more, beside.next_gate_at) == ([], False, None)


async def test_a_probe_whose_claimer_died_is_followed_by_another(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await _open(store)
        probed_at = OPENED_AT + CIRCUIT_MS
        before = await _health(store, endpoint)
        assert len((await claim(store, probed_at)).claimed) == 1
        assert (await claim(store, probed_at + LEASE_MS - 1)).claimed == []
        assert len((await claim(store, probed_at + LEASE_MS)).claimed) == 1
        assert await _health(store, endpoint) == before


async def test_a_success_closes_the_circuit(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await _open(store)
        probed_at = OPENED_AT + CIRCUIT_MS
        [probe] = (await claim(store, probed_at)).claimed
        await settle(store, succeeded(probe.delivery, probed_at))
        assert await _health(store, endpoint) == (0, None, None)
        assert len((await claim(store, probed_at)).claimed) == 49


async def test_each_failed_probe_doubles_the_wait_up_to_its_cap(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await _open(store)
        waits = []
        for number in range(1, 12):
            _, since, open_until = await _health(store, endpoint)
            assert open_until is not None
            [probe] = (await claim(store, open_until)).claimed
            await settle(store, exhausted(probe.delivery, open_until))
            found = await _health(store, endpoint)
            assert found[:2] == (FAILURES_MAX + number, since)
            assert found[2] is not None
            waits.append(found[2] - open_until - TOOK_MS)
        doubled = [CIRCUIT_MS * 2**times for times in range(1, 12)]
        assert waits == [min(wait, CIRCUIT_MS_MAX) for wait in doubled]
        assert waits[-1] == CIRCUIT_MS_MAX


async def test_many_that_fail_at_once_open_the_circuit_once(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(40))
        claimed = (await claim(store)).claimed
        # Some together, and the stragglers while it is open.
        await settle(store, *(failed(each.delivery) for each in claimed[:25]))
        for each in claimed[25:]:
            await settle(store, failed(each.delivery, T0 + 1))
        assert await _health(store, endpoint) == (
            FAILURES_MAX,
            OPENED_AT,
            OPENED_AT + CIRCUIT_MS,
        )


async def test_an_accept_leases_nothing_of_an_endpoint_whose_circuit_has_opened(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(FAILURES_MAX))
        await _fail(store, FAILURES_MAX - 1)
        # It fails, but not that often: only the last one of the ten is missing.
        event = new_event()
        result = await emit(store, event, first=first_attempts(1))
        assert refs_of(result.claimed) == [DeliveryRef(endpoint.id, event.key)]
        await settle(store, exhausted(result.claimed[0].delivery))
        for now in (T0, OPENED_AT + CIRCUIT_MS):
            result = await emit(store, new_event(), first=first_attempts(1), now=now)
            assert (result.claimed, result.waiting) == ([], True)


async def test_one_open_circuit_hides_no_other_endpoint(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await _open(store)
        other = await add_one(store, FAILED)
        event = new_event(FAILED)
        await emit(store, event)
        found = await claim(store)
        assert refs_of(found.claimed) == [DeliveryRef(other.id, event.key)]
        assert found.more is False


async def test_the_earliest_gate_is_told(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await _open(store)
        await add_one(store, FAILED, rate_limit_per_second=0.1)
        await emit(store, *new_events(2, FAILED))
        assert len((await claim(store)).claimed) == 1
        # 10 s for the rate's next start, 5 s for the circuit.
        assert (await claim(store)).next_gate_at == OPENED_AT + CIRCUIT_MS


async def test_a_clock_that_is_set_back_leaves_no_endpoint_alone_for_long(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        await _open(store)
        back = OPENED_AT + CIRCUIT_MS - CIRCUIT_MS_MAX - CLOCK_SLIP_MS
        assert (await claim(store, back)).claimed == []
        assert len((await claim(store, back - 1)).claimed) == 1


# --- the end --------------------------------------------------------------------------------------


async def test_five_days_of_nothing_but_failures_disable_the_endpoint(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await _open(store)
        late = T0 + ERROR_AFTER_MS
        [early] = await _fail(store, 1, late - 1)
        still = await _endpoint(store, endpoint)
        assert (still.status, still.revision) == (EndpointStatus.ACTIVE, endpoint.revision)
        assert still.open_until is not None
        [last] = (await claim(store, still.open_until)).claimed
        settlement = failed(last.delivery, still.open_until)
        await settle(store, settlement)
        assert early.delivery.ref != last.delivery.ref
        disabled = await _endpoint(store, endpoint)
        assert (disabled.status, disabled.revision) == (
            EndpointStatus.ERROR,
            endpoint.revision + 1,
        )
        assert disabled.updated_at == still.open_until + TOOK_MS
        assert disabled.failing_since == OPENED_AT
        # It gets nothing new, and a repeat of the settle changes nothing.
        assert (await emit(store, new_event())).events[0].delivery_count == 0
        assert await settle(store, settlement) == []
        assert await _endpoint(store, endpoint) == disabled
        found = await claim(store, still.open_until + DAY_MS)
        assert (found.claimed, found.more, found.next_gate_at) == ([], False, None)


async def test_the_day_counts_to_the_ms(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await _open(store)
        [probe] = (await claim(store, T0 + ERROR_AFTER_MS)).claimed
        await settle(store, failed(probe.delivery, T0 + ERROR_AFTER_MS))
        assert (await _endpoint(store, endpoint)).status is EndpointStatus.ERROR


async def test_a_success_within_the_five_days_begins_them_anew(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await _open(store)
        [probe] = (await claim(store, T0 + 4 * DAY_MS)).claimed
        await settle(store, succeeded(probe.delivery, T0 + 4 * DAY_MS))
        await _fail(store, FAILURES_MAX, T0 + 6 * DAY_MS, limit=FAILURES_MAX)
        assert (await _endpoint(store, endpoint)).status is EndpointStatus.ACTIVE


async def test_two_failures_a_week_apart_are_no_five_days_of_failures(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(2))
        await _fail(store, 1, limit=1)
        await _fail(store, 1, T0 + 7 * DAY_MS, limit=1)
        assert (await _endpoint(store, endpoint)).status is EndpointStatus.ACTIVE


async def test_an_endpoint_that_is_made_active_again_begins_anew_and_goes_on(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint = await _open(store, events=30)
        await _fail(store, 1, T0 + ERROR_AFTER_MS)
        disabled = await _endpoint(store, endpoint)
        assert disabled.status is EndpointStatus.ERROR
        await store.endpoint_store.update(changed(disabled, name="still disabled"))
        disabled = await _endpoint(store, endpoint)
        assert disabled.failures > 0
        back = changed(disabled, status=EndpointStatus.ACTIVE)
        await store.endpoint_store.update(back)
        found = await _endpoint(store, endpoint)
        assert found == msgspec.structs.replace(
            back, failures=0, failing_since=None, open_until=None
        )
        assert len((await claim(store, T0 + ERROR_AFTER_MS)).claimed) == 19
        assert (await emit(store, new_event())).events[0].delivery_count == 1


async def test_an_endpoint_that_somebody_paused_fails_no_further(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(30))
        claimed = (await claim(store)).claimed
        await settle(store, failed(claimed[0].delivery))
        paused = changed(endpoint, status=EndpointStatus.INACTIVE)
        await store.endpoint_store.update(paused)
        before = await _endpoint(store, endpoint)
        await settle(store, *(exhausted(each.delivery) for each in claimed[1:20]))
        await settle(store, succeeded(claimed[20].delivery), gone(claimed[21].delivery))
        assert await _endpoint(store, endpoint) == before
