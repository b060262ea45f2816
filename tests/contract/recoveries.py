"""What tests of recoveries ask of a store, in a few words."""

from __future__ import annotations

from typing import Any

from webhook.domain.ids import DeliveryRef
from webhook.domain.lifecycle import Settlement
from webhook.domain.model import Delivery, Endpoint
from webhook.domain.recovery import (
    Recovery,
    RecoveryKind,
    RecoveryRange,
    Subscription,
    fingerprint,
)
from webhook.ports import RecoveryFound, WebhookPersistence, WebhookRecoveryStore

from .builders import T0, claim_all, exhausted, new_key, settle, succeeded

HOUR_MS = 3_600_000
LATER = T0 + HOUR_MS


def keeper(store: WebhookPersistence) -> WebhookRecoveryStore:
    """Return the store's recoveries."""
    assert store.recovery_store is not None
    return store.recovery_store


def new_recovery(
    kind: RecoveryKind,
    *,
    tenant: str = "default",
    at: int = LATER,
    **asked: Any,
) -> Recovery:
    """Return a recovery of what was accepted until ``at``, not started yet."""
    wish = RecoveryRange(**asked)
    span = RecoveryRange(**{"until": at + 1} | asked)
    return Recovery(
        id=f"rcv_{new_key(at)}",
        tenant=tenant,
        kind=kind,
        range=span,
        fingerprint=fingerprint(kind, wish),
        created_at=at,
        updated_at=at,
    )


async def begin(store: WebhookPersistence, kind: RecoveryKind, **options: Any) -> Recovery:
    """Start a recovery; no piece is done."""
    return await keeper(store).start(new_recovery(kind, **options))


async def piece(
    store: WebhookPersistence,
    recovery: Recovery,
    endpoint: Endpoint | None = None,
    *,
    now: int = LATER,
    limit: int = 100,
    rows_max: int = 1000,
) -> tuple[Recovery, RecoveryFound]:
    """Do one piece."""
    subscription = None if endpoint is None else Subscription.of(endpoint, None)
    found = await keeper(store).scan(recovery, subscription, limit, rows_max)
    assert len(found.replays) + len(found.missed) <= limit
    assert found.scanned <= rows_max
    return await keeper(store).advance(recovery, found, now), found


async def recover(
    store: WebhookPersistence,
    kind: RecoveryKind,
    endpoint: Endpoint | None = None,
    *,
    limit: int = 100,
    rows_max: int = 1000,
    **options: Any,
) -> tuple[Recovery, list[DeliveryRef]]:
    """Start a recovery and do it to its end; return it and what it did, sorted."""
    recovery = await begin(store, kind, **options)
    done: list[DeliveryRef] = []
    for _ in range(1000):
        recovery, found = await piece(store, recovery, endpoint, limit=limit, rows_max=rows_max)
        lost = "" if endpoint is None else endpoint.id
        done += [*found.replays, *(DeliveryRef(lost, key) for key in found.missed)]
        if not recovery.running:
            return recovery, sorted(done)
    raise AssertionError("The recovery comes to no end.")


async def end_all(
    store: WebhookPersistence, *, dead: set[DeliveryRef] | None = None, now: int = T0
) -> None:
    """Deliver everything that is due: what is in ``dead`` is exhausted, the rest succeeds."""

    def settlement(delivery: Delivery) -> Settlement:
        end = exhausted if delivery.ref in (dead or ()) else succeeded
        return end(delivery, now)

    claimed = [each.delivery for each in await claim_all(store, now)]
    for start in range(0, len(claimed), 100):
        await settle(store, *(settlement(one) for one in claimed[start : start + 100]))
