"""When to try again: an explicit schedule or exponential back-off, jitter, and ``Retry-After``."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Annotated

import msgspec

DEFAULT_SCHEDULE_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
RETRY_AFTER_MAX_MS = 24 * 3_600_000
RETRIES_MAX = 100
DELAY_MAX_MS = 30 * 24 * 3_600_000
MULTIPLIER, CAP_MS = 2.0, 86_400_000
_RANGES: dict[str, tuple[int, int]] = {
    "max_retries": (0, RETRIES_MAX),
    "retry_delay_ms": (0, DELAY_MAX_MS),
    "backoff_multiplier": (1, 100),
    "max_delay_ms": (0, DELAY_MAX_MS),
    "jitter": (0, 1),
}


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often and when a failed delivery is tried again.

    Exponential when ``retry_delay_ms`` is set, else by the explicit ``schedule_s``.
    """

    schedule_s: Annotated[
        tuple[Annotated[float, msgspec.Meta(ge=0, le=DELAY_MAX_MS / 1000)], ...] | None,
        msgspec.Meta(description="Seconds before each retry, in order; [] means no retry."),
    ] = None
    max_retries: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=RETRIES_MAX)] | None,
        msgspec.Meta(
            description="Retries after the first attempt, no more than there are waits; 0 is none."
        ),
    ] = None
    retry_delay_ms: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=DELAY_MAX_MS)] | None,
        msgspec.Meta(description="Wait before the first retry; chooses exponential back-off."),
    ] = None
    backoff_multiplier: Annotated[
        float, msgspec.Meta(ge=1, le=100, description="Each wait is this many times the last.")
    ] = MULTIPLIER
    max_delay_ms: Annotated[
        int, msgspec.Meta(ge=0, le=DELAY_MAX_MS, description="No wait is longer than this.")
    ] = CAP_MS
    jitter: Annotated[
        float,
        msgspec.Meta(ge=0, le=1, description="Share by which a wait varies: 0.2 is +-20 %."),
    ] = 0.2
    transient_only: Annotated[
        bool,
        msgspec.Meta(description="Retry only 408, 429, 5xx and network errors; others fail."),
    ] = False

    def delay_ms(self, retry: int, chance: float) -> int | None:
        """Return the wait before retry number ``retry`` (1 is the first), None if there is none.

        ``chance`` in [0, 1) places the wait inside the jitter's range.
        """
        share = 1 + self.jitter * (2 * chance - 1)
        if self.retry_delay_ms is not None:
            limit = len(DEFAULT_SCHEDULE_S) if self.max_retries is None else self.max_retries
            if retry > limit:
                return None
            delay = self._exponential_ms(self.retry_delay_ms, retry)
            return min(round(delay * share), self.max_delay_ms)
        schedule = DEFAULT_SCHEDULE_S if self.schedule_s is None else self.schedule_s
        limit = len(schedule) if self.max_retries is None else self.max_retries
        if retry > min(limit, len(schedule)):
            return None
        return round(schedule[retry - 1] * 1000 * share)

    def problem(self, *, schedule: str = "schedule_s") -> tuple[str, str] | None:
        """Return a field that is out of range or would be ignored, and a sentence; or None.

        ``schedule`` is what ``schedule_s`` is called where the policy was given.
        """
        for field, (low, high) in _RANGES.items():
            value = getattr(self, field)
            if value is not None and not low <= value <= high:
                return field, f"{value} is not between {low} and {high}."
        waits = DEFAULT_SCHEDULE_S if self.schedule_s is None else self.schedule_s
        longest_s = DELAY_MAX_MS // 1000
        if not all(0 <= wait <= longest_s for wait in waits) or len(waits) > RETRIES_MAX:
            bounds = f"at most {RETRIES_MAX} waits, each of 0 to {longest_s} seconds"
            return "schedule_s", f"Has {bounds}."
        if self.retry_delay_ms is None:
            return self._ignored(len(waits), schedule)
        if self.schedule_s is not None:
            return "schedule_s", "Contradicts retry_delay_ms; give one of them."
        if self.retry_delay_ms > self.max_delay_ms:
            return "retry_delay_ms", f"Contradicts max_delay_ms, which is {self.max_delay_ms}."
        return None

    def _ignored(self, waits: int, schedule: str) -> tuple[str, str] | None:
        """Return what says nothing where a schedule decides."""
        if (self.max_retries or 0) > waits:
            remedy = f"set {schedule} with as many, or set retry_delay_ms"
            return "max_retries", f"Is more than the schedule's {waits} waits; {remedy}."
        for field, unset in (("backoff_multiplier", MULTIPLIER), ("max_delay_ms", CAP_MS)):
            if getattr(self, field) != unset:
                return field, "Is of exponential back-off alone; set retry_delay_ms too."
        return None

    def _exponential_ms(self, base_ms: int, retry: int) -> float:
        # Capping the exponent keeps the power finite; the wait is capped far earlier.
        factor = self.backoff_multiplier ** min(retry - 1, 100)
        return min(base_ms * factor, float(self.max_delay_ms))


def retry_after_ms(value: str | None, now_ms: int) -> int | None:
    """Read a ``Retry-After`` header (RFC 9110, section 10.2.3) as ms from now.

    Seconds or an HTTP date; capped at 24 h; nonsense, negative or past values give None.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        # Twelve digits are beyond the cap; Python refuses to convert thousands of them.
        wait_ms = int(text.lstrip("0")[:12] or "0") * 1000
    else:
        try:
            date = parsedate_to_datetime(text)
            # An HTTP date is UTC, whether or not it says so; this machine's zone means nothing.
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            wait_ms = round(date.timestamp() * 1000) - now_ms
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return min(wait_ms, RETRY_AFTER_MAX_MS) if wait_ms > 0 else None
