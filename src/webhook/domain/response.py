"""What a receiver's answer means, and how much of it is kept; the same for every sender."""

from __future__ import annotations

import codecs

from webhook.domain.errors import InvalidInput
from webhook.domain.model import RESPONSE_BYTES_MAX, ErrorKind
from webhook.domain.url_rules import UrlRules, check_url, url_host

_SUCCESS, _REDIRECT, _CLIENT_ERROR = 200, 300, 400
BODY_TOO_LONG = f"the body is longer than the {RESPONSE_BYTES_MAX} bytes that are kept"
_ANY_URL = UrlRules(allow_private_hosts=True, allow_http=True)


def status_problem(status: int, location: str | None = None) -> tuple[ErrorKind, str] | None:
    """Return why a status is a failure, as kind and sentence, or None for 2xx.

    ``location`` is the header of that name; the sentence shows its host, never its path.
    """
    if _SUCCESS <= status < _REDIRECT:
        return None
    if not _REDIRECT <= status < _CLIENT_ERROR:
        return ErrorKind.HTTP_STATUS, f"HTTP {status}"
    host = _location_host(location) if location else None
    return ErrorKind.REDIRECT, f"redirect {status}" + (f" to {host}" if host else "")


def _location_host(location: str) -> str | None:
    if location.startswith("/") and not location.startswith("//"):
        return "the same host"
    try:
        return url_host(check_url(("https:" if location[:2] == "//" else "") + location, _ANY_URL))
    except InvalidInput:
        return None


def response_text(body: bytes, *, cut: bool) -> str | None:
    """Return what is kept of a response's body as text, None when there is nothing.

    At most ``RESPONSE_BYTES_MAX`` bytes of UTF-8, without NUL; what is no UTF-8 becomes U+FFFD.
    ``cut`` says that more would have followed, so that half a character at the end is no error.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(body[:RESPONSE_BYTES_MAX], final=not cut).replace("\0", "")
    # A replacement character takes three bytes where one was.
    return text.encode()[:RESPONSE_BYTES_MAX].decode(errors="ignore") or None


def timeout_sentence(timeout_ms: int) -> str:
    """Return the sentence for an attempt that met its deadline."""
    return f"timeout after {timeout_ms / 1000:g} s"
