"""``/v1/deliveries``: what became of each event at each endpoint."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.responses import Response

from webhook.api.body import refuse_body
from webhook.api.endpoints import any_tenant
from webhook.api.operation import Call, Operation, answer
from webhook.api.problems import CONFLICT, NOT_FOUND
from webhook.api.query import (
    AnyTenantQuery,
    ListQuery,
    Since,
    Until,
    after_of,
    epoch_ms,
    next_cursor,
    parse_query,
)
from webhook.api.text import text
from webhook.api.views import Canceled, DeliveryPage, DeliveryView, Replayed
from webhook.domain.access import Scope
from webhook.domain.errors import InvalidInput, NotFound
from webhook.domain.event import ID_PATTERN, name_problem
from webhook.domain.event_types import TYPE_CHARS_MAX, TYPE_PATTERN, type_problem
from webhook.domain.ids import is_endpoint_id
from webhook.domain.model import Delivery, DeliveryStatus, ErrorKind
from webhook.ports import DeliveryQuery, Page


class DeliveriesQuery(ListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries to list."""

    endpoint_id: Annotated[str, text("To this endpoint.", "ep_[a-z0-9]{26}")] | UnsetType = UNSET
    event_id: Annotated[str, text("Of this event.", ID_PATTERN)] | UnsetType = UNSET
    event_type: (
        Annotated[str, text("Of events of this type.", TYPE_PATTERN, TYPE_CHARS_MAX)] | UnsetType
    ) = UNSET
    status: DeliveryStatus | UnsetType = UNSET
    error_kind: (
        Annotated[ErrorKind, Meta(description="Whose last attempt failed so.")] | UnsetType
    ) = UNSET
    since: Since | UnsetType = UNSET
    until: Until | UnsetType = UNSET


async def list_deliveries(call: Call) -> Response:
    """List a tenant's deliveries."""
    query = parse_query(call, DeliveriesQuery)
    _check(query)
    wanted = DeliveryQuery(
        tenant=query.tenant,
        limit=query.limit,
        after=after_of("deliveries", query),
        endpoint_id=None if query.endpoint_id is UNSET else query.endpoint_id,
        event_type=None if query.event_type is UNSET else query.event_type,
        status=None if query.status is UNSET else query.status,
        error_kind=None if query.error_kind is UNSET else query.error_kind,
        since=epoch_ms(query.since),
        until=epoch_ms(query.until),
    )
    page = await _page(call, query, wanted)
    views = [DeliveryView.of(delivery) for delivery in page.items]
    return answer(200, DeliveryPage(views, next_cursor("deliveries", query, page.after)))


async def _page(call: Call, query: DeliveriesQuery, wanted: DeliveryQuery) -> Page[Delivery]:
    service = call.context.service
    if query.event_id is not UNSET:
        try:
            event = await service.get_event(query.event_id, tenant=query.tenant)
        except NotFound:
            return Page([])
        wanted = msgspec.structs.replace(wanted, event_key=event.key)
    return await service.list_deliveries(wanted)


def _check(query: DeliveriesQuery) -> None:
    if query.endpoint_id is not UNSET and not is_endpoint_id(query.endpoint_id):
        raise InvalidInput.at("?endpoint_id", "Is ep_ and 26 letters and digits.")
    if query.event_id is not UNSET and (problem := name_problem(query.event_id)):
        raise InvalidInput.at("?event_id", problem)
    if query.event_type is not UNSET and (problem := type_problem(query.event_type)):
        raise InvalidInput.at("?event_type", problem)


async def get_delivery(call: Call) -> Response:
    """Show one delivery."""
    delivery = await call.context.service.get_delivery(call.id, tenant=any_tenant(call))
    return answer(200, DeliveryView.of(delivery, with_responses=True))


async def replay_delivery(call: Call) -> Response:
    """Deliver once more."""
    tenant = any_tenant(call)
    await refuse_body(call)
    delivery, started = await call.context.service.replay_delivery(call.id, tenant=tenant)
    return answer(202, Replayed(DeliveryView.of(delivery), started))


async def cancel_delivery(call: Call) -> Response:
    """Deliver no more."""
    tenant = any_tenant(call)
    await refuse_body(call)
    delivery, canceled = await call.context.service.cancel_delivery(call.id, tenant=tenant)
    return answer(200, Canceled(DeliveryView.of(delivery), canceled))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/deliveries",
        name="list_deliveries",
        scope=Scope.READ,
        summary="List deliveries, newest event first",
        description="One tenant's, narrowed by all that is given.",
        handler=list_deliveries,
        query=DeliveriesQuery,
        status=200,
        answer=(DeliveryPage,),
        answer_description="One page.",
    ),
    Operation(
        method="GET",
        path="/v1/deliveries/{id}",
        name="get_delivery",
        scope=Scope.READ,
        summary="Show one delivery",
        description="With its attempts and what the receiver answered.",
        handler=get_delivery,
        query=AnyTenantQuery,
        status=200,
        answer=(DeliveryView,),
        answer_description="The delivery.",
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="POST",
        path="/v1/deliveries/{id}/replay",
        name="replay_delivery",
        scope=Scope.MANAGE,
        summary="Deliver once more",
        description=(
            "A finished delivery starts a new run with all its retries; earlier attempts are kept. "
            "A pending one is left as it is."
        ),
        handler=replay_delivery,
        query=AnyTenantQuery,
        status=202,
        answer=(Replayed,),
        answer_description="The delivery, pending.",
        problems=(NOT_FOUND, CONFLICT),
    ),
    Operation(
        method="POST",
        path="/v1/deliveries/{id}/cancel",
        name="cancel_delivery",
        scope=Scope.MANAGE,
        summary="Deliver no more",
        description=(
            "A pending delivery is canceled; a finished one is left as it is, unless its "
            "endpoint's ordering_on_failure lets it stop its ordering_key, which then goes on. "
            "An attempt that is under way may still reach the receiver; what comes "
            "of it is not recorded."
        ),
        handler=cancel_delivery,
        query=AnyTenantQuery,
        status=200,
        answer=(Canceled,),
        answer_description="The delivery, at its end.",
        problems=(NOT_FOUND,),
    ),
)
