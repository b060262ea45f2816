"""The id of a request: the caller's own ``X-Request-Id`` where it is one, or else made."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

HEADER = "X-Request-Id"
# Where it stands in the ASGI scope.
REQUEST_ID = "webhook.request_id"
_RAW_HEADER = HEADER.lower().encode()
# Nothing that could break a line of a log, or mean something to whoever reads it.
_GIVEN = re.compile(rb"[A-Za-z0-9_.:-]{1,128}")


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the id of the request with these headers."""
    for name, value in headers:
        if name == _RAW_HEADER and _GIVEN.fullmatch(value):
            return value.decode()
    return new_request_id()


def new_request_id() -> str:
    """Return an id for a request that has none."""
    return os.urandom(6).hex()
