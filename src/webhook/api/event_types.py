"""``/v1/event-types``: the types that the service knows, and what their data looks like."""

from __future__ import annotations

from inspect import getdoc
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response

from webhook.api.operation import Call, Operation, answer
from webhook.domain.access import Scope
from webhook.domain.event_types import OperationalEventType
from webhook.domain.messaging import PAYLOADS, payload_schema

_OPERATIONAL = {
    OperationalEventType.ENDPOINT_DISABLED: "The status of an endpoint became error.",
    OperationalEventType.ENDPOINT_RECOVERED: "An endpoint works again, or was made active again.",
    OperationalEventType.DELIVERY_EXHAUSTED: "A delivery used up its retries.",
}


class EventTypeView(msgspec.Struct, frozen=True, kw_only=True):
    """An event type that the service knows. Any other well-formed name may be emitted too."""

    name: str
    description: str
    operational: Annotated[
        bool, Meta(description="Whether it is the service's own, which nobody else can emit.")
    ]
    data_schema: Annotated[
        dict[str, Any] | None,
        Meta(description="JSON Schema (2020-12) of its data; see the setting check_payloads."),
    ]


class EventTypesView(msgspec.Struct, frozen=True, kw_only=True):
    """All event types that the service knows."""

    data: list[EventTypeView]


async def list_event_types(_call: Call) -> Response:
    """Show all types at once; there are few."""
    own = [
        EventTypeView(name=kind.value, description=text, operational=True, data_schema=None)
        for kind, text in _OPERATIONAL.items()
    ]
    messaging = [
        EventTypeView(
            name=str(name),
            description=getdoc(kind) or "",
            operational=False,
            data_schema=payload_schema(name),
        )
        for name, kind in PAYLOADS.items()
    ]
    return answer(200, EventTypesView(data=[*messaging, *own]))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/event-types",
        name="list_event_types",
        scope=Scope.READ,
        summary="List the event types that the service knows",
        description=(
            "The twenty of a messaging platform, each with the schema of its data, and the "
            "operational ones. Endpoints may subscribe to, and callers emit, any other name."
        ),
        handler=list_event_types,
        status=200,
        answer=(EventTypesView,),
        answer_description="All of them.",
    ),
)
