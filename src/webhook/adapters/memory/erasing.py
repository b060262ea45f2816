"""Erases the payload of an event in memory."""

from __future__ import annotations

import msgspec

from webhook.adapters.memory.gates import Gates
from webhook.adapters.memory.rows import Rows, StoredEvent
from webhook.adapters.memory.transitions import canceled
from webhook.domain.model import PENDING_STATES


def erase(rows: Rows, gates: Gates, tenant: str, key: str, *, now: int, reason: str) -> bool:
    """Take out the payload and the responses, and end what is pending; see the port."""
    stored = rows.events.get(key)
    if stored is None or stored.event.tenant != tenant:
        return False
    for delivery in rows.deliveries_of(stored.event):
        ended = rows.seen(delivery)
        if ended.state in PENDING_STATES or ended.stops:
            ended = canceled(delivery, now, reason)
            gates.release(delivery.ref)
        rows.put(ended)
    forget(rows, stored)
    return True


def forget(rows: Rows, stored: StoredEvent) -> None:
    """Take out the payload of an event of which nothing is pending, and the responses to it."""
    event = msgspec.structs.replace(stored.event, payload="")
    rows.events[event.key] = msgspec.structs.replace(stored, event=event)
    for delivery in rows.deliveries_of(event):
        attempts = tuple(msgspec.structs.replace(a, response=None) for a in delivery.attempts)
        rows.put(msgspec.structs.replace(delivery, attempts=attempts, payload_erased=True))
