"""The headers of an attempt: Standard Webhooks ``v1`` and ``v1a``, and the older ones of k-msg."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from webhook.domain.secret import secret_bytes
from webhook.standard_webhooks import v1


def sign_v1(secret: str, signed: bytes) -> str:
    """Return ``v1,<base64>`` for one ``whsec_`` secret over ``signed_bytes``."""
    return v1(secret_bytes(secret), signed)


def standard_headers(signatures: Iterable[str], event_id: str, timestamp_s: int) -> dict[str, str]:
    """Return the ``webhook-*`` headers of one attempt, with a signature per secret."""
    headers = {"webhook-id": event_id, "webhook-timestamp": str(timestamp_s)}
    signatures = list(signatures)
    if signatures:
        headers["webhook-signature"] = " ".join(signatures)
    return headers


def sign_kmsg(secret: str, timestamp_s: int, body: bytes, algorithm: str) -> str:
    """Return the hex HMAC of ``timestamp.body`` with the secret's UTF-8 bytes as key."""
    return sign_kmsg_body(secret, f"{timestamp_s}.".encode() + body, algorithm)


def sign_kmsg_body(secret: str, signed: bytes, algorithm: str) -> str:
    """Return the hex HMAC of ``signed`` as it is, with the secret's UTF-8 bytes as key."""
    return hmac.new(secret.encode(), signed, getattr(hashlib, algorithm)).hexdigest()


def kmsg_headers(
    secrets: Iterable[str],
    event_id: str,
    timestamp_s: int,
    body: bytes,
    *,
    event_type: str,
    algorithm: str = "sha256",
    header: str = "X-Webhook-Signature",
    prefix: str | None = None,
) -> dict[str, str]:
    """Return the headers that receivers of k-msg verify; only the first secret signs.

    ``prefix`` None means the algorithm's own, ``sha256=`` or ``sha1=``; "" means none.
    """
    headers = {
        "X-Webhook-ID": event_id,
        "X-Webhook-Event": event_type,
        "X-Webhook-Timestamp": str(timestamp_s),
    }
    for secret in secrets:
        shown = f"{algorithm}=" if prefix is None else prefix
        headers[header] = shown + sign_kmsg(secret, timestamp_s, body, algorithm)
        break
    return headers
