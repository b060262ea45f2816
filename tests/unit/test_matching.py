"""Who receives what: a type's patterns, and filters that fail closed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.domain.event_types import OPERATIONAL_TYPES, pattern_problem
from webhook.domain.matching import (
    Filters,
    facets,
    filter_groups,
    groups_match,
    patterns_for,
    subscription_matches,
)
from webhook.domain.model import Endpoint, EndpointStatus, NewEvent

TYPES = st.lists(st.text("ab_9", min_size=1, max_size=3), min_size=1, max_size=4).map(".".join)
SCALARS = st.text(max_size=3) | st.integers(-3, 3) | st.booleans() | st.floats(allow_nan=False)
VALUES = st.lists(SCALARS, min_size=1, max_size=3)


def matches_event(
    event_types: list[str], filters: Filters, event_type: str, metadata: dict[str, Any]
) -> bool:
    return subscription_matches(endpoint(event_types, filters), event(event_type, metadata))


def endpoint(
    event_types: list[str],
    filters: Filters,
    tenant: str = "default",
    status: EndpointStatus = EndpointStatus.ACTIVE,
) -> Endpoint:
    return Endpoint(
        id="ep_1",
        tenant=tenant,
        url="https://example.com/",
        event_types=tuple(event_types),
        filters={key: tuple(values) for key, values in filters.items()},
        created_at=1,
        updated_at=1,
        status=status,
    )


def event(event_type: str, metadata: dict[str, Any]) -> NewEvent:
    return NewEvent(
        key="0" * 26,
        tenant="default",
        type=event_type,
        payload="{}",
        size=2,
        patterns=patterns_for(event_type),
        facets=facets(metadata),
    )


def test_only_active_endpoints_of_the_event_s_tenant_receive_it() -> None:
    sent = event("a", {})
    assert subscription_matches(endpoint(["a"], {}), sent)
    assert not subscription_matches(endpoint(["a"], {}, tenant="other"), sent)
    for status in set(EndpointStatus) - {EndpointStatus.ACTIVE}:
        assert not subscription_matches(endpoint(["a"], {}, status=status), sent)


def test_the_patterns_of_a_type_are_itself_its_groups_and_all() -> None:
    assert patterns_for("a.b.c") == ["a.b.c", "a.b.*", "a.*", "*"]
    assert patterns_for("a") == ["a", "*"]


@pytest.mark.parametrize("name", sorted(OPERATIONAL_TYPES))
def test_a_star_means_no_operational_event(name: str) -> None:
    group = name.partition(".")[0]
    assert patterns_for(name) == [name, f"{group}.*"]


@given(TYPES)
def test_every_pattern_of_a_type_is_well_formed_and_matches_it(event_type: str) -> None:
    for pattern in patterns_for(event_type):
        assert pattern_problem(pattern) is None
        assert matches_event([pattern], {}, event_type, {})


@pytest.mark.parametrize(
    ("pattern", "event_type", "matches"),
    [
        ("message.*", "message.sent", True),
        ("message.*", "message.sent.late", True),
        ("message.*", "message", False),
        ("message.*", "messages.sent", False),
        ("message.sent", "message.sent.late", False),
        ("message.sent", "message.sent", True),
        ("mess.*", "message.sent", False),
        ("*", "anything", True),
    ],
)
def test_patterns(pattern: str, event_type: str, *, matches: bool) -> None:
    assert matches_event([pattern], {}, event_type, {}) is matches


def test_no_pattern_matches_nothing() -> None:
    assert not matches_event([], {}, "a", {})


@pytest.mark.parametrize(
    ("filters", "metadata", "matches"),
    [
        ({}, {}, True),
        ({}, {"a": 1}, True),
        ({"a": ["x"]}, {}, False),
        ({"a": ["x"]}, {"a": None}, False),
        ({"a": ["x"]}, {"a": {"x": "x"}}, False),
        ({"a": ["x"]}, {"b": "x"}, False),
        ({"a": ["x"]}, {"a": "x"}, True),
        ({"a": ["x", "y"]}, {"a": "y"}, True),
        ({"a": ["x"]}, {"a": ["y", "x"]}, True),
        ({"a": ["x"]}, {"a": []}, False),
        ({"a": ["x"]}, {"a": [["x"]]}, False),
        ({"a": ["x"], "b": ["y"]}, {"a": "x"}, False),
        ({"a": ["x"], "b": ["y"]}, {"a": "x", "b": "y"}, True),
        ({"a": []}, {"a": "x"}, False),
        # JSON has one kind of number, but truth is none, and text is not a number.
        ({"a": [1]}, {"a": 1.0}, True),
        ({"a": [1.0]}, {"a": 1}, True),
        ({"a": [0]}, {"a": -0.0}, True),
        ({"a": [1.5]}, {"a": 1.5}, True),
        ({"a": [1]}, {"a": True}, False),
        ({"a": [True]}, {"a": 1}, False),
        ({"a": [True]}, {"a": True}, True),
        ({"a": ["1"]}, {"a": 1}, False),
        ({"a": ["true"]}, {"a": True}, False),
        ({"a": [2**60]}, {"a": 2**60 + 1}, False),
        ({"a": ["X"]}, {"a": "x"}, False),
        ({'a":"x': ["y"]}, {"a": 'x":"y'}, False),
        ({"\u00e9": ["\u2713"]}, {"\u00e9": "\u2713"}, True),
    ],
)
def test_filters_and_together_or_within_and_fail_closed(
    filters: Filters, metadata: dict[str, Any], *, matches: bool
) -> None:
    assert matches_event(["*"], filters, "a", metadata) is matches


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=3))
def test_metadata_that_holds_one_accepted_value_of_each_key_matches(
    filters: dict[str, list[str | int | float | bool]],
) -> None:
    metadata = {key: values[-1] for key, values in filters.items()}
    assert matches_event(["*"], filters, "a", {**metadata, "other": "x"})
    for key in filters:
        rest = {name: value for name, value in metadata.items() if name != key}
        assert not matches_event(["*"], filters, "a", rest)


@given(st.dictionaries(st.text(max_size=3), SCALARS, max_size=4))
def test_facets_of_different_pairs_differ(metadata: dict[str, Any]) -> None:
    assert len(set(facets(metadata))) == len(metadata)


def test_groups_are_in_the_order_of_their_keys() -> None:
    assert filter_groups({"b": ["x"], "a": [1, True]}) == [['"a":1', '"a":true'], ['"b":"x"']]
    assert groups_match([], [])
    assert not groups_match([[]], ["x"])


def test_numbers_beyond_all_measure_break_nothing() -> None:
    assert facets({"a": float("inf"), "b": 1e308, "c": 10**300})
