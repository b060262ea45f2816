"""A receiver as a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from webhook.receive.body import BODY_BYTES_MAX, BodyTooLarge, Gathered
from webhook.receive.headers import Headers

Answer = Callable[[bytes, Headers], HTTPStatus]
Environ = dict[str, Any]


class WsgiApp:
    """Reads the raw body, and answers with a status."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        headers = []
        if environ["REQUEST_METHOD"] != "POST":
            status = HTTPStatus.METHOD_NOT_ALLOWED
            headers = [("Allow", "POST")]
        else:
            try:
                status = self._answer(_body(environ), [*_headers(environ)])
            except BodyTooLarge:
                status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        if status is not HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", "0"))
        start_response(f"{status.value} {status.phrase}", headers)
        return []


def _headers(environ: Environ) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-"), value


def _body(environ: Environ) -> bytes:
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdecimal():
        left = int(length)
        if left > BODY_BYTES_MAX:
            raise BodyTooLarge
    elif environ.get("wsgi.input_terminated"):  # the server says that the stream itself ends
        left = BODY_BYTES_MAX + 1
    else:
        left = 0
    body = Gathered()
    while left > 0 and (chunk := environ["wsgi.input"].read(left)):
        body.add(chunk)
        left -= len(chunk)
    return body.whole()
