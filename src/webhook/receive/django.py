"""Receiving in Django: ``signed``, or ``view`` for a ``Receiver``; and ``DjangoCacheSeen``.

Both take POST only, need no CSRF token, and read ``request.body`` before anything else does.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.core.cache import caches
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt

from webhook.receive.body import BODY_BYTES_MAX, BodyTooLarge
from webhook.receive.errors import BadPayload, Gone, VerificationError
from webhook.receive.events import Event
from webhook.receive.log import refused
from webhook.receive.receiver import Receiver
from webhook.receive.seen import KEEP_S, State
from webhook.receive.verifier import Verifier

View = Callable[..., Any]


def signed(verifier: Verifier, type: Any = dict) -> Callable[[View], View]:  # noqa: A002, ANN401 - it reads best where it is called; any shape
    """Give a view the event after the request, ``def hook(request, event)``, or answer 400.

    A view that returns None answers 204, one that raises ``Gone`` 410; it may be a coroutine
    function. ``type`` is what the event's data becomes.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def verified(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any shape
            event = _read(request, verifier, type)
            if not isinstance(event, Event):
                return event
            try:
                return _answer(view(request, event, *args, **kwargs))
            except Gone:
                return HttpResponse(status=HTTPStatus.GONE)

        @functools.wraps(view)
        async def verified_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any shape
            event = _read(request, verifier, type)
            if not isinstance(event, Event):
                return event
            try:
                return _answer(await view(request, event, *args, **kwargs))
            except Gone:
                return HttpResponse(status=HTTPStatus.GONE)

        chosen: View = csrf_exempt(
            verified_async if inspect.iscoroutinefunction(view) else verified
        )
        return chosen

    return decorate


def view(receiver: Receiver) -> View:
    """Make a view of a receiver, for ``path("hook", ...)``."""

    def webhook(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            status = receiver.answer_sync(_body(request), request.headers)
        except BodyTooLarge:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return HttpResponse(status=status)

    exempt: View = csrf_exempt(webhook)
    return exempt


def _read(request: HttpRequest, verifier: Verifier, shape: Any) -> Event[Any] | HttpResponse:  # noqa: ANN401 - any shape
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        return verifier.unwrap(_body(request), request.headers, shape)
    except BodyTooLarge:
        return HttpResponse(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    except (VerificationError, BadPayload) as error:
        refused(error)
        return HttpResponse(status=HTTPStatus.BAD_REQUEST)


class DjangoCacheSeen:
    """Remembers in one of Django's caches, which must be one that processes share.

    Memcached, Redis and the database do; ``locmem`` is a process's own. ``scope`` tells the
    receivers that share a cache apart. A cache may forget before its time, under pressure.
    """

    def __init__(self, cache: str = "default", *, scope: str = "", keep_s: float = KEEP_S) -> None:
        self._cache, self._scope, self._keep_s = cache, scope, keep_s

    def begin(self, message_id: str, ttl: float) -> State:
        """See ``Seen``."""
        key = self._key(message_id)
        if caches[self._cache].add(key, "running", ttl):
            return "new"
        return "done" if caches[self._cache].get(key) == "done" else "running"

    def done(self, message_id: str) -> None:
        """See ``Seen``."""
        caches[self._cache].set(self._key(message_id), "done", self._keep_s)

    def abort(self, message_id: str) -> None:
        """See ``Seen``."""
        if caches[self._cache].get(self._key(message_id)) != "done":
            caches[self._cache].delete(self._key(message_id))

    def _key(self, message_id: str) -> str:
        # Some caches take no more than 250 characters of a key.
        text = f"{self._scope}\0{message_id}".encode()
        return f"webhook-seen-{hashlib.sha256(text).hexdigest()}"


def _body(request: HttpRequest) -> bytes:
    """Return the raw body; raises ``BodyTooLarge``."""
    try:
        body: bytes = request.body
    except RequestDataTooBig:
        raise BodyTooLarge from None
    if len(body) > BODY_BYTES_MAX:
        raise BodyTooLarge
    return body


def _answer(answer: object) -> object:
    return HttpResponse(status=HTTPStatus.NO_CONTENT) if answer is None else answer
