"""How deep JSON is nested is told before any parser recurses, in time proportional to the text."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webhook.domain.errors import InvalidInput
from webhook.domain.json_text import DEPTH_MAX, check_depth


def is_too_deep(text: str) -> bool:
    try:
        check_depth(text)
    except InvalidInput:
        return True
    return False


def nested(levels: int, inner: str, kinds: list[bool]) -> str:
    text = inner
    for level in range(levels):
        text = f'{{"{{[\\"":{text},"]":0}}' if kinds[level % len(kinds)] else f"[{text},1]"
    return text


@given(
    levels=st.integers(DEPTH_MAX - 3, DEPTH_MAX + 3),
    scalar=st.text() | st.integers() | st.none(),
    kinds=st.lists(st.booleans(), min_size=1),
    ascii_only=st.booleans(),
)
@example(levels=DEPTH_MAX, scalar='a"[{\\', kinds=[True], ascii_only=True)
@example(levels=DEPTH_MAX + 1, scalar='\\\\"', kinds=[True], ascii_only=True)
def test_brackets_count_outside_strings_only(
    levels: int, scalar: object, kinds: list[bool], ascii_only: bool
) -> None:
    text = nested(levels, json.dumps(scalar, ensure_ascii=ascii_only), kinds)
    json.loads(text)
    assert is_too_deep(text) == (levels > DEPTH_MAX)


def test_many_shallow_values_are_no_depth() -> None:
    check_depth(json.dumps([{"a": [1, 2]}] * 10_000))


@pytest.mark.parametrize("closing", ['"', "", "\\"])
def test_a_million_quotes_take_no_time(closing: str) -> None:
    # A pattern for strings took 0.36 s for 4,000 of them, and four times as long for twice as many.
    check_depth("[" * (DEPTH_MAX - 1) + "[]" * 2 + '"' + '\\"' * 1_000_000 + closing)


def test_what_never_closes_is_too_deep() -> None:
    assert is_too_deep("[" * 200_000)
    assert is_too_deep('{"a":' * 200_000)
