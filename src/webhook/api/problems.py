"""The one place that makes ``application/problem+json`` (RFC 9457) of an error.

A pointer that begins with ``/`` (or is empty, for the whole) is a JSON pointer into the body, one
that begins with ``?`` names a query parameter, any other names a header.
"""

from __future__ import annotations

import logging
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from webhook.api.errors import (
    Forbidden,
    HeadersTooLarge,
    MethodNotAllowed,
    NoSuchPath,
    NotHttp,
    NotJson,
    RequestTooSlow,
    ServiceBusy,
    TokenNotConfigured,
    TooManyRequests,
    Unauthorized,
    UnsupportedMedia,
)
from webhook.api.request_id import new_request_id
from webhook.domain.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    NotFound,
    NotSupported,
    PayloadTooLarge,
    StoreFull,
    StoreUnavailable,
    WebhookError,
)

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger("webhook.api")


class Problem(msgspec.Struct, frozen=True):
    """A kind of problem. ``slug`` is its anchor in /docs, ``remedy`` what to do about it."""

    slug: str
    status: int
    title: str
    remedy: str

    @property
    def type(self) -> str:
        """Its URI reference, relative to the service."""
        return f"/docs#problem-{self.slug}"


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong (RFC 9457)."""

    type: Annotated[str, Meta(description="A link to the kind of problem in /docs.")]
    title: Annotated[str, Meta(description="The kind of problem in a few words.")]
    status: Annotated[int, Meta(description="The HTTP status.")]
    detail: Annotated[str, Meta(description="What is wrong this time, in one sentence.")]
    errors: Annotated[
        list[FieldError],
        Meta(
            description="Each bad field: /... points into the body, ?... names a query parameter, "
            "anything else a header."
        ),
    ]
    request_id: Annotated[str, Meta(description="The request's, as in its X-Request-Id header.")]


NOT_JSON = Problem(
    "not-json", 400, "The body is not JSON", "Send one JSON object as UTF-8, without a BOM."
)
NOT_HTTP = Problem("not-http", 400, "Not an HTTP request", "Speak HTTP/1.1 (RFC 9112).")
UNAUTHORIZED = Problem(
    "unauthorized", 401, "No valid token", "Send authorization: Bearer with the service's token."
)
FORBIDDEN = Problem(
    "forbidden",
    403,
    "Not allowed",
    "Use a token that has the scope and is for that tenant; an admin makes one at /v1/tokens.",
)
NOT_FOUND = Problem(
    "not-found", 404, "Not found", "Check the path, the id, and the tenant that it belongs to."
)
METHOD_NOT_ALLOWED = Problem(
    "method-not-allowed", 405, "Method not allowed", "The Allow header lists what the path takes."
)
TOO_SLOW = Problem(
    "too-slow", 408, "The request came too slowly", "Send it again, all of it without pauses."
)
CONFLICT = Problem(
    "conflict",
    409,
    "Conflict with what is stored",
    "The name is taken by other content, or the row has moved on: read it again.",
)
TOO_LARGE = Problem(
    "too-large",
    413,
    "Too large",
    "Send fewer events in a call, or a reference in place of the data.",
)
TOO_MANY_REQUESTS = Problem(
    "too-many-requests", 429, "Too many requests", "Wait for as long as Retry-After says."
)
UNSUPPORTED_MEDIA = Problem(
    "unsupported-media",
    415,
    "The media type is not taken",
    "Send content-type: application/json, in UTF-8 and without content-encoding.",
)
INVALID = Problem(
    "invalid", 422, "Some fields are wrong", "Each of the errors points to a field and says how."
)
HEADERS_TOO_LARGE = Problem(
    "headers-too-large", 431, "The headers are too large", "Send a shorter URL and fewer headers."
)
INTERNAL = Problem(
    "internal", 500, "Internal error", "Not your fault; the log of the service has it by its id."
)
NOT_SUPPORTED = Problem(
    "not-supported",
    501,
    "The service cannot do that here",
    "The detail says what it takes: stores such as those that come with it, or a package.",
)
STORE_UNAVAILABLE = Problem(
    "store-unavailable",
    503,
    "The store did not answer",
    "Try again after Retry-After; with an id or Idempotency-Key nothing is accepted twice.",
)
BUSY = Problem(
    "busy", 503, "Too many connections", "Try again after Retry-After; keep fewer connections."
)
STORE_FULL = Problem(
    "store-full",
    507,
    "No room is left in the store",
    "Make room on the disk of the database, and the service goes on by itself; nothing of the call "
    "was kept.",
)
NO_TOKEN = Problem(
    "no-token-configured",
    503,
    "No token is configured",
    "Set WEBHOOK_API_TOKEN: in a Worker with `wrangler secret put WEBHOOK_API_TOKEN`, "
    "elsewhere in the environment.",
)

PROBLEMS: dict[type[WebhookError], Problem] = {
    NotJson: NOT_JSON,
    Unauthorized: UNAUTHORIZED,
    Forbidden: FORBIDDEN,
    NotFound: NOT_FOUND,
    NoSuchPath: NOT_FOUND,
    MethodNotAllowed: METHOD_NOT_ALLOWED,
    Conflict: CONFLICT,
    PayloadTooLarge: TOO_LARGE,
    UnsupportedMedia: UNSUPPORTED_MEDIA,
    InvalidInput: INVALID,
    TooManyRequests: TOO_MANY_REQUESTS,
    NotHttp: NOT_HTTP,
    RequestTooSlow: TOO_SLOW,
    HeadersTooLarge: HEADERS_TOO_LARGE,
    ServiceBusy: BUSY,
    StoreFull: STORE_FULL,
    NotSupported: NOT_SUPPORTED,
    StoreUnavailable: STORE_UNAVAILABLE,
    TokenNotConfigured: NO_TOKEN,
}
CATALOGUE = (*dict.fromkeys(PROBLEMS.values()), INTERNAL)


def problem_response(error: Exception, request_id: str | None = None) -> Response:
    """Return the answer to an error, found along its class hierarchy.

    What is not meant for the caller becomes a 500, and the log has it under the request's id.
    """
    request_id = request_id or new_request_id()
    problem = next((PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS), None)
    if problem is None or not isinstance(error, WebhookError):
        _log.error("error %s", request_id, exc_info=error)
        sentence = f"Something went wrong here; the log has it as {request_id}."
        return _response(INTERNAL, sentence, request_id)
    if isinstance(error, StoreUnavailable):
        # What a database said is for the log; it may name hosts and paths.
        _log.warning("store unavailable in %s: %s", request_id, error)
        kind = StoreFull if problem is STORE_FULL else StoreUnavailable
        headers = {"retry-after": str(error.retry_after_s)}
        return _response(problem, kind().message, request_id, headers=headers)
    headers = {}
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = "Bearer"
    elif isinstance(error, MethodNotAllowed):
        headers["allow"] = error.allow
    elif isinstance(error, TooManyRequests | ServiceBusy):
        headers["retry-after"] = str(error.retry_after_s)
    detail = f"{error.message} {problem.remedy}" if problem is NO_TOKEN else error.message
    return _response(problem, detail, request_id, error.errors, headers)


def _response(
    problem: Problem,
    detail: str,
    request_id: str,
    errors: tuple[FieldError, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    document = ProblemDocument(
        type=problem.type,
        title=problem.title,
        status=problem.status,
        detail=_encodable(detail),
        errors=[FieldError(_encodable(e.pointer), _encodable(e.detail)) for e in errors],
        request_id=request_id,
    )
    content = msgspec.json.encode(document)
    return Response(content, problem.status, headers=headers, media_type=MEDIA_TYPE)


def _encodable(text: str) -> str:
    """Replace halves of characters, which a caller may have named a field with."""
    return text.encode("utf-8", "replace").decode()
