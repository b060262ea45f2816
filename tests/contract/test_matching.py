"""An event reaches the active endpoints of its tenant whose patterns and filters match."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.domain.model import EndpointStatus
from webhook.ports import WebhookPersistence

from .builders import (
    FAILED,
    SENT,
    add_one,
    changed,
    new_event,
    new_events,
)
from .stores import Maker, opened


async def _matched(store: WebhookPersistence, **event: Any) -> list[str]:
    [matched] = await store.endpoint_store.match([new_event(**event)])
    return sorted(matched)


async def test_an_event_matches_its_type_its_groups_and_all(maker: Maker) -> None:
    async with opened(maker) as store:
        exact = await add_one(store, "user.address.changed")
        near_group = await add_one(store, "user.address.*")
        far_group = await add_one(store, "user.*")
        everything = await add_one(store, "*")
        await add_one(store, "user.address")
        await add_one(store, "user")
        await add_one(store, "user.address.changed.*")
        await add_one(store, "user.addres.*")
        assert await _matched(store, event_type="user.address.changed") == sorted(
            each.id for each in (exact, near_group, far_group, everything)
        )


async def test_an_endpoint_whose_patterns_overlap_matches_once(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, "*", "message.*", SENT, SENT)
        assert await _matched(store) == [endpoint.id]


async def test_only_active_endpoints_of_the_events_tenant_match(maker: Maker) -> None:
    async with opened(maker) as store:
        active = await add_one(store)
        await add_one(store, tenant="acme")
        for status in EndpointStatus:
            if status is not EndpointStatus.ACTIVE:
                await add_one(store, status=status)
        assert await _matched(store) == [active.id]


async def test_an_endpoint_matches_again_when_it_is_active_again(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        paused = changed(endpoint, status=EndpointStatus.INACTIVE)
        await store.endpoint_store.update(paused)
        assert await _matched(store) == []
        await store.endpoint_store.update(changed(paused, status=EndpointStatus.ACTIVE))
        assert await _matched(store) == [endpoint.id]


async def test_each_event_of_a_call_is_matched_by_itself(maker: Maker) -> None:
    async with opened(maker) as store:
        sent, failed = await add_one(store, SENT), await add_one(store, FAILED)
        theirs = await add_one(store, tenant="acme")
        events = [
            new_event(FAILED),
            new_event("other.type"),
            new_event(SENT),
            new_event(SENT, tenant="acme"),
        ]
        assert await store.endpoint_store.match(events) == [
            [failed.id],
            [],
            [sent.id],
            [theirs.id],
        ]
        assert await store.endpoint_store.match([]) == []
        assert await store.endpoint_store.match(new_events(2)) == [[sent.id]] * 2


async def test_every_filter_must_match_and_any_of_its_values_may(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, filters={"provider": ("a", "b"), "region": ("eu",)})
        both: dict[str, object] = {"provider": "b", "region": "eu", "more": "x"}
        assert await _matched(store, metadata=both) == [endpoint.id]
        for metadata in (
            {"provider": "c", "region": "eu"},
            {"provider": "a", "region": "us"},
            {"provider": "a"},
            {"region": "eu"},
            {},
            {"provider": None, "region": "eu"},
            {"provider": {"a": "a"}, "region": "eu"},
        ):
            assert await _matched(store, metadata=metadata) == []


async def test_a_list_in_the_metadata_matches_by_any_of_its_items(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, filters={"tag": ("x", "y")})
        assert await _matched(store, metadata={"tag": ["w", "y"]}) == [endpoint.id]
        assert await _matched(store, metadata={"tag": ["w", ["y"]]}) == []
        assert await _matched(store, metadata={"tag": []}) == []


@pytest.mark.parametrize(
    ("accepted", "matching", "others"),
    [
        (1, [1, 1.0], ["1", True, 10]),
        ("1", ["1"], [1, 1.0, " 1"]),
        (True, [True], [1, "true", False]),
        (2.5, [2.5], ["2.5", 2]),
        ("Straße", ["Straße"], ["Strasse", "straße"]),
        ('a"b\\c:', ['a"b\\c:'], ['a"b', "a"]),
        ("", [""], [0, False]),
    ],
)
async def test_a_filter_tells_texts_numbers_and_truth_apart(
    maker: Maker, accepted: object, matching: list[object], others: list[object]
) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, filters={"key": (accepted,)})
        for value in matching:
            assert await _matched(store, metadata={"key": value}) == [endpoint.id]
        for value in others:
            assert await _matched(store, metadata={"key": value}) == []


async def test_a_filter_that_accepts_no_value_matches_nothing(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store, filters={"key": ()})
        assert await _matched(store, metadata={"key": "a"}) == []
        assert await _matched(store) == []


async def test_changed_filters_hold_for_the_next_event(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, filters={"key": ("a",)})
        open_to_all = changed(endpoint, filters={})
        await store.endpoint_store.update(open_to_all)
        assert await _matched(store) == [endpoint.id]
        await store.endpoint_store.update(changed(open_to_all, filters={"key": ("b",)}))
        assert await _matched(store, metadata={"key": "a"}) == []
        assert await _matched(store, metadata={"key": "b"}) == [endpoint.id]
