"""A failed attempt is tried again as often as the policy says, and not before its time."""

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
            policy or self.options.config.retry_policy
            for policy in self.world.history.policies[change.ref.endpoint_id]
        }
        run = after.attempts_made - after.run_start
        if after.state is DeliveryState.SCHEDULED:
            allowed = [p for p in policies if run <= _retries(p)]
            if not allowed:
                self.fail(change.ref, f"a retry after {run} attempts is one too many")
            elif not self.options.jumps:
                self._is_late_enough(change, min(_wait_ms_min(p, run) for p in allowed))
        elif after.state is DeliveryState.EXHAUSTED and run <= min(map(_retries, policies)):
            self.fail(change.ref, f"given up after {run} attempts, too early")

    def _is_late_enough(self, change: Change, wait_ms: float) -> None:
        request = self.world.history.leases[change.ref][-1].request
        if change.after is None or request is None or request.outcome is None:
            return
        outcome = request.outcome
        ended_at = request.started_at + outcome.latency_ms
        due_at = ended_at + max(wait_ms, outcome.retry_after_ms or 0)
        if (change.after.due_at or 0) < due_at - ROUNDING_MS:
            self.fail(change.ref, f"its retry is due at {change.after.due_at}, before {due_at}")


def _retries(policy: RetryPolicy) -> int:
    if policy.retry_delay_ms is not None:
        return len(DEFAULT_SCHEDULE_S) if policy.max_retries is None else policy.max_retries
    waits = len(DEFAULT_SCHEDULE_S if policy.schedule_s is None else policy.schedule_s)
    return waits if policy.max_retries is None else min(waits, policy.max_retries)


def _wait_ms_min(policy: RetryPolicy, retry: int) -> float:
    if policy.retry_delay_ms is not None:
        wait_ms = policy.retry_delay_ms * policy.backoff_multiplier ** (retry - 1)
    else:
        wait_ms = (policy.schedule_s or DEFAULT_SCHEDULE_S)[retry - 1] * 1000
    return min(wait_ms * (1 - policy.jitter), policy.max_delay_ms)
