"""``Crypto`` on CPython, by the package ``cryptography``: imported at first use, an extra."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from webhook.domain.errors import NotSupported

_NONCE_BYTES = 12


class NativeCrypto:
    """See ``Crypto``."""

    async def ed25519_public_key(self, seed: bytes) -> bytes:
        """Return the public key."""
        with _explained():
            from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - an extra
                Ed25519PrivateKey,
            )
        public: bytes = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        return public

    async def ed25519_sign(self, seed: bytes, message: bytes) -> bytes:
        """Sign."""
        with _explained():
            from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - an extra
                Ed25519PrivateKey,
            )
        signature: bytes = Ed25519PrivateKey.from_private_bytes(seed).sign(message)
        return signature

    async def seal(self, key: bytes, text: bytes, bound_to: bytes) -> bytes:
        """Encrypt."""
        with _explained():
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra
        nonce = os.urandom(_NONCE_BYTES)
        sealed: bytes = AESGCM(key).encrypt(nonce, text, bound_to)
        return nonce + sealed

    async def open(self, key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
        """Decrypt."""
        with _explained():
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra
        try:
            text: bytes = AESGCM(key).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to
            )
        except (InvalidTag, ValueError):  # the second: it is too short to be anything
            raise ValueError("Not what was sealed under this key.") from None
        return text


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise NotSupported(
            "Encryption and v1a signatures need cryptography: pip install 'webhook[crypto]'."
        ) from error
