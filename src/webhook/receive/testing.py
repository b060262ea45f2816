"""Signed requests for the tests of receivers.

With pytest, ``pytest_plugins = ["webhook.receive.pytest_plugin"]`` in a conftest.py brings the
fixture ``webhook_sender``.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from webhook.receive.headers import check_id
from webhook.standard_webhooks import (
    PREFIX,
    PRIVATE_PREFIX,
    signed_bytes,
    strict_base64,
    v1,
    v1a,
)


def make_secret() -> str:
    """Return a new ``whsec_`` secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signed_request(
    secret: str,
    event: Mapping[str, Any] | bytes,
    *,
    id: str | None = None,  # noqa: A002 - the header's name
    timestamp: float | None = None,
) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a delivery, as the service makes them.

    ``event`` needs a ``type``; what else it lacks is filled in. Bytes are sent as they are.
    ``secret`` is a ``whsec_``, or a ``whsk_`` (with the extra ``crypto``). ``id`` is the event's,
    or a new one; the same for each attempt of one delivery. ``timestamp`` is now, in epoch seconds.
    """
    at = int(time.time() if timestamp is None else timestamp)
    given = {} if isinstance(event, bytes) else dict(event)
    message_id = id or given.get("id") or f"evt_{secrets.token_hex(13)}"
    check_id(message_id)
    body = event if isinstance(event, bytes) else _body(given, message_id, at)
    return body, {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": _signature(secret, signed_bytes(message_id, at, body)),
    }


class WebhookSender:
    """Signs and sends events with a secret of its own."""

    def __init__(self, secret: str | None = None) -> None:
        self.secret = secret or make_secret()

    def sign(
        self,
        event: Mapping[str, Any] | bytes,
        **options: Any,  # noqa: ANN401 - as signed_request
    ) -> tuple[bytes, dict[str, str]]:
        """Return body and headers; see ``signed_request``."""
        return signed_request(self.secret, event, **options)

    def send(self, url: str, event: Mapping[str, Any] | bytes, **options: Any) -> int:  # noqa: ANN401 - any shape
        """Post an event to a running server and return the status of its answer."""
        body, headers = self.sign(event, **options)
        return post(url, body, headers)


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = 30) -> int:
    """Post to an http(s) address and return the status of the answer; nothing is followed."""
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310 - ours
    try:
        with _OPENER.open(request, timeout=timeout_s) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


class _FollowsNothing(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_FollowsNothing)


def _body(given: dict[str, Any], message_id: str, at: int) -> bytes:
    when = dt.datetime.fromtimestamp(at, dt.UTC).isoformat().replace("+00:00", "Z")
    whole = {
        "id": message_id,
        "type": given["type"],
        "timestamp": when,
        "data": {},
        "metadata": {},
        "version": "1",
    }
    return json.dumps(whole | given, ensure_ascii=False, separators=(",", ":")).encode()


def _signature(secret: str, signed: bytes) -> str:
    if secret.startswith(PRIVATE_PREFIX):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - an extra
            Ed25519PrivateKey,
        )

        pair = strict_base64(secret.removeprefix(PRIVATE_PREFIX)) or b""
        return v1a(Ed25519PrivateKey.from_private_bytes(pair[:32]).sign(signed))
    key = strict_base64(secret.removeprefix(PREFIX))
    if not key:
        raise ValueError(f"a secret is {PREFIX} and base64")
    return v1(key, signed)
