"""What is signed and how: Standard Webhooks ``v1`` and ``v1a``, and the older headers of k-msg.

Source: Standard Webhooks 1.0.0, "Signature scheme": over ``id.timestamp.body``, by HMAC-SHA256 or
Ed25519.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

from webhook.domain.secret import secret_bytes


def sign_v1(secret: str, signed: bytes) -> str:
    """Return ``v1,<base64>`` for one ``whsec_`` secret over ``signed_bytes``."""
    digest = hmac.digest(secret_bytes(secret), signed, "sha256")
    return "v1," + base64.b64encode(digest).decode()


def signed_bytes(event_id: str, timestamp_s: int, body: bytes) -> bytes:
    """Return what a signature is over; the id must hold no dot."""
    return f"{event_id}.{timestamp_s}.".encode() + body


def v1a(signature: bytes) -> str:
    """Return ``v1a,<base64>`` for an Ed25519 signature."""
    return "v1a," + base64.b64encode(signature).decode()


def standard_headers(signatures: Iterable[str], event_id: str, timestamp_s: int) -> dict[str, str]:
    """Return the ``webhook-*`` headers of one attempt, with a signature per secret."""
    headers = {"webhook-id": event_id, "webhook-timestamp": str(timestamp_s)}
    signatures = list(signatures)
    if signatures:
        headers["webhook-signature"] = " ".join(signatures)
    return headers


def sign_kmsg(secret: str, timestamp_s: int, body: bytes, algorithm: str) -> str:
    """Return the hex HMAC of ``timestamp.body`` with the secret's UTF-8 bytes as key."""
    signed = f"{timestamp_s}.".encode() + body
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
