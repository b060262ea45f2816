"""The bearer token (RFC 6750), compared in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from webhook.api.errors import TokenNotConfigured, Unauthorized


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How the API is guarded.

    Without a ``token``, here or in the request's context, every /v1 route answers 503, unless
    ``insecure`` opens it to everybody who can reach it.
    """

    token: str | None = field(default=None, repr=False)
    insecure: bool = False


def check_token(headers: Mapping[bytes, bytes], token: str | None, *, insecure: bool) -> None:
    """Raise ``Unauthorized`` unless the request bears ``token``."""
    if not token:
        if insecure:
            return
        raise TokenNotConfigured
    given = headers.get(b"authorization")
    if given is None:
        raise Unauthorized("The token is missing; send authorization: Bearer <token>.")
    scheme, _, value = given.strip().partition(b" ")
    if scheme.lower() != b"bearer":
        raise Unauthorized(
            "The authorization is of another kind; send authorization: Bearer <token>."
        )
    if not hmac.compare_digest(value.strip(), token.encode()):
        raise Unauthorized("The token is not the right one.")
