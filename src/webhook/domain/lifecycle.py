"""Every transition of a delivery, decided here and nowhere else.

ready ──claim──▶ leased ──2xx──▶ success
  ▲                │ ├──410, or not transient──▶ failed
  │                │ ├──retries used up, or 5 interruptions──▶ exhausted
  │                │ ├──endpoint removed, canceled by hand──▶ canceled
  ├──lease ended,──┤ └──else──▶ scheduled ──due──▶ ready
  │  given back ◀──┘
  └──replay── success, failed, exhausted, canceled

With an ordering key a delivery begins blocked when others stand before it in line, and becomes
ready when they have ended.
"""

from __future__ import annotations

import msgspec

from webhook.domain.event_types import OPERATIONAL_TYPES
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import (
    PENDING_STATES,
    Attempt,
    Delivery,
    DeliveryState,
    ErrorKind,
    Outcome,
)
from webhook.domain.retry import RetryPolicy

INTERRUPTIONS_MAX = 5
GONE = 410
GONE_REASON = "the receiver answered 410 Gone"
_TRANSIENT_STATUS = frozenset((408, 429))
_TRANSIENT_KINDS = frozenset(ErrorKind) - {
    ErrorKind.HTTP_STATUS,
    ErrorKind.REDIRECT,
    ErrorKind.BLOCKED,
}


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The next state of a claimed delivery. A store applies it only to the claim it names.

    ``attempts_before`` is the count at claim: a settlement that is repeated after an unknown
    outcome finds the count raised and changes nothing. ``attempt`` None means that no request was
    made, and the count stays. ``ordered`` says that the delivery stands in line with others, so
    that its end may let another become due. ``quiet`` says that nobody is told
    what comes of it: it is the delivery of an operational event.
    """

    ref: DeliveryRef
    claim: int
    attempts_before: int
    state: DeliveryState
    due_at: int | None = None
    attempt: Attempt | None = None
    reason: str | None = None
    completed_at: int | None = None
    disable_endpoint: bool = False
    ordered: bool = False
    quiet: bool = False

    @property
    def gives_back(self) -> bool:
        """Whether it leaves the delivery pending without an attempt, as it was before its claim."""
        return self.attempt is None and self.state in PENDING_STATES

    @property
    def failed_at(self) -> int | None:
        """When the attempt failed, epoch ms; None if it succeeded or nobody knows."""
        attempt = self.attempt
        if attempt is None or attempt.error_kind in (None, ErrorKind.INTERRUPTED):
            return None
        return attempt.started_at + attempt.latency_ms


def _settle(
    delivery: Delivery,
    state: DeliveryState,
    *,
    now: int,
    attempt: Attempt | None = None,
    due_at: int | None = None,
    reason: str | None = None,
    disable_endpoint: bool = False,
) -> Settlement:
    ended = state.status.value == state.value
    return Settlement(
        ref=delivery.ref,
        claim=delivery.claim,
        attempts_before=delivery.attempts_made,
        state=state,
        due_at=due_at,
        attempt=attempt,
        reason=reason,
        completed_at=now if ended else None,
        disable_endpoint=disable_endpoint,
        ordered=delivery.ordering_key is not None,
        quiet=delivery.event_type in OPERATIONAL_TYPES,
    )


def release(delivery: Delivery, now: int) -> Settlement:
    """Give a claimed delivery back, unsent and uncounted."""
    return _settle(delivery, DeliveryState.READY, now=now, due_at=now)


def interrupt(delivery: Delivery, now: int) -> Settlement:
    """End a claim's lease early: a request was under way, and nobody will report its outcome.

    The next claim notes it as it notes every lease that ended, uncounted.
    """
    return _settle(delivery, DeliveryState.LEASED, now=now, due_at=now)


def postpone(delivery: Delivery, now: int, until: int) -> Settlement:
    """Give a claimed delivery back, unsent and uncounted, to wait until ``until``."""
    return _settle(delivery, DeliveryState.SCHEDULED, now=now, due_at=until)


def cancel(delivery: Delivery, now: int, reason: str) -> Settlement:
    """End a claimed delivery that nobody wants any more."""
    return _settle(delivery, DeliveryState.CANCELED, now=now, reason=reason)


def give_up(delivery: Delivery, now: int) -> Settlement | None:
    """End a delivery whose claims keep dying, before it takes down another claimer."""
    if delivery.interruptions < INTERRUPTIONS_MAX:
        return None
    reason = f"interrupted {delivery.interruptions} times in a row"
    return _settle(delivery, DeliveryState.EXHAUSTED, now=now, reason=reason)


def decide(
    delivery: Delivery, outcome: Outcome, policy: RetryPolicy, now: int, chance: float
) -> Settlement:
    """Return what one attempt's outcome makes of its delivery.

    ``policy`` is the endpoint's or the service's; ``chance`` in [0, 1) spreads the retry.
    """
    attempt = _attempt(delivery, outcome)
    if outcome.error_kind is None:
        return _settle(delivery, DeliveryState.SUCCESS, now=now, attempt=attempt)
    if outcome.status_code == GONE:
        return _settle(
            delivery,
            DeliveryState.FAILED,
            now=now,
            attempt=attempt,
            reason=GONE_REASON,
            disable_endpoint=True,
        )
    if policy.transient_only and not is_transient(outcome):
        reason = "not a transient error"
        return _settle(delivery, DeliveryState.FAILED, now=now, attempt=attempt, reason=reason)
    retry = attempt.number - delivery.run_start
    delay_ms = policy.delay_ms(retry, chance)
    if delay_ms is None:
        reason = f"retries used up after {retry} attempts"
        return _settle(delivery, DeliveryState.EXHAUSTED, now=now, attempt=attempt, reason=reason)
    due_at = now + max(delay_ms, outcome.retry_after_ms or 0)
    return _settle(delivery, DeliveryState.SCHEDULED, now=now, attempt=attempt, due_at=due_at)


def is_transient(outcome: Outcome) -> bool:
    """Whether trying again may help, by the older rule: 408, 429, 5xx and the network."""
    if outcome.error_kind is ErrorKind.HTTP_STATUS and outcome.status_code is not None:
        return outcome.status_code in _TRANSIENT_STATUS or outcome.status_code >= 500  # noqa: PLR2004 - one type, and the ellipsis
    return outcome.error_kind in _TRANSIENT_KINDS


def _attempt(delivery: Delivery, outcome: Outcome) -> Attempt:
    return Attempt(
        number=delivery.attempts_made + 1,
        started_at=outcome.started_at,
        latency_ms=outcome.latency_ms,
        status_code=outcome.status_code,
        error_kind=outcome.error_kind,
        error=outcome.error,
        response=outcome.response,
        note=outcome.note,
        manual=delivery.run_start > 0 and delivery.attempts_made == delivery.run_start,
    )
