"""What a call ends with when it does not end well.

WebhookError
├── ApiError             the service refused; one class for each kind of problem
│   ├── Invalid          400, 415, 422: ``errors`` points to each bad field
│   ├── Unauthorized     401
│   ├── Forbidden        403
│   ├── NotFound         404
│   ├── Conflict         409
│   ├── TooLarge         413, 431
│   ├── TooManyRequests  429, and trying again did not help
│   ├── NotSupported     501
│   └── Unavailable      502, 503, 504, 507, and trying again did not help
├── Unreachable          nothing answered
└── BadAnswer            what answered is no webhook service, or one that is much newer
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from webhook.domain.errors import FieldError, WebhookError


class ApiError(WebhookError):
    """A problem document (RFC 9457): its fields, and ``retry_after_s`` of the answer's header."""

    def __init__(
        self,
        *,
        status: int,
        title: str,
        detail: str,
        type: str = "about:blank",  # noqa: A002 - the document's name for it
        errors: Sequence[FieldError] = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail, errors)
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class Invalid(ApiError):  # noqa: N818 - named after what the caller sees
    """Some fields are wrong."""


class Unauthorized(ApiError):  # noqa: N818 - named after what the caller sees
    """There is no valid token."""


class Forbidden(ApiError):  # noqa: N818 - named after what the caller sees
    """The token may not do that."""


class NotFound(ApiError):  # noqa: N818 - named after what the caller sees
    """There is no such thing, or not in this tenant."""


class Conflict(ApiError):  # noqa: N818 - named after what the caller sees
    """The name is taken by other content, or the row has moved on."""


class TooLarge(ApiError):  # noqa: N818 - named after what the caller sees
    """The call is over a documented limit."""


class TooManyRequests(ApiError):  # noqa: N818 - named after what the caller sees
    """Requests come too fast."""


class NotSupported(ApiError):  # noqa: N818 - named after what the caller sees
    """The service cannot do that with its stores."""


class Unavailable(ApiError):  # noqa: N818 - named after what the caller sees
    """The service does not answer for now."""


class Unreachable(WebhookError):  # noqa: N818 - named after what the caller sees
    """Nothing answered. ``sent`` tells whether the call may have been carried out all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class BadAnswer(WebhookError):  # noqa: N818 - named after what the caller sees
    """What answered is no webhook service, or one that says what this version does not know."""


BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    415: Invalid,
    422: Invalid,
    429: TooManyRequests,
    431: TooLarge,
    501: NotSupported,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
    507: Unavailable,
}
