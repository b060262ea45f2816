"""When to try again: the schedule, back-off, jitter, and what receivers ask for."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.domain.retry import (
    DEFAULT_SCHEDULE_S,
    DELAY_MAX_MS,
    RETRIES_MAX,
    RETRY_AFTER_MAX_MS,
    RetryPolicy,
    retry_after_ms,
)

CHANCES = st.floats(0, 1, exclude_max=True)
MIDDLE = 0.5
NOW = 1_795_530_233_000
DAY_MS = 86_400_000


def waits(policy: RetryPolicy, chance: float = MIDDLE) -> list[int]:
    found: list[int] = []
    while (wait := policy.delay_ms(len(found) + 1, chance)) is not None:
        found.append(wait)
        assert len(found) <= RETRIES_MAX
    assert policy.delay_ms(len(found) + 2, chance) is None
    return found


def test_the_default_schedule_is_nine_steps_from_five_seconds_to_a_day() -> None:
    assert waits(RetryPolicy()) == [seconds * 1000 for seconds in DEFAULT_SCHEDULE_S]
    assert DEFAULT_SCHEDULE_S == (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)


def test_a_schedule_of_ones_own() -> None:
    assert waits(RetryPolicy(schedule_s=(0, 0.25, 7))) == [0, 250, 7000]


@pytest.mark.parametrize(
    "policy",
    [
        RetryPolicy(max_retries=0),
        RetryPolicy(schedule_s=()),
        RetryPolicy(schedule_s=(1, 2), max_retries=0),
        RetryPolicy(retry_delay_ms=1000, max_retries=0),
    ],
)
def test_no_retries_means_none(policy: RetryPolicy) -> None:
    assert waits(policy) == []


def test_max_retries_cuts_a_schedule_but_does_not_lengthen_it() -> None:
    assert waits(RetryPolicy(schedule_s=(1, 2, 3), max_retries=2)) == [1000, 2000]
    assert waits(RetryPolicy(schedule_s=(1, 2, 3), max_retries=9)) == [1000, 2000, 3000]


def test_exponential_back_off_multiplies_and_is_capped() -> None:
    policy = RetryPolicy(retry_delay_ms=1000, backoff_multiplier=3, max_delay_ms=20_000,
                         max_retries=6)  # fmt: skip
    assert waits(policy) == [1000, 3000, 9000, 20_000, 20_000, 20_000]


def test_exponential_back_off_has_as_many_retries_as_the_schedule_unless_told() -> None:
    assert len(waits(RetryPolicy(retry_delay_ms=1))) == len(DEFAULT_SCHEDULE_S)


def test_a_delay_of_zero_is_a_delay() -> None:
    assert waits(RetryPolicy(retry_delay_ms=0, max_retries=3)) == [0, 0, 0]


def test_the_last_of_many_retries_with_the_steepest_back_off_is_finite() -> None:
    policy = RetryPolicy(
        retry_delay_ms=DELAY_MAX_MS,
        backoff_multiplier=100,
        max_delay_ms=DELAY_MAX_MS,
        max_retries=RETRIES_MAX,
    )
    assert max(waits(policy)) == DELAY_MAX_MS


POLICIES = st.builds(
    RetryPolicy,
    schedule_s=st.none() | st.lists(st.floats(0, 1e5), max_size=5).map(tuple),
    retry_delay_ms=st.none() | st.integers(0, DELAY_MAX_MS),
    backoff_multiplier=st.floats(1, 100),
    max_delay_ms=st.integers(0, DELAY_MAX_MS),
    max_retries=st.none() | st.integers(0, RETRIES_MAX),
    jitter=st.floats(0, 1),
)


@given(POLICIES, CHANCES, st.integers(1, RETRIES_MAX))
def test_jitter_stays_inside_its_share(policy: RetryPolicy, chance: float, retry: int) -> None:
    wait = policy.delay_ms(retry, chance)
    plain = msgspec.structs.replace(policy, jitter=0).delay_ms(retry, chance)
    assert (wait is None) == (plain is None)
    if wait is not None and plain is not None:
        assert plain * (1 - policy.jitter) - 1 <= wait <= plain * (1 + policy.jitter) + 1
        assert wait >= 0


BACK_OFF = st.builds(
    RetryPolicy,
    retry_delay_ms=st.integers(0, DELAY_MAX_MS),
    max_delay_ms=st.integers(0, DELAY_MAX_MS),
    jitter=st.floats(0, 1),
)


@given(BACK_OFF, CHANCES)
def test_with_back_off_no_wait_is_longer_than_the_cap_jitter_included(
    policy: RetryPolicy, chance: float
) -> None:
    assert max(waits(policy, chance)) <= policy.max_delay_ms


def test_jitter_reaches_both_ends() -> None:
    policy = RetryPolicy(schedule_s=(100,), jitter=0.2)
    assert policy.delay_ms(1, 0.0) == 80_000
    assert policy.delay_ms(1, 0.5) == 100_000
    assert policy.delay_ms(1, 0.9999999) == 120_000


@pytest.mark.parametrize(
    ("value", "wait_ms"),
    [
        (None, None),
        ("", None),
        ("120", 120_000),
        (" 120 ", 120_000),
        ("0", None),
        ("-5", None),
        ("+5", None),
        ("1.5", None),
        ("1e99", None),
        ("1_000", None),
        ("\u0661\u0662", None),
        ("\u00b2", None),
        ("000000000000000000120", 120_000),
        ("86400", DAY_MS),
        ("86401", DAY_MS),
        ("9" * 8000, DAY_MS),
        ("soon", None),
        ("Infinity", None),
        ("NaN", None),
        ("120, 60", None),
        ("Tue, 24 Nov 2026 14:25:53 GMT", 120_000),
        ("Fri, 31 Dec 2099 23:59:59 GMT", RETRY_AFTER_MAX_MS),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ("Tue, 24 Nov 2026 14:23:53 GMT", None),
        ("Tue, 99 Foo 2026 99:99:99 GMT", None),
        ("Tue, 24 Nov 99999999999 14:25:53 GMT", None),
        ("Tuesday, 24-Nov-26 14:25:53 GMT", 120_000),
    ],
)
def test_retry_after(value: str | None, wait_ms: int | None) -> None:
    assert retry_after_ms(value, NOW) == wait_ms


@pytest.mark.parametrize("zone", ["", " -0000", " UTC"])
def test_a_date_without_a_zone_is_utc_wherever_we_run(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert retry_after_ms(f"Tue, 24 Nov 2026 14:25:53{zone}", NOW) == 120_000
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.integers(1, RETRY_AFTER_MAX_MS // 1000), st.integers(-14, 14))
def test_a_date_means_the_same_in_every_zone(seconds: int, hours: int) -> None:
    moment = datetime.fromtimestamp(NOW // 1000 + seconds, UTC)
    text = format_datetime(moment.astimezone(timezone(timedelta(hours=hours))))
    assert retry_after_ms(text, NOW) == seconds * 1000


@given(st.text(max_size=60), st.integers(0, 1 << 45))
def test_no_text_breaks_it_or_waits_longer_than_a_day(value: str, now: int) -> None:
    wait = retry_after_ms(value, now)
    assert wait is None or 0 < wait <= RETRY_AFTER_MAX_MS


@given(st.from_regex(r"[A-Za-z]{0,3},? ?\d{0,12} [A-Za-z]{3} \d{0,12} \d{0,12}:\d{0,4}:\d{0,3} ?"
                     r"([A-Z]{0,4}|[+-]\d{0,12})", fullmatch=True))  # fmt: skip
def test_no_near_date_breaks_it(value: str) -> None:
    wait = retry_after_ms(value, NOW)
    assert wait is None or 0 < wait <= RETRY_AFTER_MAX_MS
