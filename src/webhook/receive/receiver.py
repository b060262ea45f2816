"""``Receiver``: a handler for each type of event, and each event handled once."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any

from webhook.receive.asgi import AsgiApp
from webhook.receive.errors import BadPayload, Gone, VerificationError
from webhook.receive.events import Event, parse_event
from webhook.receive.headers import Headers
from webhook.receive.log import LOG, refused
from webhook.receive.seen import MemorySeen, Seen
from webhook.receive.shapes import shaped
from webhook.receive.verifier import Verifier
from webhook.receive.wsgi import WsgiApp

RUNNING_S = 120
"""Longer than a handler takes; senders have given up by then, and will come again."""

Handler = Callable[[Event[Any]], object]
"""A function or a coroutine function; what it returns is not looked at."""
_Call = Callable[..., Awaitable[Any]]


class Receiver:
    """Verifies, drops what was handled before, and calls the handler of the event's type.

    Answers: 204 handled, handled before, or of a type that nobody handles; 400 not the sender's, or
    no event that the handler takes; 410 the handler raised ``Gone``; 500 it raised anything else,
    and will get the retry; 503 it is still running. The body is empty, the reasons are in the log
    ``webhook.receive``.

    ``seen`` remembers what was handled, in this process unless told otherwise; one for each
    receiver. ``running_s`` is after how many seconds a handler that never came back (its process
    died) is called again; it must be longer than a handler takes.
    """

    def __init__(
        self, verifier: Verifier, seen: Seen | None = None, *, running_s: float = RUNNING_S
    ) -> None:
        self._verifier = verifier
        self._seen: Seen = MemorySeen() if seen is None else seen
        self._running_s = running_s
        self._handlers: list[tuple[str, Handler, Any]] = []
        self.asgi = AsgiApp(self.answer)
        """An ASGI application; its path is not looked at."""
        self.wsgi = WsgiApp(self.answer_sync)
        """A WSGI application; its path is not looked at."""

    def on[H: Handler](self, pattern: str, type: Any = dict) -> Callable[[H], H]:  # noqa: A002, ANN401 - it reads best where it is called; any shape
        """Register a handler: for a type, ``message.sent``, a group, ``message.*``, or all, ``*``.

        The first that matches is called, and no other. ``type`` is what the event's data becomes,
        see ``webhook.receive.shapes``.
        """
        check_pattern(pattern)
        earlier = next((each for each, *_ in self._handlers if covers(each, pattern)), None)
        if earlier is not None:
            raise ValueError(f"{pattern} would never be called: {earlier} comes before it")

        def register(handler: H) -> H:
            self._handlers.append((pattern, handler, type))
            return handler

        return register

    async def answer(self, body: bytes, headers: Headers) -> HTTPStatus:
        """Handle one request and return what to answer; plain functions run in a thread."""
        return await self._answer(body, headers, _in_loop)

    def answer_sync(self, body: bytes, headers: Headers) -> HTTPStatus:
        """Handle one request where there is no event loop."""
        return _finished(self._answer(body, headers, _without_loop))

    async def workers(self, request: Any) -> Any:  # noqa: ANN401 - the platform's classes
        """Answer a request inside a Python Worker: return it from ``fetch``."""
        from webhook.receive import workers  # noqa: PLC0415 - exists only there

        return await workers.answer(request, self.answer)

    async def _answer(self, body: bytes, headers: Headers, call: _Call) -> HTTPStatus:
        try:
            verified = self._verifier.verify(body, headers)
        except VerificationError as error:
            refused(error)
            return HTTPStatus.BAD_REQUEST
        state = await call(self._seen.begin, verified.id, self._running_s)
        if state != "new":
            LOG.info("%s is %s already", verified.id, state)
            done = state == "done"
            return HTTPStatus.NO_CONTENT if done else HTTPStatus.SERVICE_UNAVAILABLE
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        try:
            event = parse_event(body, verified.id, verified.timestamp, Any)
            status = await self._handle(event, call)
        except BadPayload as error:
            refused(error)
            status = HTTPStatus.BAD_REQUEST
        finally:  # also when we are canceled
            await self._remember(verified.id, call, done=status is HTTPStatus.NO_CONTENT)
        return status

    async def _handle(self, event: Event[Any], call: _Call) -> HTTPStatus:
        for pattern, handler, shape in self._handlers:
            if not covers(pattern, event.type):
                continue
            event = dataclasses.replace(event, data=shaped(event.data, shape))
            try:
                await call(handler, event)
            except Gone:
                LOG.warning("the handler of %s wants no more", event.type)
                return HTTPStatus.GONE
            except Exception:  # noqa: BLE001 - whatever it is, the sender comes again
                LOG.exception("the handler of %s failed with %s", event.type, event.id)
                return HTTPStatus.INTERNAL_SERVER_ERROR
            return HTTPStatus.NO_CONTENT
        LOG.info("nobody handles %s", event.type)
        return HTTPStatus.NO_CONTENT

    async def _remember(self, message_id: str, call: _Call, *, done: bool) -> None:
        try:
            await call(self._seen.done if done else self._seen.abort, message_id)
        except Exception:  # noqa: BLE001 - whatever it is, the mark ends by itself
            # What was handled stays handled: another answer would only have it handled again.
            LOG.exception("cannot remember what became of %s", message_id)


def check_pattern(pattern: str) -> None:
    """Raise ValueError for what is neither a type, nor a group, nor all."""
    name = pattern.removesuffix(".*")
    if pattern != "*" and (not name or "*" in name):
        raise ValueError(f"{pattern!r} is none of: message.sent, message.*, *")


def covers(pattern: str, event_type: str) -> bool:
    """Whether a pattern matches a type, or all that another pattern does."""
    if pattern == "*":
        return True
    if pattern.endswith(".*"):
        return event_type.startswith(pattern[:-1])
    return pattern == event_type


async def _in_loop(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - any shape
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    import asyncio  # noqa: PLC0415 - a verifier alone has no use for it

    result = await asyncio.to_thread(function, *arguments)
    return await result if inspect.isawaitable(result) else result


async def _without_loop(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - any shape
    result = function(*arguments)
    if not inspect.isawaitable(result):
        return result
    import asyncio  # noqa: PLC0415 - as above

    return asyncio.run(_awaited(result))


async def _awaited(result: Awaitable[Any]) -> Any:  # noqa: ANN401 - any shape
    return await result


def _finished[T](steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing, without a loop: Django forbids its models in one."""
    try:
        steps.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise RuntimeError("it waited for something")
