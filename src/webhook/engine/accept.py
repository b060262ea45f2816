"""Accept: events become rows, in one atomic write, before anybody is told so."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from webhook.domain.config import WebhookConfig
from webhook.domain.errors import (
    InvalidInput,
    NotSupported,
    PayloadTooLarge,
    StoreUnavailable,
)
from webhook.domain.event import CALL_BYTES_MAX, EVENTS_MAX, WebhookEvent, prepare
from webhook.domain.ids import KeyMaker
from webhook.domain.messaging import payload_problem
from webhook.domain.model import NewEvent
from webhook.ports import (
    AcceptedEvent,
    AcceptResult,
    Clock,
    FirstAttempts,
    WebhookEndpointStore,
    WebhookPersistence,
)

_log = logging.getLogger("webhook.service")
REPEATS_MAX = 2


def prepare_all(
    events: Sequence[WebhookEvent], keys: KeyMaker, now: int, config: WebhookConfig
) -> list[NewEvent]:
    """Check and work out a call's events; keys rise in their order.

    Raises ``InvalidInput`` whose pointers begin with the event's index, ``/3/type``.
    """
    if not 1 <= len(events) <= EVENTS_MAX:
        raise InvalidInput(f"A call takes 1 to {EVENTS_MAX} events, not {len(events)}.")
    prepared: list[NewEvent] = []
    for index, event in enumerate(events):
        enabled = config.enabled_events is None or event.type in config.enabled_events
        try:
            made = prepare(event, keys(now), now, enabled=enabled)
            if config.check_payloads != "off":
                _check_payload(made, config)
            prepared.append(made)
        except InvalidInput as error:
            raise error.under(f"/{index}") from None
    size = sum(event.size for event in prepared)
    if size > CALL_BYTES_MAX:
        raise PayloadTooLarge(
            f"The call has {size} bytes of payload, {CALL_BYTES_MAX} at most; send fewer events."
        )
    return prepared


def _check_payload(event: NewEvent, config: WebhookConfig) -> None:
    """Hold an event to its type's schema; raises ``InvalidInput`` if it is to be refused."""
    problem = payload_problem(event.type, event.payload)
    if problem is None:
        return
    pointer, detail = problem
    if config.check_payloads == "refuse":
        raise InvalidInput.at(pointer, detail)
    _log.warning("an event of %s does not fit at %s: %s", event.type, pointer, detail)


async def accept(
    persistence: WebhookPersistence,
    events: Sequence[NewEvent],
    first: FirstAttempts,
    clock: Clock,
) -> AcceptResult:
    """Store events and their deliveries; an unknown outcome is repeated twice at most.

    The keys make the repeat recognisable, so it stores nothing twice and is no duplicate.
    """
    targets = None if persistence.joint else await _match(persistence.endpoint_store, events)
    store = persistence.delivery_store
    for _ in range(REPEATS_MAX):
        try:
            return await store.accept(events, first, clock.now_ms(), targets)
        except StoreUnavailable:
            continue
    return await store.accept(events, first, clock.now_ms(), targets)


async def accept_within(
    persistence: WebhookPersistence,
    connection: object,
    events: Sequence[NewEvent],
    clock: Clock,
    *,
    ready: bool,
) -> list[AcceptedEvent]:
    """Store events and their deliveries inside the caller's transaction; see ``WebhookOutbox``.

    ``ready`` says that the store is open. To open it now might wait for the caller's own locks.
    """
    if persistence.outbox is None:
        raise NotSupported(
            "connection: this store cannot be part of a transaction of yours. Keep everything on "
            "PostgreSQL or in an SQLite file, or leave connection out."
        )
    if not ready:
        raise InvalidInput.at(
            "/connection", "The store is not open: call initialize() before your transaction."
        )
    return await persistence.outbox.accept(connection, events, clock.now_ms())


async def _match(store: WebhookEndpointStore, events: Sequence[NewEvent]) -> list[list[str]]:
    """Match events in a store of its own; what is enabled is not the store's to know."""
    matched = await store.match(events)
    return [ids if event.patterns else [] for event, ids in zip(events, matched, strict=True)]
