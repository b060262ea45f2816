"""A failed attempt is tried again as often as the policy says, and when it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from webhook.domain.model import DeliveryState
from webhook.domain.retry import DEFAULT_SCHEDULE_S, RetryPolicy

if TYPE_CHECKING:
    from tests.simulation.history import Change

ROUNDING_MS = 2


class RetriesFollowThePolicy(Invariant):
    def changed(self, change: Change) -> None:
        before, after = change.before, change.after
        if change.call != "settle" or before is None or after is None:
            return
        if after.attempts_made == before.attempts_made:
            return
        # An attempt uses the endpoint as it was then; edits since do not matter.
        policies = {
            version.retry or self.options.config.retry_policy
            for _, version in self.world.history.versions[change.ref.endpoint_id]
        }
        run = after.attempts_made - after.run_start
        if after.state is DeliveryState.SCHEDULED:
            allowed = [p for p in policies if run <= _retries(p)]
            if not allowed:
                self.fail(change.ref, f"a retry after {run} attempts is one too many")
            elif not self.options.clock_jumps:
                self._is_in_time(change, allowed, run)
        elif after.state is DeliveryState.EXHAUSTED and run <= min(map(_retries, policies)):
            self.fail(change.ref, f"given up after {run} attempts, too early")

    def _is_in_time(self, change: Change, policies: list[RetryPolicy], run: int) -> None:
        request = self.world.history.leases[change.ref][-1].request
        if change.after is None or request is None or request.outcome is None:
            return
        ended_at = request.started_at + request.outcome.latency_ms
        wait_ms = (change.after.due_at or 0) - ended_at
        asked_ms = request.outcome.retry_after_ms or 0
        shortest_ms = max(asked_ms, min(_wait_ms(p, run, 1 - p.jitter) for p in policies))
        longest_ms = max(asked_ms, *(_wait_ms(p, run, 1 + p.jitter) for p in policies))
        if not shortest_ms - ROUNDING_MS <= wait_ms <= longest_ms + ROUNDING_MS:
            self.fail(
                change.ref, f"its retry waits {wait_ms} ms, not {shortest_ms} to {longest_ms}"
            )


def _retries(policy: RetryPolicy) -> int:
    if policy.retry_delay_ms is not None:
        return len(DEFAULT_SCHEDULE_S) if policy.max_retries is None else policy.max_retries
    waits = len(DEFAULT_SCHEDULE_S if policy.schedule_s is None else policy.schedule_s)
    return waits if policy.max_retries is None else min(waits, policy.max_retries)


def _wait_ms(policy: RetryPolicy, retry: int, share: float) -> float:
    if policy.retry_delay_ms is None:
        return (policy.schedule_s or DEFAULT_SCHEDULE_S)[retry - 1] * 1000 * share
    wait_ms = policy.retry_delay_ms * policy.backoff_multiplier ** (retry - 1)
    return min(wait_ms * share, policy.max_delay_ms)
