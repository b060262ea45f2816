"""Receiving in Starlette: ``event``, or ``view`` for a ``Receiver``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, overload

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from webhook.receive.body import BodyTooLarge, Gathered
from webhook.receive.errors import BadPayload, VerificationError
from webhook.receive.events import Event, Shape
from webhook.receive.log import refused
from webhook.receive.receiver import Receiver
from webhook.receive.verifier import Verifier


@overload
async def event(request: Request, verifier: Verifier) -> Event[dict[str, Any]]: ...


@overload
async def event[T](request: Request, verifier: Verifier, type: Shape[T]) -> Event[T]: ...


async def event(request: Request, verifier: Verifier, type: Any = dict) -> Event[Any]:  # noqa: A002 - it reads best where it is called
    """Return the event of a request, or raise the HTTPException that answers it.

    Call it before anything else reads the body.
    """
    body = await _body(request)
    try:
        return verifier.unwrap(body, request.scope["headers"], type)
    except (VerificationError, BadPayload) as error:
        refused(error)
        raise HTTPException(400) from None


def view(receiver: Receiver) -> Callable[[Request], Awaitable[Response]]:
    """Make a view of a receiver, for ``app.add_route("/hook", ..., ["POST"])``.

    ``receiver.asgi`` is an application of its own; where it is mounted, Starlette answers an
    address without its last slash with a redirect, and senders follow none.
    """

    async def webhook(request: Request) -> Response:
        status = await receiver.answer(await _body(request), request.scope["headers"])
        return Response(status_code=status)

    return webhook


async def _body(request: Request) -> bytes:
    body = Gathered()
    try:
        async for chunk in request.stream():
            body.add(chunk)
    except BodyTooLarge:
        raise HTTPException(413) from None
    return body.whole()
