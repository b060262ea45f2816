"""The secrets that a receiver holds, in every spelling in which senders hand them out."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence

from webhook.receive.errors import BadSecret
from webhook.standard_webhooks import (
    PREFIX,
    PRIVATE_PREFIX,
    PUBLIC_PREFIX,
    strict_base64,
    v1,
    v1a,
)

# The specification says 24 to 64. A receiver takes what it is given: senders make keys of up to 75
# bytes, and the specification's own libraries test with one of 23. Below 16 it is no key.
BYTES_MIN, BYTES_MAX = 16, 75
PUBLIC_BYTES, ED25519_BYTES = 32, 64

Key = Callable[[bytes, Sequence[str]], bool]
"""Whether any of the signatures (``version,base64``) over the bytes is by this key."""


def read_keys(secrets: str | Iterable[str]) -> list[Key]:
    """Return a key for each secret; raises ``BadSecret`` with the remedy."""
    texts = secrets.split() if isinstance(secrets, str) else list(secrets)
    if not texts:
        raise BadSecret("there is no secret to verify with")
    return [_read_key(text) for text in texts]


def _read_key(text: str) -> Key:
    if not isinstance(text, str):
        raise BadSecret(f"a secret is text ({PREFIX}...), not {type(text).__name__}")
    text = text.strip().removeprefix("v1,")  # Supabase shows its secrets as v1,whsec_...
    if text.startswith(PRIVATE_PREFIX):
        raise BadSecret(f"this is the sender's private key: verify with the public {PUBLIC_PREFIX}")
    if text.startswith(PUBLIC_PREFIX):
        return _asymmetric(text.removeprefix(PUBLIC_PREFIX))
    key = strict_base64(text.removeprefix(PREFIX))
    if key is None:
        raise BadSecret(
            f"a secret is {PREFIX} and base64, or base64 alone; copy it as it was shown"
        )
    if not BYTES_MIN <= len(key) <= BYTES_MAX:
        raise BadSecret(f"a secret has {BYTES_MIN} to {BYTES_MAX} bytes, this one has {len(key)}")
    return _symmetric(key)


def _symmetric(key: bytes) -> Key:
    def matches(signed: bytes, signatures: Sequence[str]) -> bool:
        # As text: one spelling of the right bytes is right, any other base64 of them is not.
        expected = v1(key, signed).encode()
        given = [each.encode() for each in signatures if each.isascii()]
        # No early end, so that the time tells nothing of which one it was.
        return sum(hmac.compare_digest(expected, each) for each in given) > 0

    return matches


def _asymmetric(text: str) -> Key:
    raw = strict_base64(text)
    if raw is None or len(raw) != PUBLIC_BYTES:
        raise BadSecret(f"a public key is {PUBLIC_PREFIX} and base64 of {PUBLIC_BYTES} bytes")
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - an extra
            Ed25519PublicKey,
        )
    except ImportError as error:
        raise BadSecret(f"a {PUBLIC_PREFIX} key needs: pip install 'webhook[crypto]'") from error
    key = Ed25519PublicKey.from_public_bytes(raw)

    def matches(signed: bytes, signatures: Sequence[str]) -> bool:
        for signature in signatures:
            given = strict_base64(signature.removeprefix("v1a,"))
            # As for v1, one spelling of the right bytes is right.
            if given is None or len(given) != ED25519_BYTES or v1a(given) != signature:
                continue
            try:
                key.verify(given, signed)
            except InvalidSignature:
                continue
            return True
        return False

    return matches
