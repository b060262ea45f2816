"""The lists of the store in memory. A cursor is where the last page stopped reading."""

from __future__ import annotations

from collections.abc import Iterator

from webhook.adapters.memory.ordered import SortedKeys
from webhook.adapters.memory.rows import Rows
from webhook.domain.ids import KEY_MAX, DeliveryRef, event_key, key_floor
from webhook.domain.model import Delivery, Event
from webhook.ports import SCAN_ROWS_MAX, DeliveryQuery, EventQuery, Page

_ABOVE_ALL = KEY_MAX + "~"


class DeliveryLists:
    """The reading half of the delivery store."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get_event(self, tenant: str, event_id: str) -> Event | None:
        """Return one event by its id, a caller's own or ours."""
        use = self._rows.names.get((tenant, f"id:{event_id}"))
        stored = self._rows.events.get(event_key(event_id) or "" if use is None else use.key)
        if stored is None or (stored.event.tenant, stored.event.id) != (tenant, event_id):
            return None
        return stored.event

    async def list_events(self, query: EventQuery) -> Page[Event]:
        """Return events, newest first."""
        return list_events(self._rows, query)

    async def get_delivery(self, tenant: str | None, ref: DeliveryRef) -> Delivery | None:
        """Return one delivery with its attempts, or None."""
        delivery = self._rows.deliveries.get(ref)
        if delivery is None or tenant not in (None, delivery.tenant):
            return None
        return self._rows.seen(delivery)

    async def list_deliveries(self, query: DeliveryQuery) -> Page[Delivery]:
        """Return deliveries, newest event first."""
        return list_deliveries(self._rows, query)


def list_events(rows: Rows, query: EventQuery) -> Page[Event]:
    """Return one page of a tenant's events, newest first."""
    items: list[Event] = []
    floor, ceiling = _bounds(query)
    last = min(query.after or _ABOVE_ALL, ceiling)
    keys = rows.keys_of_tenant.get(query.tenant, SortedKeys())
    for scanned, key in enumerate(keys.before(last)):
        if key < floor:
            break
        if len(items) == query.limit or scanned == SCAN_ROWS_MAX:
            return Page(items, last)
        last = key
        event = rows.events[key].event
        if query.type in (None, event.type):
            items.append(event)
    return Page(items)


def list_deliveries(rows: Rows, query: DeliveryQuery) -> Page[Delivery]:
    """Return one page of a tenant's deliveries, newest event first, then by endpoint."""
    items: list[Delivery] = []
    last: str | None = None
    for scanned, ref in enumerate(walk_refs(rows, query)):
        if len(items) == query.limit or scanned == SCAN_ROWS_MAX:
            return Page(items, last)
        last = f"{ref.key}:{ref.endpoint_id}"
        delivery = rows.seen(rows.deliveries[ref])
        if is_wanted(delivery, query):
            items.append(delivery)
    return Page(items)


def walk_refs(rows: Rows, query: DeliveryQuery) -> Iterator[DeliveryRef]:
    """Walk the deliveries that a query may want, from its cursor on."""
    floor, ceiling = _bounds(query)
    done_key, _, done_endpoint = (query.after or "").partition(":")
    for key in _keys(rows, query, min(done_key + "~" if done_key else _ABOVE_ALL, ceiling)):
        if key < floor:
            return
        event = rows.events[key].event
        if event.tenant != query.tenant:
            return  # All of an endpoint are of its tenant: not even their number is told to others.
        for endpoint_id in sorted(event.endpoint_ids):
            done = key == done_key and endpoint_id <= done_endpoint
            if not done and query.endpoint_id in (None, endpoint_id):
                yield DeliveryRef(endpoint_id, key)


def _keys(rows: Rows, query: DeliveryQuery, below: str) -> Iterator[str]:
    if query.event_key is not None:
        if query.event_key in rows.events and query.event_key < below:
            yield query.event_key
    elif query.endpoint_id is not None:
        yield from rows.keys_of_endpoint.get(query.endpoint_id, SortedKeys()).before(below)
    else:
        yield from rows.keys_of_tenant.get(query.tenant, SortedKeys()).before(below)


def _bounds(query: EventQuery | DeliveryQuery) -> tuple[str, str]:
    """Return the lowest key that is wanted and the lowest above it that is not."""
    floor = "" if query.since is None else key_floor(query.since)
    return floor, _ABOVE_ALL if query.until is None else key_floor(query.until)


def is_wanted(delivery: Delivery, query: DeliveryQuery) -> bool:
    """Whether a query wants a delivery, the time of its event apart."""
    error_kind = delivery.attempts[-1].error_kind if delivery.attempts else None
    return (
        delivery.tenant == query.tenant
        and query.event_type in (None, delivery.event_type)
        and query.status in (None, delivery.status)
        and query.error_kind in (None, error_kind)
    )
