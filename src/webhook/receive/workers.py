"""Receiving in a Python Worker: ``event``, or ``receiver.workers(request)``; and ``KVSeen``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, overload

from workers import Request, Response

from webhook.receive.body import BODY_BYTES_MAX, BodyTooLarge
from webhook.receive.events import Event, Shape
from webhook.receive.headers import Headers
from webhook.receive.seen import KEEP_S, State
from webhook.receive.verifier import Verifier

KV_TTL_MIN_S = 60
"""KV takes no shorter time to live."""


@overload
async def event(request: Request, verifier: Verifier) -> Event[dict[str, Any]]: ...


@overload
async def event[T](request: Request, verifier: Verifier, type: Shape[T]) -> Event[T]: ...


async def event(request: Request, verifier: Verifier, type: Any = dict) -> Event[Any]:  # noqa: A002 - it reads best where it is called
    """Return the event of a request.

    Raises what ``Verifier.unwrap`` does: answer it with 400; or ``BodyTooLarge``: with 413.
    """
    return verifier.unwrap(await _body(request), request.headers, type)


async def answer(
    request: Request, handle: Callable[[bytes, Headers], Awaitable[HTTPStatus]]
) -> Response:
    """Answer a request with the status that ``handle`` gives for its raw body."""
    if request.method != "POST":
        return Response(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": "POST"})
    try:
        body = await _body(request)
    except BodyTooLarge:
        return Response(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return Response(status=await handle(body, request.headers))


async def _body(request: Request) -> bytes:
    length = request.headers.get("content-length") or ""
    if length.isdecimal() and int(length) > BODY_BYTES_MAX:
        raise BodyTooLarge
    body: bytes = await request.bytes()
    if len(body) > BODY_BYTES_MAX:  # it came in chunks
        raise BodyTooLarge
    return body


class KVSeen:
    """Remembers in Workers KV: ``KVSeen(self.env.SEEN)``.

    KV answers for a while with what it knew before, and has no way to write only what is not there:
    two deliveries of an event at the same moment, or from two places of the world, may both be
    handled. Retries, which come seconds later and by the same way, are seen. Where that is not
    enough, write a ``Seen`` on D1 or a Durable Object. ``scope`` tells receivers apart that share a
    namespace.
    """

    def __init__(self, namespace: Any, *, scope: str = "", keep_s: float = KEEP_S) -> None:  # noqa: ANN401 - any shape
        self._namespace, self._scope, self._keep_s = namespace, scope, keep_s

    async def begin(self, message_id: str, ttl: float) -> State:
        """See ``Seen``."""
        known: str | None = await self._namespace.get(self._key(message_id))
        if known is not None:
            return "done" if known == "done" else "running"
        await self._put(message_id, "running", ttl)
        return "new"

    async def done(self, message_id: str) -> None:
        """See ``Seen``."""
        await self._put(message_id, "done", self._keep_s)

    async def abort(self, message_id: str) -> None:
        """See ``Seen``."""
        if await self._namespace.get(self._key(message_id)) != "done":
            await self._namespace.delete(self._key(message_id))

    async def _put(self, message_id: str, state: str, ttl: float) -> None:
        lasting = max(KV_TTL_MIN_S, round(ttl))
        await self._namespace.put(self._key(message_id), state, expirationTtl=lasting)

    def _key(self, message_id: str) -> str:
        return f"webhook-seen:{self._scope}:{message_id}"
