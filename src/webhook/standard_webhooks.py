"""What Standard Webhooks 1.0.0 signs and how it is written, for senders and receivers alike.

The standard library alone, so that a receiver can import it without the engine. Source: "Signature
scheme" of the specification: HMAC-SHA256 (``v1``) or Ed25519 (``v1a``) over ``id.timestamp.body``.
"""

from __future__ import annotations

import base64
import hmac

PREFIX, PRIVATE_PREFIX, PUBLIC_PREFIX = "whsec_", "whsk_", "whpk_"


def signed_bytes(message_id: str, timestamp: int | str, body: bytes) -> bytes:
    """Return what a signature is over; the id must hold no dot, the timestamp is in seconds."""
    return f"{message_id}.{timestamp}.".encode() + body


def v1(key: bytes, signed: bytes) -> str:
    """Return ``v1,<base64>``, the signature with one symmetric key."""
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def v1a(signature: bytes) -> str:
    """Return ``v1a,<base64>`` for an Ed25519 signature."""
    return "v1a," + base64.b64encode(signature).decode()


def strict_base64(text: str) -> bytes | None:
    """Decode base64 with all of its padding or none; None for anything else."""
    bare = text.rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    # Python 3.12 would take any number of "=" at the end.
    if text not in {bare, padded}:
        return None
    try:
        return base64.b64decode(padded, validate=True)
    except ValueError:  # binascii.Error, or characters beyond ASCII
        return None
