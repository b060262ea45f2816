"""``/v1/sending``: the operator's switch."""

from __future__ import annotations

from starlette.responses import Response

from webhook.api.body import refuse_body
from webhook.api.operation import Call, Operation, answer
from webhook.api.views import SendingView
from webhook.domain.access import Scope


async def get_sending(call: Call) -> Response:
    """Show the switch."""
    return answer(200, SendingView.of(await call.context.service.sending_status()))


async def pause_sending(call: Call) -> Response:
    """Turn the switch."""
    await refuse_body(call)
    return answer(200, SendingView.of(await call.context.service.pause_sending()))


async def resume_sending(call: Call) -> Response:
    """Turn the switch back."""
    await refuse_body(call)
    return answer(200, SendingView.of(await call.context.service.resume_sending()))


_PATH = "/v1/sending"

OPERATIONS = (
    Operation(
        method="GET",
        path=_PATH,
        name="get_sending",
        scope=Scope.READ,
        summary="Ask whether sending is paused",
        description="For all tenants.",
        handler=get_sending,
        status=200,
        answer=(SendingView,),
        answer_description="The operator's switch.",
    ),
    Operation(
        method="POST",
        path=f"{_PATH}/pause",
        name="pause_sending",
        scope=Scope.ADMIN,
        whole=True,
        summary="Pause all sending",
        description=(
            "For all tenants. Events are still accepted and wait, no retry is used up. What is "
            "under way ends as ever. Pausing twice changes nothing."
        ),
        handler=pause_sending,
        status=200,
        answer=(SendingView,),
        answer_description="The switch as it is now.",
    ),
    Operation(
        method="POST",
        path=f"{_PATH}/resume",
        name="resume_sending",
        scope=Scope.ADMIN,
        whole=True,
        summary="Resume sending",
        description="What waited goes out first.",
        handler=resume_sending,
        status=200,
        answer=(SendingView,),
        answer_description="The switch as it is now.",
    ),
)
