"""Receiving in FastAPI: ``Signed``, or ``view`` for a ``Receiver``, which is Starlette's."""

# Annotations must be there at run time: FastAPI reads them.

from collections.abc import AsyncIterator
from typing import Any

from fastapi import HTTPException, Request

from webhook.receive.errors import Gone
from webhook.receive.events import Event
from webhook.receive.starlette import event as signed_event
from webhook.receive.starlette import view
from webhook.receive.verifier import Verifier

__all__ = ["Signed", "view"]


class Signed:
    """A dependency that gives the event of a request, or answers 400.

    ``async def hook(event: Annotated[Event, Depends(Signed(verifier))])``; the path operation must
    not ask for the body in another way. ``type`` is what the event's data becomes.
    """

    def __init__(self, verifier: Verifier, type: Any = dict) -> None:  # noqa: A002, ANN401 - it reads best where it is called; any shape
        self._verifier = verifier
        self._type = type

    async def __call__(self, request: Request) -> AsyncIterator[Event[Any]]:
        """Verify the request; FastAPI calls this."""
        event = await signed_event(request, self._verifier, self._type)
        try:
            yield event
        except Gone:
            raise HTTPException(410) from None
