"""After so many failures in a row an endpoint is left alone for a while, and then tried out."""

from __future__ import annotations

from webhook.domain.health import (
    CIRCUIT_MS,
    CIRCUIT_MS_MAX,
    CLOCK_SLIP_MS,
    FAILURES_MAX,
)
from webhook.domain.ids import DeliveryRef

from .builders import (
    FAILED,
    LEASE_MS,
    SECOND_MS,
    T0,
    add_one,
    claim,
    emit,
    exhausted,
    failed,
    first_attempts,
    new_event,
    new_events,
    refs_of,
    settle,
    succeeded,
)
from .failing import OPENED_AT, TOOK_MS, fail, health, open_circuit, stored
from .stores import Maker, opened


async def test_the_circuit_opens_at_exactly_so_many_failures_in_a_row(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(20))
        await fail(store, FAILURES_MAX - 1, limit=FAILURES_MAX - 1)
        assert await health(store, endpoint) == (FAILURES_MAX - 1, OPENED_AT, None)
        [last] = await fail(store, 1, limit=1)
        assert await health(store, endpoint) == (
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
        await open_circuit(store)
        open_until = OPENED_AT + CIRCUIT_MS
        early = await claim(store, open_until - 1)
        assert (early.claimed, early.more, early.next_gate_at) == ([], False, open_until)
        probing = await claim(store, open_until)
        assert (len(probing.claimed), probing.more, probing.next_gate_at) == (1, False, None)
        beside = await claim(store, open_until + 20 * SECOND_MS)
        assert (beside.claimed, beside.more, beside.next_gate_at) == ([], False, None)


async def test_a_probe_whose_claimer_died_is_followed_by_another(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await open_circuit(store)
        probed_at = OPENED_AT + CIRCUIT_MS
        before = await health(store, endpoint)
        assert len((await claim(store, probed_at)).claimed) == 1
        assert (await claim(store, probed_at + LEASE_MS - 1)).claimed == []
        assert len((await claim(store, probed_at + LEASE_MS)).claimed) == 1
        assert await health(store, endpoint) == before


async def test_a_success_closes_the_circuit(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await open_circuit(store)
        probed_at = OPENED_AT + CIRCUIT_MS
        [probe] = (await claim(store, probed_at)).claimed
        await settle(store, succeeded(probe.delivery, probed_at))
        assert await health(store, endpoint) == (0, None, None)
        # The others go on, but not all at once.
        assert (await stored(store, endpoint)).paced_since == probed_at
        assert len((await claim(store, probed_at)).claimed) == 2


async def test_each_failed_probe_doubles_the_wait_up_to_its_cap(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await open_circuit(store)
        waits = []
        for number in range(1, 12):
            _, since, open_until = await health(store, endpoint)
            assert open_until is not None
            [probe] = (await claim(store, open_until)).claimed
            await settle(store, exhausted(probe.delivery, open_until))
            found = await health(store, endpoint)
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
        assert await health(store, endpoint) == (
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
        await fail(store, FAILURES_MAX - 1)
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
        await open_circuit(store)
        other = await add_one(store, FAILED)
        event = new_event(FAILED)
        await emit(store, event)
        found = await claim(store)
        assert refs_of(found.claimed) == [DeliveryRef(other.id, event.key)]
        assert found.more is False


async def test_the_earliest_gate_is_told(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await open_circuit(store)
        await add_one(store, FAILED, rate_limit_per_second=0.1)
        await emit(store, *new_events(2, FAILED))
        assert len((await claim(store)).claimed) == 1
        # 10 s for the rate's next start, 5 s for the circuit.
        assert (await claim(store)).next_gate_at == OPENED_AT + CIRCUIT_MS


async def test_a_clock_that_is_set_back_leaves_no_endpoint_alone_for_long(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        await open_circuit(store)
        back = OPENED_AT + CIRCUIT_MS - CIRCUIT_MS_MAX - CLOCK_SLIP_MS
        assert (await claim(store, back)).claimed == []
        assert len((await claim(store, back - 1)).claimed) == 1
