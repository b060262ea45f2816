"""Reading events and deliveries: by id, and page by page within a bound on the rows read."""

from __future__ import annotations

from collections.abc import Sequence

from webhook.adapters.sql import read_statements as sql
from webhook.adapters.sql.database import Database, Parameter, Row
from webhook.adapters.sql.rows import read_delivery, read_event, to_json
from webhook.domain.ids import KEY_MAX, DeliveryRef, event_key, key_floor, lane_of
from webhook.domain.model import Delivery, DeliveryState, DeliveryStatus, Event
from webhook.ports import SCAN_ROWS_MAX, DeliveryQuery, EventQuery, Page

_DEAD = (DeliveryStatus.FAILED, DeliveryStatus.EXHAUSTED)


class DeliveryLists:
    """The reading half of the delivery store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Where the next piece of a sweep goes on: behind this tenant, or behind this key of it.
        self._sweep_place = ("", "")
        self._sweep_due_at = 0

    async def get_event(self, tenant: str, event_id: str) -> Event | None:
        """Return one event by its id."""
        parameters = (tenant, f"id:{event_id}", event_key(event_id))
        [rows] = await self._database.read([(sql.EVENT_GET, parameters)])
        return read_event(rows[0]) if rows else None

    async def list_events(self, query: EventQuery) -> Page[Event]:
        """Return events, newest first."""
        bounds = (query.tenant, query.after or _below(query.until), _from(query.since))
        parameters = (*bounds, query.type, query.limit + 1)
        [rows] = await self._database.read([(sql.EVENTS_LIST, parameters)])
        items = [read_event(row) for row in rows[: query.limit]]
        if len(rows) > query.limit:
            return Page(items, items[-1].key)
        if query.type is None:
            return Page(items)
        [[scan]] = await self._database.read([(sql.EVENTS_SCANNED, bounds)])
        return Page(items, scan["last"] if scan["scanned"] == SCAN_ROWS_MAX else None)

    async def get_delivery(self, tenant: str | None, ref: DeliveryRef) -> Delivery | None:
        """Return one delivery with its attempts."""
        parameters = (lane_of(ref.endpoint_id), ref.key, tenant)
        [rows] = await self._database.read([(sql.DELIVERY_GET, parameters)])
        return self._one(rows)

    @staticmethod
    def _one(rows: Sequence[Row]) -> Delivery | None:
        return read_delivery(rows[0]) if rows else None

    async def list_deliveries(self, query: DeliveryQuery) -> Page[Delivery]:
        """Return deliveries by the narrowest way in: endpoint, dead letters, or events."""
        if _outside(query):
            return Page([])
        below, place = _cursor(query)
        owner = query.tenant if query.endpoint_id is None else lane_of(query.endpoint_id)
        since = query.event_key or _from(query.since)
        bounds: tuple[Parameter, ...] = (owner, below, place, since)
        states = None if query.status is None else to_json(_states(query.status))
        kind = query.error_kind.value if query.error_kind else None
        parameters = (*bounds, states, query.event_type, kind, query.limit + 1, query.tenant)
        listing, scanning = _way_in(query)
        [rows] = await self._database.read([(listing, parameters)])
        items = [read_delivery(row) for row in rows[: query.limit]]
        if len(rows) > query.limit:
            last = rows[query.limit - 1]
            return Page(items, f"{last['key']}.{last['place']}")
        [scan] = await self._database.read([(scanning, parameters)])
        if scan and scan[0]["scanned"] == SCAN_ROWS_MAX:
            return Page(items, f"{scan[0]['key']}.{scan[0]['place']}")
        return Page(items)


def _way_in(query: DeliveryQuery) -> tuple[str, str]:
    if query.endpoint_id is not None:
        return sql.DELIVERIES_BY_ENDPOINT, sql.SCANNED_BY_ENDPOINT
    if query.status in _DEAD and query.event_key is None:
        return sql.DELIVERIES_BY_DEATH, sql.SCANNED_BY_DEATH
    return sql.DELIVERIES_BY_EVENT, sql.SCANNED_BY_EVENT


def _outside(query: DeliveryQuery) -> bool:
    """Whether the one event that is asked for was accepted outside the time that is asked for."""
    key = query.event_key
    if key is None:
        return False
    return key < _from(query.since) or key >= _below(query.until)


def _states(status: DeliveryStatus) -> list[str]:
    return [state.value for state in DeliveryState if state.status is status]


def _cursor(query: DeliveryQuery) -> tuple[str, str]:
    """Return the key at which to go on, and the place within it up to which all is done."""
    if query.after is not None:
        key, _, place = query.after.partition(".")
        return key, place
    if query.event_key is None:
        # No key is as high as that, so the place leaves out nothing.
        return _below(query.until), ""
    return query.event_key + ("" if query.endpoint_id is None else "~"), ""


def _below(until: int | None) -> str:
    """Return the key above all that were accepted before ``until``."""
    return KEY_MAX + "~" if until is None else key_floor(until)


def _from(since: int | None) -> str:
    return "" if since is None else key_floor(since)
