"""Signing secrets, as Standard Webhooks 1.0.0 writes them.

``whsec_`` and base64 of 24 to 64 bytes sign with HMAC (``v1``). ``whsk_`` and base64 of 64 bytes,
an Ed25519 seed and its public key, sign asymmetrically (``v1a``); receivers verify with ``whpk_``
and base64 of those 32 public bytes.
"""

from __future__ import annotations

import base64
import functools
from enum import StrEnum

import msgspec

from webhook.standard_webhooks import PREFIX, PRIVATE_PREFIX, PUBLIC_PREFIX, strict_base64

BYTES_MIN, BYTES_MAX, BYTES_MADE = 24, 64, 32
SEED_BYTES = 32
SECRETS_MAX = 10
_DECODED_KEPT = 1_024
OVERLAP_S_DEFAULT, OVERLAP_S_MAX = 86_400, 604_800


class SignatureVersion(StrEnum):
    """How a secret signs: ``v1`` is HMAC-SHA256, ``v1a`` is Ed25519."""

    V1 = "v1"
    V1A = "v1a"


class SigningSecret(msgspec.Struct, frozen=True):
    """One secret of an endpoint; prints as stars. ``expires_at`` (epoch ms) ends a rotation."""

    value: str
    expires_at: int | None = None

    @property
    def version(self) -> SignatureVersion:
        """How it signs."""
        return version_of(self.value)

    @property
    def public_key(self) -> str | None:
        """What receivers verify with, where that is no secret; None where it is the secret."""
        return public_key(self.value) if self.version is SignatureVersion.V1A else None

    def live(self, now: int) -> bool:
        """Whether it signs now."""
        return self.expires_at is None or self.expires_at > now

    def __repr__(self) -> str:
        """Hide the value from logs and tracebacks."""
        return f"SigningSecret('***', expires_at={self.expires_at})"


def version_of(value: str) -> SignatureVersion:
    """Return how a secret signs."""
    return SignatureVersion.V1A if value.startswith(PRIVATE_PREFIX) else SignatureVersion.V1


def make_secret(chance: bytes) -> str:
    """Return a new secret from 32 bytes of chance."""
    if len(chance) != BYTES_MADE:
        message = f"A secret is made from {BYTES_MADE} bytes, not {len(chance)}."
        raise ValueError(message)
    return PREFIX + base64.b64encode(chance).decode()


def make_private_key(seed: bytes, public: bytes) -> str:
    """Return the ``whsk_`` key of a seed and its public key."""
    if (len(seed), len(public)) != (SEED_BYTES, SEED_BYTES):
        message = f"An Ed25519 key is made of twice {SEED_BYTES} bytes."
        raise ValueError(message)
    return PRIVATE_PREFIX + base64.b64encode(seed + public).decode()


@functools.lru_cache(_DECODED_KEPT)
def secret_bytes(value: str) -> bytes:
    """Return the key inside a ``whsec_`` secret; raises ValueError with the remedy."""
    body = value.removeprefix(PREFIX)
    if body == value:
        if value.startswith(f"v1,{PREFIX}"):
            message = f"A secret starts with {PREFIX}; leave out the v1, before it."
        else:
            message = f"A secret starts with {PREFIX} and goes on in base64."
        raise ValueError(message)
    key = strict_base64(body)
    if key is None:
        message = f"What follows {PREFIX} is not base64."
        raise ValueError(message)
    if not BYTES_MIN <= len(key) <= BYTES_MAX:
        message = f"A secret has {BYTES_MIN} to {BYTES_MAX} bytes, this one has {len(key)}."
        raise ValueError(message)
    return key


def key_pair(value: str) -> tuple[bytes, bytes]:
    """Return seed and public key of a ``whsk_`` key; raises ValueError with the remedy.

    Whether they belong together is for Ed25519 itself to say.
    """
    if value.startswith(PUBLIC_PREFIX):
        message = f"This is a public key; a private one starts with {PRIVATE_PREFIX}."
        raise ValueError(message)
    body = value.removeprefix(PRIVATE_PREFIX)
    # With all of its padding: a key that lost its end in copying must not pass for one without.
    pair = strict_base64(body) if body != value and len(body) % 4 == 0 else None
    if pair is None or len(pair) != 2 * SEED_BYTES:
        message = (
            f"A private key is {PRIVATE_PREFIX} and base64, with its padding, of 64 bytes: an "
            "Ed25519 seed and its public key."
        )
        raise ValueError(message)
    return pair[:SEED_BYTES], pair[SEED_BYTES:]


def public_key(value: str) -> str:
    """Return the ``whpk_`` key of a ``whsk_`` key."""
    return PUBLIC_PREFIX + base64.b64encode(key_pair(value)[1]).decode()
