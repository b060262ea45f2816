"""Event types: twenty are built in, any other well-formed name is allowed."""

from __future__ import annotations

import pytest

from webhook.domain.event_types import (
    TYPE_CHARS_MAX,
    WebhookEventType,
    pattern_problem,
    type_problem,
)


def test_the_twenty_types_of_a_messaging_platform_are_built_in() -> None:
    assert len(WebhookEventType) == 20
    assert WebhookEventType.MESSAGE_SENT.value == "message.sent"
    assert all(type_problem(one) is None for one in WebhookEventType)
    assert all(pattern_problem(one) is None for one in WebhookEventType)


@pytest.mark.parametrize("text", ["a", "a.b", "order.paid", "a_b.c9", "9", "a.b.c.d.e", "a" * 128])
def test_well_formed_types(text: str) -> None:
    assert type_problem(text) is None
    assert pattern_problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "a.", ".a", "a..b", "A", "Message.Sent", "a b", "a-b", "a/b", "a\n", "a\0",
        "\u00e9", "\uff41", "a" * (TYPE_CHARS_MAX + 1),
    ],
)  # fmt: skip
def test_ill_formed_types(text: str) -> None:
    assert type_problem(text) is not None
    assert pattern_problem(text) is not None


@pytest.mark.parametrize("text", ["*", "a.*", "a.b.*", "message.*"])
def test_groups_are_patterns_but_no_types(text: str) -> None:
    assert pattern_problem(text) is None
    assert type_problem(text) is not None


@pytest.mark.parametrize("text", ["**", "*.a", "a*", "a.b*", "a.*.b", "a.**", "*.*", "a.*\n", ".*"])
def test_other_stars_are_no_patterns(text: str) -> None:
    assert pattern_problem(text) is not None
