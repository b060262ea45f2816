"""What is wrong with a request as such, in the tree of ``webhook.domain.errors``."""

from __future__ import annotations

from typing import Self

from webhook.domain.errors import FieldError, InvalidInput, PayloadTooLarge, WebhookError

BUSY_RETRY_AFTER_S = 2


class Unauthorized(WebhookError):  # noqa: N818 - named after what the caller sees
    """The request bears no valid token."""


class Forbidden(WebhookError):  # noqa: N818 - named after what the caller sees
    """The token may not do that."""

    @classmethod
    def at(cls, pointer: str, detail: str) -> Self:
        """Make the error for one field."""
        return cls(f"{pointer}: {detail}", (FieldError(pointer, detail),))


class TooManyRequests(WebhookError):  # noqa: N818 - named after what the caller sees
    """Requests come too fast."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(f"{message} Try again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


class ServiceBusy(WebhookError):  # noqa: N818 - named after what the caller sees
    """More connections are open than are served."""

    def __init__(self) -> None:
        super().__init__(f"Too many connections are open. Try again in {BUSY_RETRY_AFTER_S} s.")
        self.retry_after_s = BUSY_RETRY_AFTER_S


class RequestTooSlow(WebhookError):  # noqa: N818 - named after what the caller sees
    """The request did not come in time."""


class HeadersTooLarge(WebhookError):  # noqa: N818 - named after what the caller sees
    """The request's line and headers are over their limit."""


class NotHttp(WebhookError):  # noqa: N818 - named after what the caller sees
    """What came is no HTTP request."""


class TokenNotConfigured(WebhookError):  # noqa: N818 - named after what the caller sees
    """The API is closed until a token is set: the secret or variable WEBHOOK_API_TOKEN."""


class NoSuchPath(WebhookError):  # noqa: N818 - named after what the caller sees
    """There is nothing at this path; /docs lists what there is."""


class MethodNotAllowed(WebhookError):  # noqa: N818 - named after what the caller sees
    """The path does not take this method."""

    def __init__(self, method: str, allow: str) -> None:
        super().__init__(f"The path takes {allow}, not {method[:32]}.")
        self.allow = allow


class NotJson(InvalidInput):
    """The body is not JSON."""


class UnsupportedMedia(InvalidInput):
    """The body is of a media type that is not taken."""


class BodyTooLarge(PayloadTooLarge):
    """The body is over its limit. What is left of it was not read."""


class ClientGone(Exception):  # noqa: N818 - nobody is left to be told
    """The caller hung up before its body was complete."""
