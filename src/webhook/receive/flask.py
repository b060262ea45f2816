"""Receiving in Flask: ``signed``, or ``view`` for a ``Receiver``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import flask
from flask.typing import ResponseReturnValue

from webhook.receive.body import BODY_BYTES_MAX
from webhook.receive.errors import BadPayload, Gone, VerificationError
from webhook.receive.log import refused
from webhook.receive.receiver import Receiver
from webhook.receive.verifier import Verifier

View = Callable[..., Any]


def signed(verifier: Verifier, type: Any = dict) -> Callable[[View], View]:  # noqa: A002, ANN401 - it reads best where it is called; any shape
    """Give a view the event of the request as its first argument, or answer 400.

    Below the route: ``@app.post("/hook")``, then ``@signed(verifier)``. A view that returns None
    answers 204, one that raises ``Gone`` 410. ``type`` is what the event's data becomes.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def verified(*args: object, **kwargs: object) -> ResponseReturnValue:
            try:
                event = verifier.unwrap(_body(), flask.request.headers, type)
            except (VerificationError, BadPayload) as error:
                refused(error)
                return _empty(HTTPStatus.BAD_REQUEST)
            try:
                answer = flask.current_app.ensure_sync(view)(event, *args, **kwargs)
            except Gone:
                return _empty(HTTPStatus.GONE)
            return _empty(HTTPStatus.NO_CONTENT) if answer is None else answer

        return verified

    return decorate


def view(receiver: Receiver) -> Callable[[], ResponseReturnValue]:
    """Make a view of a receiver.

    For ``app.add_url_rule("/hook", view_func=..., methods=["POST"])``.
    """

    def webhook() -> ResponseReturnValue:
        return _empty(receiver.answer_sync(_body(), flask.request.headers))

    return webhook


def _body() -> bytes:
    if flask.request.max_content_length is None:
        flask.request.max_content_length = BODY_BYTES_MAX  # beyond it, werkzeug answers 413
    return flask.request.get_data()


def _empty(status: HTTPStatus) -> flask.Response:
    return flask.Response(status=status)
