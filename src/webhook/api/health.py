"""``/health``: whether the service and its store answer."""

from __future__ import annotations

from starlette.responses import Response

from webhook.api.operation import Call, Operation, answer
from webhook.api.views import Health
from webhook.domain.event import TENANT_DEFAULT
from webhook.ports import EndpointQuery


async def health(call: Call) -> Response:
    """Read one row, if there is one."""
    await call.context.service.list_endpoints(EndpointQuery(tenant=TENANT_DEFAULT, limit=1))
    return answer(200, Health())


OPERATIONS = (
    Operation(
        method="GET",
        path="/health",
        name="health",
        scope=None,
        summary="Ask whether all is well",
        description="Reads from the store, so that the answer means something. Needs no token.",
        handler=health,
        status=200,
        answer=(Health,),
        answer_description="The service and its store answer.",
    ),
)
