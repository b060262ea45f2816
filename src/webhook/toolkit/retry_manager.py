"""``RetryManager``: the retry rules of the engine, to be asked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from webhook.domain.config import WebhookConfig
from webhook.domain.lifecycle import is_transient
from webhook.domain.model import Attempt, ErrorKind, Outcome


class RetryStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery's attempts came to; ``average_wait_ms`` lies between their starts."""

    total_attempts: int
    successful_attempts: int
    failed_attempts: int
    average_wait_ms: float
    total_ms: int


class RetryManager:
    """Answers with what the engine would do under ``config``: both ask the same policy.

    ``attempts`` counts those that were made already, so the first retry comes after 1.
    """

    def __init__(self, config: WebhookConfig | None = None) -> None:
        self.config = config or WebhookConfig()
        self._policy = self.config.retry_policy

    def update_config(self, **changes: object) -> None:
        """Change options of the config; raises ``ConfigError`` as making one does."""
        self.config = WebhookConfig(**(msgspec.structs.asdict(self.config) | changes))
        self._policy = self.config.retry_policy

    def get_backoff_delay(self, attempts: int) -> int | None:
        """Return the wait before the next attempt without jitter, ms; None if there is none."""
        return msgspec.structs.replace(self._policy, jitter=0).delay_ms(attempts, 0.5)

    def calculate_next_retry(self, attempts: int, now: int, chance: float) -> int:
        """Return when the next attempt is due, epoch ms; ``chance`` in [0, 1) spreads it.

        Raises ``ValueError`` when the retries are used up.
        """
        delay_ms = self._policy.delay_ms(attempts, chance)
        if delay_ms is None:
            raise ValueError(f"After {attempts} attempts the retries are used up.")
        return now + delay_ms

    def should_retry(self, attempts: int, error_kind: ErrorKind | None = None) -> bool:
        """Whether an attempt that failed so, the last of so many, is followed by another one."""
        if self.get_backoff_delay(attempts) is None:
            return False
        if error_kind is None or not self._policy.transient_only:
            return True
        return is_transient(Outcome(started_at=0, latency_ms=0, error_kind=error_kind))

    @staticmethod
    def should_retry_status(status_code: int) -> bool:
        """Whether a status is a transient failure: 408, 429 and 5xx."""
        return is_transient(
            Outcome(
                started_at=0,
                latency_ms=0,
                status_code=status_code,
                error_kind=ErrorKind.HTTP_STATUS,
            )
        )

    @staticmethod
    def calculate_retry_stats(attempts: Sequence[Attempt]) -> RetryStats:
        """Return what a delivery's attempts came to."""
        waits = [after.started_at - before.started_at for before, after in pairwise(attempts)]
        failed = sum(attempt.error_kind is not None for attempt in attempts)
        return RetryStats(
            total_attempts=len(attempts),
            successful_attempts=len(attempts) - failed,
            failed_attempts=failed,
            average_wait_ms=sum(waits) / len(waits) if waits else 0.0,
            total_ms=attempts[-1].started_at + attempts[-1].latency_ms - attempts[0].started_at
            if attempts
            else 0,
        )
