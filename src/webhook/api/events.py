"""``/v1/events``: accept events, look at them and at where they went."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType
from starlette.responses import Response

from webhook.api.emit import OPERATION as EMIT
from webhook.api.event_views import EventPage, EventView
from webhook.api.operation import Call, Operation, answer
from webhook.api.problems import NOT_FOUND
from webhook.api.query import (
    ListQuery,
    Since,
    TenantQuery,
    Until,
    after_of,
    epoch_ms,
    next_cursor,
    parse_query,
)
from webhook.api.text import text
from webhook.api.views import DeliveryPage, DeliveryView
from webhook.domain.access import Scope
from webhook.domain.errors import InvalidInput
from webhook.domain.event_types import TYPE_CHARS_MAX, TYPE_PATTERN, type_problem
from webhook.domain.model import DeliveryStatus
from webhook.ports import DeliveryQuery, EventQuery


class EventsQuery(ListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events to list."""

    type: Annotated[str, text("Of this type only.", TYPE_PATTERN, TYPE_CHARS_MAX)] | UnsetType = (
        UNSET
    )
    since: Since | UnsetType = UNSET
    until: Until | UnsetType = UNSET


class EventDeliveriesQuery(ListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries of an event to list."""

    status: DeliveryStatus | UnsetType = UNSET


async def list_events(call: Call) -> Response:
    """List a tenant's events."""
    query = parse_query(call, EventsQuery)
    event_type = None if query.type is UNSET else query.type
    if event_type is not None and (problem := type_problem(event_type)):
        raise InvalidInput.at("?type", problem)
    page = await call.context.service.list_events(
        EventQuery(
            tenant=query.tenant,
            limit=query.limit,
            after=after_of("events", query),
            type=event_type,
            since=epoch_ms(query.since),
            until=epoch_ms(query.until),
        )
    )
    views = [EventView.of(event) for event in page.items]
    return answer(200, EventPage(views, next_cursor("events", query, page.after)))


async def get_event(call: Call) -> Response:
    """Show one event."""
    query = parse_query(call, TenantQuery)
    event = await call.context.service.get_event(call.id, tenant=query.tenant)
    return answer(200, EventView.of(event))


async def list_event_deliveries(call: Call) -> Response:
    """List where an event went."""
    query = parse_query(call, EventDeliveriesQuery)
    name = f"events/{call.id}/deliveries"
    after = after_of(name, query)
    event = await call.context.service.get_event(call.id, tenant=query.tenant)
    page = await call.context.service.list_deliveries(
        DeliveryQuery(
            tenant=query.tenant,
            limit=query.limit,
            after=after,
            event_key=event.key,
            status=None if query.status is UNSET else query.status,
        )
    )
    views = [DeliveryView.of(delivery) for delivery in page.items]
    return answer(200, DeliveryPage(views, next_cursor(name, query, page.after)))


async def erase_payload(call: Call) -> Response:
    """Erase the payload of one event."""
    query = parse_query(call, TenantQuery)
    await call.context.service.erase_payload(call.id, tenant=query.tenant)
    return Response(status_code=204)


OPERATIONS = (
    EMIT,
    Operation(
        method="GET",
        path="/v1/events",
        name="list_events",
        scope=Scope.READ,
        summary="List events, newest first",
        description="One tenant's, by type and by the time of accepting them.",
        handler=list_events,
        query=EventsQuery,
        status=200,
        answer=(EventPage,),
        answer_description="One page.",
    ),
    Operation(
        method="GET",
        path="/v1/events/{id}",
        name="get_event",
        scope=Scope.READ,
        summary="Show one event",
        description="By the id that its caller gave it, or else by ours.",
        handler=get_event,
        query=TenantQuery,
        status=200,
        answer=(EventView,),
        answer_description="The event.",
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="GET",
        path="/v1/events/{id}/deliveries",
        name="list_event_deliveries",
        scope=Scope.READ,
        summary="List the deliveries of an event",
        description="One for each endpoint that was subscribed when the event was accepted.",
        handler=list_event_deliveries,
        query=EventDeliveriesQuery,
        status=200,
        answer=(DeliveryPage,),
        answer_description="One page.",
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="DELETE",
        path="/v1/events/{id}/payload",
        name="erase_payload",
        scope=Scope.MANAGE,
        summary="Erase the payload of an event",
        description=(
            "For good, with what its receivers answered; the event and its deliveries stay listed. "
            "What is pending is canceled, and nothing of it can be replayed. An attempt that is "
            "under way may still reach the receiver."
        ),
        handler=erase_payload,
        query=TenantQuery,
        status=204,
        answer=(),
        answer_description="It is gone, also when it was before.",
        problems=(NOT_FOUND,),
    ),
)
