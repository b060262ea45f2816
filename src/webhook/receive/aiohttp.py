"""Receiving in aiohttp: ``event``, or ``view`` for a ``Receiver``.

Of bodies over the application's ``client_max_size`` (1 MiB) aiohttp itself says 413.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, overload

from aiohttp import web

from webhook.receive.errors import BadPayload, VerificationError
from webhook.receive.events import Event, Shape
from webhook.receive.log import refused
from webhook.receive.receiver import Receiver
from webhook.receive.verifier import Verifier


@overload
async def event(request: web.Request, verifier: Verifier) -> Event[dict[str, Any]]: ...


@overload
async def event[T](request: web.Request, verifier: Verifier, type: Shape[T]) -> Event[T]: ...


async def event(request: web.Request, verifier: Verifier, type: Any = dict) -> Event[Any]:  # noqa: A002 - it reads best where it is called
    """Return the event of a request, or raise the HTTPBadRequest that answers it."""
    body = await request.read()
    try:
        return verifier.unwrap(body, request.headers, type)
    except (VerificationError, BadPayload) as error:
        refused(error)
        raise web.HTTPBadRequest from None


def view(receiver: Receiver) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Make a view of a receiver, for ``app.router.add_post("/hook", ...)``."""

    async def webhook(request: web.Request) -> web.Response:
        status = await receiver.answer(await request.read(), request.headers)
        return web.Response(status=status)

    return webhook
