"""Endpoints, deliveries and events of a runtime, searched by hand: faces of the service.

They keep nothing of their own: what they show is what the runtime's stores hold. A search reads
every row of its tenant that the store's own query leaves; lists of the runtime page by cursor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from webhook.domain.endpoint import EndpointInput, EndpointPatch
from webhook.domain.errors import Conflict, NotFound
from webhook.domain.event import TENANT_DEFAULT, WebhookEvent
from webhook.domain.matching import patterns_for
from webhook.domain.model import Delivery, DeliveryStatus, Endpoint, EndpointStatus, Event
from webhook.domain.url_rules import check_url
from webhook.engine.service import WebhookService
from webhook.ports import AcceptedEvent, DeliveryQuery, EndpointQuery, EventQuery, Page
from webhook.toolkit.types import (
    DeliveryFilter,
    DeliveryStats,
    EndpointFilter,
    EndpointStats,
    EventFilter,
    EventStats,
    SearchResult,
    paged,
    within,
)

_PAGE = 250
LIMIT_DEFAULT = 100
type _Rows[Row] = Callable[[str | None], Awaitable[Page[Row]]]


class EndpointManager:
    """A tenant's endpoints, one for each URL."""

    def __init__(self, runtime: WebhookService, *, tenant: str = TENANT_DEFAULT) -> None:
        self._runtime, self._tenant = runtime, tenant

    async def add_endpoint(self, endpoint: EndpointInput) -> Endpoint:
        """Add an endpoint; raises ``Conflict`` when one has its URL, whatever the spelling."""
        found = await self.get_endpoint_by_url(endpoint.url)
        if found is not None:
            raise Conflict.at("/url", f"The endpoint {found.id} has this URL; update that one.")
        return await self._runtime.add_endpoint(replace(endpoint, tenant=self._tenant))

    async def update_endpoint(self, endpoint_id: str, changes: EndpointPatch) -> Endpoint:
        """Change an endpoint; raises ``NotFound``."""
        return await self._runtime.update_endpoint(endpoint_id, changes, tenant=self._tenant)

    async def remove_endpoint(self, endpoint_id: str) -> bool:
        """Remove an endpoint; False when there was none."""
        return await self._runtime.remove_endpoint(endpoint_id, tenant=self._tenant)

    async def get_endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint, None when there is none."""
        try:
            return await self._runtime.get_endpoint(endpoint_id, tenant=self._tenant)
        except NotFound:
            return None

    async def get_endpoint_by_url(self, url: str) -> Endpoint | None:
        """Return the oldest endpoint with a URL, in any spelling of it."""
        wanted = check_url(url, self._runtime.config.url_rules)
        return next((e for e in await self._all() if e.url == wanted), None)

    async def search_endpoints(
        self, wanted: EndpointFilter | None = None, *, page: int = 1, limit: int = LIMIT_DEFAULT
    ) -> SearchResult[Endpoint]:
        """Return a page of the endpoints that a filter matches, oldest first."""
        given = wanted or EndpointFilter()
        found = await self._all(given.status)
        return paged([e for e in found if _endpoint_matches(e, given)], page, limit)

    async def get_active_endpoints_for_event(self, event_type: str) -> list[Endpoint]:
        """Return who is active and receives a type, as far as filters on metadata let it."""
        wanted = set(patterns_for(event_type))
        found = await self._all(EndpointStatus.ACTIVE)
        return [e for e in found if not wanted.isdisjoint(e.event_types)]

    async def get_stats(self) -> EndpointStats:
        """Return how many endpoints there are."""
        found = await self._all()
        return EndpointStats(
            total=len(found),
            by_status=dict(Counter(e.status for e in found)),
            by_event_type=dict(Counter(name for e in found for name in e.event_types)),
        )

    async def cleanup_expired_endpoints(self, days: float) -> int:
        """Remove what is not active and has not been changed for so many days; return how many."""
        before = self._runtime.now_ms() - round(days * 86_400_000)
        old = [e for e in await self._all() if not e.active and e.updated_at < before]
        return sum([await self.remove_endpoint(e.id) for e in old])

    async def _all(self, status: EndpointStatus | None = None) -> list[Endpoint]:
        query = EndpointQuery(tenant=self._tenant, status=status, limit=_PAGE)
        return await _all_pages(lambda after: self._runtime.list_endpoints(_at(query, after)))


class DeliveryStore:
    """A tenant's deliveries; the engine writes them, and nobody else."""

    def __init__(self, runtime: WebhookService, *, tenant: str = TENANT_DEFAULT) -> None:
        self._runtime, self._tenant = runtime, tenant

    async def get_delivery(self, delivery_id: str) -> Delivery | None:
        """Return a delivery with its attempts, None when there is none."""
        try:
            return await self._runtime.get_delivery(delivery_id, tenant=self._tenant)
        except NotFound:
            return None

    async def search_deliveries(
        self, wanted: DeliveryFilter | None = None, *, page: int = 1, limit: int = LIMIT_DEFAULT
    ) -> SearchResult[Delivery]:
        """Return a page of the deliveries that a filter matches, newest event first."""
        return paged(await self._matching(wanted or DeliveryFilter()), page, limit)

    async def get_deliveries_by_endpoint(
        self, endpoint_id: str, *, limit: int = LIMIT_DEFAULT
    ) -> list[Delivery]:
        """Return an endpoint's newest deliveries."""
        found = await self.search_deliveries(DeliveryFilter(endpoint_id=endpoint_id), limit=limit)
        return found.items

    async def get_failed_deliveries(self, endpoint_id: str | None = None) -> list[Delivery]:
        """Return what ended as ``failed`` or ``exhausted``, newest event first."""
        found: list[Delivery] = []
        for status in (DeliveryStatus.FAILED, DeliveryStatus.EXHAUSTED):
            found += await self._matching(DeliveryFilter(endpoint_id=endpoint_id, status=status))
        return sorted(found, key=lambda delivery: delivery.key, reverse=True)

    async def get_delivery_stats(self, wanted: DeliveryFilter | None = None) -> DeliveryStats:
        """Return what became of the deliveries that a filter matches."""
        found = await self._matching(wanted or DeliveryFilter())
        by_status = Counter(delivery.status for delivery in found)
        ended = len(found) - by_status[DeliveryStatus.PENDING]
        attempts = [attempt for delivery in found for attempt in delivery.attempts]
        latencies = [attempt.latency_ms for attempt in attempts]
        return DeliveryStats(
            total=len(found),
            by_status=dict(by_status),
            success_rate=100 * by_status[DeliveryStatus.SUCCESS] / ended if ended else 0.0,
            average_latency_ms=sum(latencies) / len(latencies) if latencies else 0.0,
            by_error=dict(Counter(a.error_kind.value for a in attempts if a.error_kind)),
            by_event_type=dict(Counter(delivery.event_type for delivery in found)),
        )

    async def cleanup_old_deliveries(self) -> int:
        """Remove what is past ``retention_days`` with its event; return how many deliveries."""
        return (await self._runtime.sweep()).deliveries_removed

    async def _matching(self, wanted: DeliveryFilter) -> list[Delivery]:
        query = DeliveryQuery(
            tenant=self._tenant,
            endpoint_id=wanted.endpoint_id,
            event_type=wanted.event_type,
            status=wanted.status,
            since=wanted.created_after,
            until=wanted.created_before,
            limit=_PAGE,
        )
        found = await _all_pages(lambda after: self._runtime.list_deliveries(_at(query, after)))
        return [delivery for delivery in found if _delivery_matches(delivery, wanted)]


