"""Endpoints that fail, for the tests of health and of the circuit."""

from __future__ import annotations

from webhook.domain.health import (
    FAILURES_MAX,
)
from webhook.domain.model import Endpoint
from webhook.ports import Claimed, WebhookPersistence

from .builders import (
    T0,
    add_one,
    claim,
    emit,
    exhausted,
    new_events,
    settle,
)

# A failure takes 12 ms in these tests, and is counted when it ends.
TOOK_MS = 12
OPENED_AT = T0 + TOOK_MS


async def stored(store: WebhookPersistence, endpoint: Endpoint) -> Endpoint:
    found = await store.endpoint_store.get(None, endpoint.id)
    assert found is not None
    return found


async def health(
    store: WebhookPersistence, endpoint: Endpoint
) -> tuple[int, int | None, int | None]:
    found = await stored(store, endpoint)
    return found.failures, found.failing_since, found.open_until


async def fail(
    store: WebhookPersistence, times: int, now: int = T0, *, limit: int = 100
) -> list[Claimed]:
    """Let so many attempts fail, one settle each; they are not tried again soon."""
    claimed = (await claim(store, now, limit=limit)).claimed[:times]
    assert len(claimed) == times
    for each in claimed:
        await settle(store, exhausted(each.delivery, now))
    return claimed


async def open_circuit(store: WebhookPersistence, events: int = 60) -> Endpoint:
    """Return an endpoint whose circuit has just opened, with events still waiting."""
    endpoint = await add_one(store)
    await emit(store, *new_events(events))
    await fail(store, FAILURES_MAX, limit=FAILURES_MAX)
    return endpoint
