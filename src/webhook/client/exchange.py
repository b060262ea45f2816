"""From a request to its result, with the tries in between; the drivers do the I/O and the waiting.

``exchange`` is a generator: it yields what is to be sent and is sent the answer, or yields seconds
and is sent None when they have passed. So all is decided once, for ``Client`` and ``AsyncClient``.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec

from webhook.client.errors import (
    BY_STATUS,
    ApiError,
    BadAnswer,
    NotFound,
    TooManyRequests,
    Unavailable,
    Unreachable,
)
from webhook.client.request import Request
from webhook.domain.errors import FieldError

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
LONGEST_RETRY_AFTER_S = 60.0
_REDIRECTS = range(300, 400)
_NO_TOKEN = "#problem-no-token-configured"  # noqa: S105 - a problem's name


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What a transport sends, to be answered within ``timeout_s``; redirects are not followed."""

    method: str
    url: str
    # The token is in the headers, an endpoint's URL and secret may be in the body.
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    timeout_s: float


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What came back, the names of its headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Transport(Protocol):
    """Sends requests; may be called from several threads. Raises ``Unreachable``."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """Return the answer, whatever its status."""

    def close(self) -> None:
        """Give back what it holds."""


class AsyncTransport(Protocol):
    """As ``Transport``, in an event loop."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the answer, whatever its status."""

    async def close(self) -> None:
        """Give back what it holds."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where the service is, with which token, and how patient one is."""

    url: str
    token: str | None = field(repr=False)
    timeout_s: float
    retries: int

    def __post_init__(self) -> None:
        """Refuse what is no URL."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(
                f"{self.url!r} is no URL of a service. Give one like http://127.0.0.1:8787."
            )

    def http(self, request: Request[Any]) -> HttpRequest:
        """Return a request as it is sent."""
        headers = {"accept": "application/json"}
        if request.body is not None:
            headers["content-type"] = "application/json"
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        parameters = f"?{urlencode(request.query)}" if request.query else ""
        url = f"{self.url.rstrip('/')}{request.path}{parameters}"
        return HttpRequest(request.method, url, headers, request.body, self.timeout_s)


type Exchange[T] = Generator[HttpRequest | float, Any, T]


def exchange[T](request: Request[T], service: Service) -> Exchange[T]:
    """Return the result of a request; raises an error of ``webhook.client``."""
    tries, unsure = 0, False
    while True:
        error: ApiError | Unreachable
        try:
            response: HttpResponse = yield service.http(request)
            refused = _refused(response, service)
            if refused is None:
                return _result(request, response.body, service)
            error = refused
        except Unreachable as lost:
            error = lost
        if unsure and request.method == "DELETE" and isinstance(error, NotFound):
            # An earlier try had done it after all.
            return _result(request, b"", service)
        tries += 1
        unsure = unsure or _may_be_done(error)
        pause_s = _pause_s(error, tries)
        if tries > service.retries or pause_s is None or (unsure and not request.repeatable):
            raise error
        yield pause_s


def _result[T](request: Request[T], answer: bytes, service: Service) -> T:
    if request.answer is None:
        return request.then(None)
    try:
        return request.then(msgspec.json.decode(answer, type=request.answer))
    except msgspec.MsgspecError as error:
        raise BadAnswer(
            f"What answers at {service.url} is no webhook service, or one of another version: "
            f"{error}."
        ) from error


def _refused(response: HttpResponse, service: Service) -> ApiError | None:
    """Return the error of an answer, None of a good one; raises ``BadAnswer``."""
    status = response.status
    if status < _REDIRECTS.start:
        return None
    kind = BY_STATUS.get(status, ApiError)
    retry_after_s = _seconds(response.headers.get("retry-after"))
    try:
        problem = msgspec.json.decode(response.body, type=_Problem)
    except msgspec.MsgspecError:
        if kind is not Unavailable:
            raise BadAnswer(
                f"{service.url} answered {status}; that is no webhook service."
            ) from None
        detail = f"{service.url} answered {status}."
        return kind(status=status, title=detail, detail=detail, retry_after_s=retry_after_s)
    return kind(
        status=status,
        type=problem.type,
        title=problem.title,
        detail=problem.detail,
        errors=problem.errors,
        request_id=problem.request_id,
        retry_after_s=retry_after_s,
    )


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    detail: str
    type: str = "about:blank"
    errors: list[FieldError] = []
    request_id: str | None = None


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


def _may_be_done(error: ApiError | Unreachable) -> bool:
    return error.sent if isinstance(error, Unreachable) else isinstance(error, Unavailable)


def _pause_s(error: ApiError | Unreachable, tries: int) -> float | None:
    """Return how long to wait before the next try, None where it would not help."""
    pause_s = min(FIRST_PAUSE_S * 2.0 ** min(tries - 1, 30), LONGEST_PAUSE_S)
    # Callers that failed together do not come back together.
    pause_s *= random.uniform(0.5, 1)  # noqa: S311 - no secret
    if isinstance(error, Unreachable):
        return pause_s
    if not isinstance(error, TooManyRequests | Unavailable) or error.type.endswith(_NO_TOKEN):
        return None
    asked_s = error.retry_after_s or 0.0
    return None if asked_s > LONGEST_RETRY_AFTER_S else max(pause_s, asked_s)
