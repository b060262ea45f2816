"""The health of an endpoint and its limits: when it is left alone, and when it is given up.

Failures count in a row; a success forgets them. At ``FAILURES_MAX`` the endpoint's circuit opens:
nothing is sent to it for a while, and then one delivery at a time as a probe. The while doubles
with each probe that fails. What was leased before the circuit opened is still sent, but what fails
while it is open does not count, so that many attempts that fail at once open it once. After
``ERROR_AFTER_MS`` of nothing but failures, with its circuit open, the endpoint's status becomes
``error``.

When it comes back, what has waited meanwhile does not come all at once: from when its circuit opens
until a success finds nothing ready any more it is paced, at ``PACE_FACTOR`` times its last good
rate. That is what succeeded each second just before. A success after ``PACE_DOUBLING_MS`` of that
doubles the rate, so that one which was measured when little was to be sent holds nobody up for
ever; and when it is as great as any that can be measured, the pace ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

FAILURES_MAX = 10
CIRCUIT_MS = 5_000
CIRCUIT_MS_MAX = 600_000
CIRCUIT_DOUBLINGS_MAX = 10
ERROR_AFTER_MS = 5 * 86_400_000
# How far ahead a claim may give out the starts that a rate allows, and how far ahead the next one
# is when it is worth while to claim again.
RATE_AHEAD_MS = 1_000
RATE_REFILL_MS = 500
# The last good rate: successes within so long before the last one, of so many of the endpoint's
# deliveries at most, no matter how close together as if within a second, and no less than one a
# second.
GOOD_RATE_MS = 10_000
GOOD_RATE_ROWS_MAX = 1_000
GOOD_RATE_MS_MIN = 1_000
GOOD_RATE_MIN = 1.0
GOOD_RATE_MAX = GOOD_RATE_ROWS_MAX * 1_000 / GOOD_RATE_MS_MIN
PACE_FACTOR = 2.0  # also in migrations/0010_pace.sql
PACE_DOUBLING_MS = 3_600_000
# By how much the clocks of claimers may differ, and a claim may be late. What lies further ahead
# than that was written before a clock was set back, and is not waited for.
CLOCK_SLIP_MS = 60_000


def circuit_ms(failures: int, *, failures_max: int = FAILURES_MAX) -> int | None:
    """Return how long who failed that often in a row is left alone, None if not."""
    if failures < failures_max:
        return None
    return min(CIRCUIT_MS_MAX, CIRCUIT_MS << min(failures - failures_max, CIRCUIT_DOUBLINGS_MAX))


def circuit_open(open_until: int | None, now: int) -> bool:
    """Whether nothing is sent to an endpoint now, because it failed so often."""
    return open_until is not None and now < open_until <= now + CIRCUIT_MS_MAX + CLOCK_SLIP_MS


def failures_after(failures: int, more: int) -> int:
    """Return the failures in a row after some more, of an endpoint whose circuit is not open."""
    return min(failures + more, FAILURES_MAX) if failures < FAILURES_MAX else failures + 1


def good_rate(succeeded_at: Sequence[int]) -> float:
    """Return the successes per second of the last deliveries of an endpoint."""
    last_at = max(succeeded_at, default=0)
    recent = [at for at in succeeded_at if at >= last_at - GOOD_RATE_MS]
    if not recent:
        return GOOD_RATE_MIN
    span_ms = max(GOOD_RATE_MS_MIN, last_at - min(recent))
    return max(GOOD_RATE_MIN, (len(recent) - 1) * 1000 / span_ms)


def pace_doubles(paced_since: int | None, now: int) -> bool:
    """Whether an endpoint was paced for so long that it may be faster.

    A clock that was set back by as much leaves it to nobody to wait for the time before.
    """
    return paced_since is not None and abs(now - paced_since) >= PACE_DOUBLING_MS


def pace(good: float, limit: float | None) -> float:
    """Return the starts per second of an endpoint that came back."""
    return min(PACE_FACTOR * good, limit or math.inf)


def rate_start(last_at: int, per_second: float, now: int) -> int:
    """Return the next start that a rate gives after its last one."""
    if last_at > now + CLOCK_SLIP_MS:
        return now
    return max(now, math.ceil(last_at + 1000 / per_second))


def rate_starts(next_at: int, per_second: float, now: int) -> int:
    """Return how many starts a rate gives within ``RATE_AHEAD_MS``, the next one at ``next_at``."""
    ahead_ms = now + RATE_AHEAD_MS - next_at
    return 0 if ahead_ms < 0 else 1 + int(ahead_ms * per_second / 1000)
