"""The walk of a claim is fair to every lane, keeps to its bounds, and goes on where it ended."""

from __future__ import annotations

from collections import Counter

import pytest

from webhook.domain.ids import DeliveryRef, endpoint_of_lane, lane_of
from webhook.domain.lifecycle import release
from webhook.ports import WebhookPersistence

from .builders import (
    T0,
    add,
    add_one,
    add_with_events,
    claim,
    emit,
    new_endpoint,
    new_event,
    new_events,
    refs_of,
    settle,
)
from .stores import Maker, opened


async def _add_many(store: WebhookPersistence, endpoints: int, events: int) -> list[str]:
    """Add endpoints for all events, emit some, and return the endpoints' ids."""
    added = [new_endpoint(at=T0 + index) for index in range(endpoints)]
    await add(store, *added)
    for event in new_events(events):
        await emit(store, event)
    return [endpoint.id for endpoint in added]


def test_a_lane_is_an_endpoints_id_turned_round() -> None:
    endpoint_id = "ep_0123456789abcdefghjkmnpqrs"
    assert lane_of(endpoint_id) == "abcdefghjkmnpqrs0123456789"
    assert endpoint_of_lane(lane_of(endpoint_id)) == endpoint_id


async def test_a_claim_takes_no_more_than_its_limit(maker: Maker) -> None:
    async with opened(maker) as store:
        await _add_many(store, endpoints=5, events=4)
        counts = []
        for _ in range(4):
            found = await claim(store, limit=6)
            counts.append((len(found.claimed), found.more))
        assert counts == [(6, True), (6, True), (6, True), (2, False)]


async def test_a_claim_takes_no_more_of_one_endpoint_than_asked(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint_ids = await _add_many(store, endpoints=3, events=5)
        found = await claim(store, per_endpoint=2)
        counts = Counter(each.delivery.endpoint_id for each in found.claimed)
        assert counts == dict.fromkeys(endpoint_ids, 2)
        assert found.more is True


async def test_what_a_claimer_holds_already_counts_against_an_endpoints_share(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        first, second, third, fourth = await _add_many(store, endpoints=4, events=5)
        in_flight = {first: 1, second: 3, third: 9, "ep_unknown": 3}
        found = await claim(store, per_endpoint=3, in_flight=in_flight)
        counts = Counter(each.delivery.endpoint_id for each in found.claimed)
        assert counts == {first: 2, fourth: 3}
        assert found.more is True
        assert len((await claim(store)).claimed) == 15


async def test_more_says_that_a_full_endpoint_has_work_left(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, _ = await add_with_events(store, 2)
        found = await claim(store, per_endpoint=1, in_flight={endpoint.id: 1})
        assert (found.claimed, found.more) == ([], True)


async def test_one_busy_endpoint_does_not_hold_up_the_others(maker: Maker) -> None:
    async with opened(maker) as store:
        busy = await add_one(store, "busy.type")
        quiet = await add_one(store, "quiet.type")
        await emit(store, *new_events(60, "busy.type"))
        await emit(store, new_event("quiet.type", at=T0 + 100))
        for start in ("", lane_of(busy.id), lane_of(quiet.id)):
            found = await claim(store, T0, limit=20, per_endpoint=5, start=start)
            counts = Counter(each.delivery.endpoint_id for each in found.claimed)
            assert counts == {busy.id: 5, quiet.id: 1}
            await settle(store, *(release(each.delivery, T0) for each in found.claimed))


async def test_the_walk_goes_on_where_it_ended_and_reaches_every_lane(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint_ids = await _add_many(store, endpoints=300, events=2)
        start = ""
        for _ in range(2):
            reached: Counter[str] = Counter()
            for _ in range(30):
                found = await claim(store, limit=10, per_endpoint=1, start=start)
                reached.update(each.delivery.endpoint_id for each in found.claimed)
                start = found.next_start
            assert reached == dict.fromkeys(endpoint_ids, 1)
        assert (await claim(store, start=start)).claimed == []


@pytest.mark.parametrize("start", ["0", "b", "m~", "zzzz", "~", "ep_", "ü", "'"])
async def test_a_walk_may_begin_at_any_text(maker: Maker, start: str) -> None:
    async with opened(maker) as store:
        endpoint_ids = await _add_many(store, endpoints=20, events=1)
        found = await claim(store, start=start)
        assert sorted(each.delivery.endpoint_id for each in found.claimed) == sorted(endpoint_ids)


async def test_a_walk_takes_the_lanes_in_order_from_its_start(maker: Maker) -> None:
    async with opened(maker) as store:
        lanes = sorted(map(lane_of, await _add_many(store, endpoints=9, events=1)))
        found = await claim(store, limit=5, start=lanes[6] + "~")
        assert sorted(lane_of(each.delivery.endpoint_id) for each in found.claimed) == sorted(
            [*lanes[7:], *lanes[:3]]
        )
        rest = await claim(store, limit=3, start=found.next_start)
        assert sorted(lane_of(each.delivery.endpoint_id) for each in rest.claimed) == lanes[3:6]


async def test_a_walk_that_ends_at_a_lane_comes_back_to_it_last(maker: Maker) -> None:
    async with opened(maker) as store:
        lanes = sorted(map(lane_of, await _add_many(store, endpoints=3, events=2)))
        found = await claim(store, limit=2, per_endpoint=1, start=lanes[1])
        taken = sorted(lane_of(each.delivery.endpoint_id) for each in found.claimed)
        assert taken == sorted([lanes[2], lanes[0]])


async def test_a_walk_that_took_nothing_begins_where_it_began(maker: Maker) -> None:
    async with opened(maker) as store:
        lanes = sorted(map(lane_of, await _add_many(store, endpoints=3, events=1)))
        busy = {endpoint_of_lane(lane): 1 for lane in lanes}
        nothing = await claim(store, per_endpoint=1, in_flight=busy, start=lanes[0])
        assert nothing.claimed == []
        found = await claim(store, limit=1, start=nothing.next_start)
        assert [lane_of(each.delivery.endpoint_id) for each in found.claimed] == [lanes[1]]


async def test_a_claim_takes_no_more_payload_than_fits(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        events = new_events(5, data="x" * 400)
        await emit(store, *events)
        size = events[0].size
        refs = [DeliveryRef(endpoint.id, event.key) for event in events]
        exact = await claim(store, payload_bytes_max=2 * size)
        assert (refs_of(exact.claimed), exact.more) == (refs[:2], True)
        short = await claim(store, payload_bytes_max=3 * size - 1)
        assert (refs_of(short.claimed), short.more) == (refs[2:4], True)


async def test_a_first_payload_is_given_whatever_its_size(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        events = new_events(2, data="x" * 400)
        await emit(store, *events)
        for event in events:
            found = await claim(store, payload_bytes_max=1)
            assert refs_of(found.claimed) == [DeliveryRef(endpoint.id, event.key)]


async def test_payload_is_counted_in_bytes(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        events = new_events(2, data="é" * 400)
        await emit(store, *events)
        both_in_characters = sum(len(event.payload) for event in events)
        found = await claim(store, payload_bytes_max=both_in_characters)
        assert len(found.claimed) == 1
