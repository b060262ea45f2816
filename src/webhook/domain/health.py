"""The health of an endpoint and its limits: when it is left alone, and when it is given up.

Failures count in a row; a success forgets them. From ``FAILURES_MAX`` on, the endpoint's circuit is
open: nothing is sent to it for a while that doubles with each further failure, and then one
delivery at a time as a probe. After ``ERROR_AFTER_MS`` of nothing but failures its status becomes
``error``.
"""

from __future__ import annotations

FAILURES_MAX = 10
CIRCUIT_MS = 5_000
CIRCUIT_MS_MAX = 600_000
CIRCUIT_DOUBLINGS_MAX = 10
ERROR_AFTER_MS = 5 * 86_400_000
# How far ahead a claim may give out the starts that a rate allows.
RATE_AHEAD_MS = 1_000


def circuit_ms(failures: int) -> int | None:
    """Return how long an endpoint with that many failures in a row is left alone, None if not."""
    if failures < FAILURES_MAX:
        return None
    return min(CIRCUIT_MS_MAX, CIRCUIT_MS << min(failures - FAILURES_MAX, CIRCUIT_DOUBLINGS_MAX))


def rate_starts(now: int, next_at: int, per_second: float) -> int:
    """Return how many starts a rate gives within ``RATE_AHEAD_MS``, the next one at ``next_at``."""
    ahead_ms = now + RATE_AHEAD_MS - max(now, next_at)
    return 0 if ahead_ms < 0 else 1 + int(ahead_ms * per_second / 1000)