class EventStore:
    """A tenant's events. To save one is to emit it, and the same id twice is one event."""

    def __init__(self, runtime: WebhookService, *, tenant: str = TENANT_DEFAULT) -> None:
        self._runtime, self._tenant = runtime, tenant

    async def save_event(self, event: WebhookEvent) -> AcceptedEvent:
        """Emit an event; raises ``Conflict`` when its id has another content."""
        return await self._runtime.emit(replace(event, tenant=self._tenant))

    async def get_event(self, event_id: str) -> Event | None:
        """Return an event, None when there is none."""
        try:
            return await self._runtime.get_event(event_id, tenant=self._tenant)
        except NotFound:
            return None

    async def search_events(
        self, wanted: EventFilter | None = None, *, page: int = 1, limit: int = LIMIT_DEFAULT
    ) -> SearchResult[Event]:
        """Return a page of the events that a filter matches, newest first."""
        return paged(await self._matching(wanted or EventFilter()), page, limit)

    async def get_events_by_type(
        self, event_type: str, *, limit: int = LIMIT_DEFAULT
    ) -> list[Event]:
        """Return the newest events of a type."""
        return (await self.search_events(EventFilter(type=event_type), limit=limit)).items

    async def get_event_stats(self, wanted: EventFilter | None = None) -> EventStats:
        """Return how many events there are of each type and in each hour of their acceptance."""
        found = await self._matching(wanted or EventFilter())
        hours = (datetime.fromtimestamp(e.accepted_at / 1000, UTC) for e in found)
        return EventStats(
            total=len(found),
            by_type=dict(Counter(event.type for event in found)),
            by_hour=dict(Counter(f"{hour:%Y-%m-%dT%H}" for hour in hours)),
        )

    async def cleanup_old_events(self) -> int:
        """Remove what is past ``retention_days`` and not pending; return how many events."""
        return (await self._runtime.sweep()).events_removed

    async def _matching(self, wanted: EventFilter) -> list[Event]:
        query = EventQuery(
            tenant=self._tenant,
            type=wanted.type,
            since=wanted.created_after,
            until=wanted.created_before,
            limit=_PAGE,
        )
        found = await _all_pages(lambda after: self._runtime.list_events(_at(query, after)))
        return [event for event in found if _metadata_matches(event, wanted.metadata)]


