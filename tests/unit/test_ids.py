"""Keys and ids: they sort by time, keep a batch's order, and are read back into their parts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.domain.ids import (
    ALPHABET,
    KEY_CHARS,
    KEY_MAX,
    DeliveryRef,
    KeyMaker,
    event_key,
    is_endpoint_id,
    is_key,
    key_floor,
    key_time_ms,
    parse_delivery_id,
)

TIMES = st.integers(0, (1 << 48) - 1)
KEYS = st.text(ALPHABET, min_size=KEY_CHARS, max_size=KEY_CHARS)
WORST_CHANCE = b"\xff" * 10


def maker(chance: bytes = bytes(10)) -> KeyMaker:
    return KeyMaker(lambda count: chance[:count])


@given(TIMES, st.binary(min_size=10, max_size=10))
def test_a_key_gives_its_time_back(now: int, chance: bytes) -> None:
    key = maker(chance)(now)
    assert is_key(key)
    assert key_time_ms(key) == now


@given(TIMES, TIMES, st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_keys_sort_by_time(first: int, second: int, one: bytes, other: bytes) -> None:
    if first < second:
        assert maker(one)(first) < maker(other)(second)


@pytest.mark.parametrize("chance", [bytes(10), WORST_CHANCE])
def test_keys_of_one_millisecond_rise(chance: bytes) -> None:
    make = maker(chance)
    keys = [make(1_700_000_000_000) for _ in range(2_000)]
    assert all(one < other for one, other in itertools.pairwise(keys))
    assert {key_time_ms(key) for key in keys} == {1_700_000_000_000}


def test_chance_is_drawn_anew_for_each_millisecond_and_not_before_the_first_key() -> None:
    drawn: list[int] = []

    def random_bytes(count: int) -> bytes:
        drawn.append(count)
        return bytes(count)

    make = KeyMaker(random_bytes)
    assert drawn == []
    make(1)
    make(1)
    assert drawn == [10]
    make(2)
    make(1)
    assert drawn == [10, 10, 10]


@given(TIMES, st.binary(min_size=10, max_size=10))
def test_the_floor_of_a_time_is_below_its_keys_and_above_earlier_ones(
    now: int, chance: bytes
) -> None:
    assert key_floor(now) <= maker(chance)(now) <= KEY_MAX
    if now:
        assert maker(WORST_CHANCE)(now - 1) < key_floor(now)


def test_the_floor_of_a_time_before_1970_is_the_lowest_key() -> None:
    assert key_floor(-1) == key_floor(0) == "0" * KEY_CHARS


@given(KEYS, KEYS)
def test_a_delivery_id_is_read_back_into_its_parts(endpoint: str, key: str) -> None:
    ref = DeliveryRef(f"ep_{endpoint}", key)
    assert parse_delivery_id(ref.id) == ref
    assert "." not in ref.id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dlv_",
        "dlv_" + "0" * 51,
        "dlv_" + "0" * 53,
        "dlv_" + "0" * 51 + "u",
        "dlv_" + "0" * 51 + "A",
        "dlv_" + "0" * 51 + "\n",
        "dlv_" + "0" * 52 + "\n",
        "evt_" + "0" * 52,
        "0" * 52,
        "DLV_" + "0" * 52,
        "dlv_" + "\u0660" * 52,
    ],
)
def test_other_texts_are_no_delivery_ids(text: str) -> None:
    assert parse_delivery_id(text) is None


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading(text: str) -> None:
    for candidate in (text, f"dlv_{text}", f"evt_{text}", f"ep_{text}"):
        ref = parse_delivery_id(candidate)
        assert ref is None or ref.id == candidate
        key = event_key(candidate)
        assert key is None or f"evt_{key}" == candidate
        is_endpoint_id(candidate)


def test_only_ids_of_our_making_hold_a_key() -> None:
    key = maker()(1)
    assert event_key(f"evt_{key}") == key
    assert event_key(key) is None
    assert event_key(f"evt_{key}0") is None
    assert event_key("evt_order-17") is None


def test_endpoint_ids() -> None:
    assert is_endpoint_id("ep_" + "0" * 26)
    assert not is_endpoint_id("ep_" + "0" * 25)
    assert not is_endpoint_id("0" * 26)
    assert not is_endpoint_id("ep_" + "0" * 26 + "\n")
