"""Signing secrets: ``whsec_`` and base64 of 24 to 64 bytes (Standard Webhooks 1.0.0)."""

from __future__ import annotations

import base64

import msgspec

PREFIX = "whsec_"
BYTES_MIN, BYTES_MAX, BYTES_MADE = 24, 64, 32


class SigningSecret(msgspec.Struct, frozen=True):
    """One secret of an endpoint; prints as stars. ``expires_at`` (epoch ms) ends a rotation."""

    value: str
    expires_at: int | None = None

    def __repr__(self) -> str:
        """Hide the value from logs and tracebacks."""
        return f"SigningSecret('***', expires_at={self.expires_at})"


def make_secret(chance: bytes) -> str:
    """Return a new secret from 32 bytes of chance."""
    if len(chance) != BYTES_MADE:
        message = f"A secret is made from {BYTES_MADE} bytes, not {len(chance)}."
        raise ValueError(message)
    return PREFIX + base64.b64encode(chance).decode()


def secret_bytes(value: str) -> bytes:
    """Return the key inside a ``whsec_`` secret; raises ValueError with the remedy."""
    body = value.removeprefix(PREFIX)
    if body == value:
        message = f"A secret starts with {PREFIX} and goes on in base64."
        raise ValueError(message)
    key = _strict_base64(body)
    if key is None:
        message = f"What follows {PREFIX} is not base64."
        raise ValueError(message)
    if not BYTES_MIN <= len(key) <= BYTES_MAX:
        message = f"A secret has {BYTES_MIN} to {BYTES_MAX} bytes, this one has {len(key)}."
        raise ValueError(message)
    return key


def _strict_base64(text: str) -> bytes | None:
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
