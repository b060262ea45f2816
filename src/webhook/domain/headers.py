"""Which custom headers an endpoint may have: none that changes what we say or how HTTP works."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from webhook.domain.errors import FieldError, InvalidInput
from webhook.domain.json_text import escape

HEADERS_MAX = 50
HEADERS_BYTES_MAX = 16_384
NAME_CHARS_MAX = 256
VALUE_BYTES_MAX = 4_096

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")

_RESERVED = frozenset((
    # The connection and the message, which HTTP itself decides about (RFC 9110, 9112).
    "host", "connection", "keep-alive", "proxy-connection", "proxy-authenticate",
    "proxy-authorization", "te", "trailer", "trailers", "transfer-encoding", "upgrade", "expect",
    "accept-encoding", "http2-settings",
    # Words about a response, or about us.
    "age", "cache-control", "clear-site-data", "expires", "pragma", "warning", "user-agent",
))  # fmt: skip
# Ours and k-msg's, the body's, and those that clouds and other senders give a meaning to.
_RESERVED_PREFIXES = (
    "webhook-", "x-webhook-", "content-", "svix-", "x-svix-", "x-amz-", "x-amzn-", "x-google",
    "x-goog-", "x-gfe", "x-azure-", "x-fd-",
)  # fmt: skip


def check_headers(headers: Mapping[str, str], *, reserved: Iterable[str] = ()) -> None:
    """Raise ``InvalidInput``, with a pointer to each bad header, unless all may be sent.

    ``reserved`` names further headers that the service sets itself.
    """
    ours = frozenset(comparable(name) for name in reserved)
    errors: list[FieldError] = []
    seen: set[str] = set()
    for name, value in headers.items():
        problem = name_problem(name)
        if problem is None and (is_reserved(name) or comparable(name) in ours):
            problem = "This header is reserved; choose another name."
        problem = problem or _value_problem(value)
        if problem is None and name.lower() in seen:
            problem = "There is another header of this name; the case of letters does not count."
        seen.add(name.lower())
        if problem is not None:
            errors.append(FieldError(f"/headers/{escape(name)}", problem))
    if len(headers) > HEADERS_MAX:
        errors.append(FieldError("/headers", f"An endpoint has at most {HEADERS_MAX} headers."))
    if sum(len(name) + len(value) for name, value in headers.items()) > HEADERS_BYTES_MAX:
        sentence = f"The headers have at most {HEADERS_BYTES_MAX} bytes together."
        errors.append(FieldError("/headers", sentence))
    if errors:
        raise InvalidInput(f"{errors[0].pointer}: {errors[0].detail}", errors)


def name_problem(name: str) -> str | None:
    """Return what is wrong with the form of a header's name, or None."""
    if not name:
        return "A header needs a name."
    if len(name) > NAME_CHARS_MAX:
        return f"A header's name has at most {NAME_CHARS_MAX} characters."
    if not _NAME.fullmatch(name):
        return "A header's name has letters, digits, - and _, and begins with a letter or digit."
    return None


def is_reserved(name: str) -> bool:
    """Whether a header of this name is for HTTP, for us or for others to set."""
    known = comparable(name)
    return known in _RESERVED or known.startswith(_RESERVED_PREFIXES)


def comparable(name: str) -> str:
    """Return what names have in common that a receiver may take for one.

    CGI and WSGI give X_A and X-A to a program under one name, so one could pass for the other.
    """
    return name.lower().replace("_", "-")


def _value_problem(value: str) -> str | None:
    if not value:
        return "A header needs a value; leave the header out instead."
    if len(value) > VALUE_BYTES_MAX:
        return f"A header's value has at most {VALUE_BYTES_MAX} bytes."
    if not _VALUE.fullmatch(value):
        return "A header's value has printable ASCII characters only, and no space at its ends."
    return None
