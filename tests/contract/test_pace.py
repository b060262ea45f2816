"""An endpoint that comes back is not flooded with what has waited for it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from webhook.domain.health import (
    CIRCUIT_MS,
    FAILURES_MAX,
    GOOD_RATE_ROWS_MAX,
    PACE_DOUBLING_MS,
)
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import Endpoint, EndpointStatus
from webhook.ports import WebhookPersistence

from .builders import (
    SECOND_MS,
    T0,
    add_one,
    changed,
    claim,
    emit,
    exhausted,
    first_attempts,
    new_event,
    new_events,
    refs_of,
    settle,
    succeeded,
)
from .failing import fail, stored
from .stores import Maker, opened


async def _succeed(store: WebhookPersistence, count: int, every_ms: int, at: int = T0) -> int:
    """Let one event after the other arrive; return when the next one would."""
    times = [at + place * every_ms for place in range(count)]
    await emit(store, *(new_event(at=each) for each in times), now=at)
    claimed = (await claim(store, times[-1], limit=count, per_endpoint=count)).claimed
    assert len(claimed) == count
    await settle(
        store,
        *(succeeded(one.delivery, now) for one, now in zip(claimed, times, strict=True)),
    )
    return at + count * every_ms


async def _go_down(store: WebhookPersistence, at: int, waiting: int = 0) -> None:
    """Let the circuit open at ``at``, with so many waiting."""
    await emit(store, *new_events(FAILURES_MAX + waiting, at=at), now=at)
    claimed = (await claim(store, at, limit=FAILURES_MAX)).claimed
    await settle(store, *(exhausted(each.delivery, at) for each in claimed))


async def _come_back(store: WebhookPersistence, at: int) -> None:
    [probe] = (await claim(store, at)).claimed
    await settle(store, succeeded(probe.delivery, at))


async def _drain(store: WebhookPersistence, at: int, until: int) -> list[int]:
    """Let what is claimed every half second succeed; return the starts that it was given."""
    starts: list[int] = []
    for now in range(at, until, SECOND_MS // 2):
        claimed = (await claim(store, now)).claimed
        times = [now + each.start_in_ms for each in claimed]
        starts += times
        outcomes = zip(claimed, times, strict=True)
        await settle(store, *(succeeded(each.delivery, start) for each, start in outcomes))
    return starts


async def _paced(store: WebhookPersistence, waiting: int, **limits: float) -> tuple[Endpoint, int]:
    """Return an endpoint that has just come back, and when; 10 a second went well before."""
    endpoint = await add_one(store)
    down_at = await _succeed(store, 150, 100)
    await _go_down(store, down_at, waiting)
    if limits:
        await store.endpoint_store.update(endpoint := changed(endpoint, **limits))
    back_at = down_at + 10 * CIRCUIT_MS
    await _come_back(store, back_at)
    return endpoint, back_at


async def test_what_waited_comes_at_twice_the_last_good_rate(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, back_at = await _paced(store, 201)
        paced = await stored(store, endpoint)
        assert (paced.good_rate, paced.paced_since) == (10.0, back_at)
        starts = await _drain(store, back_at, back_at + 15 * SECOND_MS)
        assert len(starts) == 200
        assert {later - earlier for earlier, later in pairwise(starts)} == {50}
        # With nothing left it is an endpoint like any other.
        assert (await stored(store, endpoint)).paced_since is None
        event = new_event(at=back_at)
        now = back_at + 15 * SECOND_MS
        result = await emit(store, event, first=first_attempts(1), now=now)
        assert refs_of(result.claimed) == [DeliveryRef(endpoint.id, event.key)]


async def test_a_limit_below_the_pace_holds(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, back_at = await _paced(store, 41, rate_limit_per_second=4)
        starts = await _drain(store, back_at, back_at + 12 * SECOND_MS)
        assert len(starts) == 40
        assert min(later - earlier for earlier, later in pairwise(starts)) == 250


async def test_a_limit_above_the_pace_does_not_lift_it(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, back_at = await _paced(store, 41, rate_limit_per_second=400)
        starts = await _drain(store, back_at, back_at + 5 * SECOND_MS)
        assert min(later - earlier for earlier, later in pairwise(starts)) == 50


async def test_a_paced_endpoint_gets_no_first_attempt_at_once(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        _, back_at = await _paced(store, 100)
        result = await emit(store, new_event(), first=first_attempts(1), now=back_at)
        assert (result.claimed, result.waiting) == ([], True)


async def test_one_that_missed_its_start_takes_another_of_the_pace(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, back_at = await _paced(store, 100)
        taken = await claim(store, back_at, limit=1)
        assert [each.start_in_ms for each in taken.claimed] == [50]
        deliveries = store.delivery_store
        assert await deliveries.take_start(endpoint.id, back_at, SECOND_MS) == 100
        assert await deliveries.take_start(endpoint.id, back_at, 60) == 150
        [following] = (await claim(store, back_at, limit=1)).claimed
        assert following.start_in_ms == 150


async def test_one_for_which_nothing_waited_is_not_paced(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await _paced(store, 1)
        assert (await stored(store, endpoint)).paced_since is None


async def test_one_of_which_nothing_is_known_gets_two_a_second(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await _go_down(store, T0, 20)
        await _come_back(store, T0 + 2 * CIRCUIT_MS)
        starts = await _drain(store, T0 + 2 * CIRCUIT_MS, T0 + 4 * CIRCUIT_MS)
        assert {later - earlier for earlier, later in pairwise(starts)} == {500}
        assert (await stored(store, endpoint)).good_rate == 1.0


async def test_the_good_rate_is_that_of_the_last_ten_seconds_with_a_success(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        at = await _succeed(store, 100, 20)
        at = await _succeed(store, 60, 200, at)
        await _go_down(store, at + 3600 * SECOND_MS)
        assert (await stored(store, endpoint)).good_rate == 5.0


async def test_no_more_rows_are_read_for_it_than_its_bound(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, *new_events(GOOD_RATE_ROWS_MAX + 500))
        taken = await claim(store, limit=5000, per_endpoint=5000)
        await settle(store, *(succeeded(each.delivery) for each in taken.claimed))
        await _go_down(store, T0 + 5 * SECOND_MS)
        # All within a moment: as if within a second.
        assert (await stored(store, endpoint)).good_rate == GOOD_RATE_ROWS_MAX - FAILURES_MAX


async def test_one_that_goes_down_while_it_is_paced_keeps_the_greater_rate(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint, back_at = await _paced(store, 60)
        for place in range(FAILURES_MAX):
            await fail(store, 1, back_at + (5 + place) * SECOND_MS, limit=1)
        found = await stored(store, endpoint)
        assert (found.failures, found.good_rate) == (FAILURES_MAX, 10.0)
        again_at = back_at + 60 * SECOND_MS
        await _come_back(store, again_at)
        assert (await stored(store, endpoint)).paced_since == again_at


async def test_a_pace_that_has_gone_well_for_an_hour_doubles(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, back_at = await _paced(store, 100)
        [early, late, later, *_] = (await claim(store, back_at)).claimed
        due_at = back_at + PACE_DOUBLING_MS
        await settle(store, succeeded(early.delivery, due_at - 1))
        assert (await stored(store, endpoint)).good_rate == 10.0
        await settle(store, succeeded(late.delivery, due_at))
        await settle(store, succeeded(later.delivery, due_at + 1))
        found = await stored(store, endpoint)
        assert (found.good_rate, found.paced_since) == (20.0, due_at)


async def test_a_clock_that_was_set_back_does_not_keep_the_pace_down(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, back_at = await _paced(store, 100)
        [first, second, *_] = (await claim(store, back_at)).claimed
        earlier = back_at - PACE_DOUBLING_MS
        await settle(store, succeeded(first.delivery, earlier + 1))
        assert (await stored(store, endpoint)).paced_since == back_at
        await settle(store, succeeded(second.delivery, earlier))
        found = await stored(store, endpoint)
        assert (found.good_rate, found.paced_since) == (20.0, earlier)


async def test_a_pace_ends_that_has_become_as_great_as_any(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint, back_at = await _paced(store, 100)
        claimed = (await claim(store, back_at)).claimed
        rates = []
        for hour, each in enumerate(claimed[:8], start=1):
            await settle(store, succeeded(each.delivery, back_at + hour * PACE_DOUBLING_MS))
            rates.append((await stored(store, endpoint)).rate)
        assert rates == [40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 2560.0, None]


@pytest.mark.parametrize("status", [EndpointStatus.INACTIVE, EndpointStatus.SUSPENDED])
async def test_a_pause_does_not_end_a_pace(joint_maker: Maker, status: EndpointStatus) -> None:
    async with opened(joint_maker) as store:
        endpoint, _ = await _paced(store, 100)
        paused = changed(endpoint, status=status)
        await store.endpoint_store.update(paused)
        await store.endpoint_store.update(changed(paused, status=EndpointStatus.ACTIVE))
        assert (await stored(store, endpoint)).paced_since == endpoint.updated_at