class WebhookRegistry:
    """Endpoints, deliveries and events of one tenant in one place."""

    def __init__(self, runtime: WebhookService, *, tenant: str = TENANT_DEFAULT) -> None:
        self.endpoints = EndpointManager(runtime, tenant=tenant)
        self.deliveries = DeliveryStore(runtime, tenant=tenant)
        self.events = EventStore(runtime, tenant=tenant)

    async def get_deliveries(
        self, wanted: DeliveryFilter | None = None, *, limit: int = LIMIT_DEFAULT
    ) -> list[Delivery]:
        """Return the newest deliveries that a filter matches."""
        return (await self.deliveries.search_deliveries(wanted, limit=limit)).items

    async def get_failed_deliveries(self, endpoint_id: str | None = None) -> list[Delivery]:
        """Return the dead letters."""
        return await self.deliveries.get_failed_deliveries(endpoint_id)


async def _all_pages[Row](rows: _Rows[Row]) -> list[Row]:
    found: list[Row] = []
    after: str | None = None
    while True:
        page = await rows(after)
        found += page.items
        after = page.after
        if after is None:
            return found


def _at[Query: (EndpointQuery, DeliveryQuery, EventQuery)](
    query: Query, after: str | None
) -> Query:
    return replace(query, after=after)


def _endpoint_matches(endpoint: Endpoint, wanted: EndpointFilter) -> bool:
    types = [set(patterns_for(name)) for name in wanted.event_types]
    return (
        within(endpoint.created_at, wanted.created_after, wanted.created_before)
        and (not types or any(not names.isdisjoint(endpoint.event_types) for names in types))
        and all(
            key not in endpoint.filters or not set(values).isdisjoint(endpoint.filters[key])
            for key, values in wanted.filters.items()
        )
    )


def _delivery_matches(delivery: Delivery, wanted: DeliveryFilter) -> bool:
    last = delivery.attempts[-1] if delivery.attempts else None
    has_error = last is not None and last.error_kind is not None
    completed = (wanted.completed_after, wanted.completed_before)
    return (
        within(delivery.completed_at, *completed)
        and wanted.event_id in (None, delivery.event_id)
        and (not wanted.status_codes or (last and last.status_code) in wanted.status_codes)
        and wanted.has_error in (None, has_error)
    )


def _metadata_matches(event: Event, wanted: dict[str, str]) -> bool:
    if not wanted or event.payload_erased:
        return not wanted
    metadata: dict[str, Any] = msgspec.json.decode(event.payload)["metadata"]
    return all(metadata.get(key) == value for key, value in wanted.items())
