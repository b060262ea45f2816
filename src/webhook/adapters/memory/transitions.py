"""What a write makes of one delivery: how the decisions of ``domain.lifecycle`` are applied."""

from __future__ import annotations

import msgspec

from webhook.domain.lifecycle import Settlement
from webhook.domain.model import (
    ATTEMPTS_FIRST_KEPT,
    ATTEMPTS_LAST_KEPT,
    Attempt,
    Delivery,
    DeliveryState,
    ErrorKind,
)
from webhook.ports import INTERRUPTED


def is_first_lease(delivery: Delivery, now: int) -> bool:
    """Whether this call, or an earlier try of it, leased the delivery to its caller.

    A claim would have raised the claim number.
    """
    return (
        delivery.state is DeliveryState.LEASED
        and delivery.claim == 0
        and delivery.due_at is not None
        and delivery.due_at > now
    )


def is_claim_of(settlement: Settlement, delivery: Delivery) -> bool:
    """Whether the claim that a settlement names is the last one and still open.

    A ready delivery's claim is open only because its lease ended: one that a replay started anew
    has no interruptions from it. What gives back needs a lease: after one that ended it comes too
    late, and a repeat of it changes nothing.
    """
    if (settlement.claim, settlement.attempts_before) != (delivery.claim, delivery.attempts_made):
        return False
    lease_ended = delivery.state is DeliveryState.READY and delivery.interruptions > 0
    return delivery.state is DeliveryState.LEASED or (lease_ended and not settlement.gives_back)


def settled(delivery: Delivery, settlement: Settlement) -> Delivery:
    """Return the delivery as its settlement makes it."""
    attempt = settlement.attempt
    return msgspec.structs.replace(
        delivery,
        state=settlement.state,
        due_at=settlement.due_at,
        attempts_made=delivery.attempts_made + (attempt is not None),
        interruptions=delivery.interruptions if settlement.gives_back else 0,
        reason=settlement.reason,
        completed_at=settlement.completed_at,
        attempts=delivery.attempts if attempt is None else _logged(delivery.attempts, attempt),
    )


def replayed(delivery: Delivery, now: int) -> Delivery:
    """Return a finished delivery at the beginning of a new run."""
    return msgspec.structs.replace(
        delivery,
        state=DeliveryState.READY,
        due_at=now,
        run_start=delivery.attempts_made,
        run_started_at=now,
        interruptions=0,
        reason=None,
        completed_at=None,
    )


def canceled(delivery: Delivery, now: int, reason: str) -> Delivery:
    """Return a pending delivery as it is when nobody wants it any more."""
    return msgspec.structs.replace(
        delivery, state=DeliveryState.CANCELED, due_at=None, reason=reason, completed_at=now
    )


def interrupted(delivery: Delivery) -> Delivery:
    """Return a leased delivery as the end of its lease makes it, but for its state."""
    attempt = Attempt(
        number=delivery.attempts_made + 1,
        started_at=delivery.due_at or 0,
        error_kind=ErrorKind.INTERRUPTED,
        error=INTERRUPTED,
    )
    return msgspec.structs.replace(
        delivery,
        interruptions=delivery.interruptions + 1,
        attempts=_logged(delivery.attempts, attempt),
    )


def _logged(attempts: tuple[Attempt, ...], attempt: Attempt) -> tuple[Attempt, ...]:
    """Add an attempt; between the first and the last that are kept, the oldest one goes."""
    if len(attempts) < ATTEMPTS_FIRST_KEPT + ATTEMPTS_LAST_KEPT:
        return (*attempts, attempt)
    kept = attempts[:ATTEMPTS_FIRST_KEPT]
    return (*kept, *attempts[len(attempts) - ATTEMPTS_LAST_KEPT + 1 :], attempt)
