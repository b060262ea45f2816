"""``/v1/endpoints``: the receivers."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.responses import Response

from webhook.api.body import decode, read_body, refuse_body
from webhook.api.operation import Call, Operation, answer
from webhook.api.problems import CONFLICT, NOT_FOUND, NOT_SUPPORTED
from webhook.api.query import (
    AnyTenantQuery,
    ListQuery,
    after_of,
    next_cursor,
    parse_query,
)
from webhook.api.text import text
from webhook.api.views import EndpointPage, EndpointsMade, EndpointView, ProbeView, secret_of
from webhook.domain.access import Scope
from webhook.domain.endpoint import EndpointInput, EndpointPatch
from webhook.domain.errors import Conflict, FieldError, InvalidInput, NotFound
from webhook.domain.event import ID_PATTERN, name_problem
from webhook.domain.model import Endpoint, EndpointStatus
from webhook.ports import EndpointQuery

BATCH_MAX = 100
BATCH_BODY_BYTES_MAX = 2 * 1024 * 1024


class EndpointBatchInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to 100 endpoints, all or none of which are made."""

    endpoints: Annotated[
        list[EndpointInput],
        Meta(extra_json_schema={"minItems": 1, "maxItems": BATCH_MAX}),
    ]


class EndpointsQuery(ListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which endpoints to list."""

    status: EndpointStatus | UnsetType = UNSET
    external_id: Annotated[str, text("The one of this id.", ID_PATTERN)] | UnsetType = UNSET


_input = msgspec.json.Decoder(EndpointInput)
_batch = msgspec.json.Decoder(EndpointBatchInput)
_patch = msgspec.json.Decoder(EndpointPatch)


async def add_endpoint(call: Call) -> Response:
    """Make an endpoint."""
    given = decode(call, await read_body(call), _input)
    try:
        made = await call.context.service.add_endpoint(given)
    except Conflict as error:
        raise _moved(error, "/0", "") from None
    return answer(201, _view(call, made, made=True))


async def add_endpoints(call: Call) -> Response:
    """Make several endpoints, all or none."""
    given = decode(call, await read_body(call, BATCH_BODY_BYTES_MAX), _batch).endpoints
    if not 1 <= len(given) <= BATCH_MAX:
        detail = f"Takes 1 to {BATCH_MAX} endpoints, not {len(given)}."
        raise InvalidInput.at("/endpoints", detail)
    try:
        made = await call.context.service.add_endpoints(given)
    except InvalidInput as error:
        raise error.under("/endpoints") from None
    except Conflict as error:
        raise _moved(error, "", "/endpoints") from None
    return answer(201, EndpointsMade([_view(call, one, made=True) for one in made]))


def _moved(error: Conflict, old: str, new: str) -> Conflict:
    """Let pointers begin with ``new`` in place of ``old``."""
    errors = [FieldError(new + e.pointer.removeprefix(old), e.detail) for e in error.errors]
    return Conflict(f"{errors[0].pointer}: {errors[0].detail}", errors) if errors else error


def _view(call: Call, endpoint: Endpoint, *, made: bool = False) -> EndpointView:
    """Return what the caller may see of an endpoint: its secret when it was made just now."""
    shows_secret = made and call.caller.may(Scope.SECRETS)
    return EndpointView.of(
        endpoint,
        whole_url=call.caller.may(Scope.MANAGE),
        secret=secret_of(endpoint) if shows_secret else UNSET,
    )


async def list_endpoints(call: Call) -> Response:
    """List a tenant's endpoints."""
    query = parse_query(call, EndpointsQuery)
    external_id = None if query.external_id is UNSET else query.external_id
    if external_id is not None and (problem := name_problem(external_id)):
        raise InvalidInput.at("?external_id", problem)
    page = await call.context.service.list_endpoints(
        EndpointQuery(
            tenant=query.tenant,
            limit=query.limit,
            after=after_of("endpoints", query),
            status=None if query.status is UNSET else query.status,
            external_id=external_id,
        )
    )
    views = [_view(call, endpoint) for endpoint in page.items]
    return answer(200, EndpointPage(views, next_cursor("endpoints", query, page.after)))


async def get_endpoint(call: Call) -> Response:
    """Show one endpoint."""
    tenant = any_tenant(call)
    endpoint = await call.context.service.get_endpoint(call.id, tenant=tenant)
    return answer(200, _view(call, endpoint))


async def update_endpoint(call: Call) -> Response:
    """Change an endpoint."""
    tenant = any_tenant(call)
    changes = decode(call, await read_body(call), _patch)
    changed = await call.context.service.update_endpoint(call.id, changes, tenant=tenant)
    return answer(200, _view(call, changed))


async def remove_endpoint(call: Call) -> Response:
    """Remove an endpoint."""
    if not await call.context.service.remove_endpoint(call.id, tenant=any_tenant(call)):
        raise NotFound(f"There is no endpoint {call.id[:64]!r}.")
    return Response(status_code=204)


async def probe_endpoint(call: Call) -> Response:
    """Try an endpoint out."""
    tenant = any_tenant(call)
    await refuse_body(call)
    result = await call.context.service.probe_endpoint(call.id, tenant=tenant)
    return answer(200, ProbeView.of(result))


def any_tenant(call: Call) -> str | None:
    """Return the tenant that a thing must belong to, None for anybody's."""
    tenant = parse_query(call, AnyTenantQuery).tenant
    return None if tenant is UNSET else tenant


_PATH, _ONE = "/v1/endpoints", "/v1/endpoints/{id}"
_EXAMPLE = '{"url": "https://example.com/hook", "event_types": ["message.*"]}'

OPERATIONS = (
    Operation(
        method="POST",
        path=_PATH,
        name="add_endpoint",
        scope=Scope.MANAGE,
        summary="Make an endpoint",
        description=(
            "Nothing is sent to it yet; try it with a probe. This answer and .../secret are the "
            "only ones that show the secret, to callers that have the scope `secrets`."
        ),
        handler=add_endpoint,
        body=(EndpointInput,),
        status=201,
        answer=(EndpointView,),
        answer_description="The endpoint, with its secret.",
        problems=(CONFLICT, NOT_SUPPORTED),
        example=_EXAMPLE,
    ),
    Operation(
        method="GET",
        path=_PATH,
        name="list_endpoints",
        scope=Scope.READ,
        summary="List endpoints, oldest first",
        description="One tenant's.",
        handler=list_endpoints,
        query=EndpointsQuery,
        status=200,
        answer=(EndpointPage,),
        answer_description="One page.",
    ),
    Operation(
        method="POST",
        path=f"{_PATH}/batch",
        name="add_endpoints",
        scope=Scope.MANAGE,
        summary="Make several endpoints",
        description="All of them or, if one is wrong or taken, none.",
        handler=add_endpoints,
        body=(EndpointBatchInput,),
        status=201,
        answer=(EndpointsMade,),
        answer_description="The endpoints, with their secrets.",
        problems=(CONFLICT, NOT_SUPPORTED),
        example=f'{{"endpoints": [{_EXAMPLE}]}}',
    ),
    Operation(
        method="GET",
        path=_ONE,
        name="get_endpoint",
        scope=Scope.READ,
        summary="Show one endpoint",
        description="Without its secret and the values of its headers.",
        handler=get_endpoint,
        query=AnyTenantQuery,
        status=200,
        answer=(EndpointView,),
        answer_description="The endpoint.",
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="PATCH",
        path=_ONE,
        name="update_endpoint",
        scope=Scope.MANAGE,
        summary="Change an endpoint",
        description=(
            "What is left out stays, null clears. What is pending stays pending: an endpoint that "
            "stops being active gets it when it is active again, and its health begins anew."
        ),
        handler=update_endpoint,
        query=AnyTenantQuery,
        body=(EndpointPatch,),
        status=200,
        answer=(EndpointView,),
        answer_description="The endpoint as it is now.",
        problems=(NOT_FOUND, CONFLICT),
        example='{"active": false}',
    ),
    Operation(
        method="DELETE",
        path=_ONE,
        name="remove_endpoint",
        scope=Scope.MANAGE,
        summary="Remove an endpoint",
        description="At once; its pending deliveries are canceled.",
        handler=remove_endpoint,
        query=AnyTenantQuery,
        status=204,
        answer=(),
        answer_description="It is gone.",
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/probe",
        name="probe_endpoint",
        scope=Scope.MANAGE,
        summary="Try an endpoint out",
        description=(
            "Sends exactly one signed request, whatever its status; nothing is stored. It takes a "
            "start of the endpoint's rate, and is refused if that is more than 10 s away."
        ),
        handler=probe_endpoint,
        query=AnyTenantQuery,
        status=200,
        answer=(ProbeView,),
        answer_description="What came of the request, success or not.",
        problems=(NOT_FOUND, CONFLICT, NOT_SUPPORTED),
    ),
)
