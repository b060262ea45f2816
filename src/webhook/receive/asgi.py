"""A receiver as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from webhook.receive.body import BodyTooLarge, Gathered
from webhook.receive.headers import Headers

Message = MutableMapping[str, Any]
Answer = Callable[[bytes, Headers], Awaitable[HTTPStatus]]


class AsgiApp:
    """Reads the raw body, and answers with a status."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request; any other kind of connection is not for us."""
        if scope["type"] != "http":
            raise NotImplementedError(f"a receiver has no use for {scope['type']}")
        headers = []
        if scope["method"] != "POST":
            status = HTTPStatus.METHOD_NOT_ALLOWED
            headers = [(b"allow", b"POST")]
        else:
            body = Gathered()
            try:
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    body.add(message.get("body", b""))
                    more = message.get("more_body", False)
                status = await self._answer(body.whole(), scope["headers"])
            except BodyTooLarge:
                status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        if status is not HTTPStatus.NO_CONTENT:
            headers.append((b"content-length", b"0"))
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send({"type": "http.response.body", "body": b""})
