"""What the platform computes for us, since the standard library does not."""

from __future__ import annotations

from typing import Protocol


class Crypto(Protocol):
    """Ed25519 (RFC 8032) and AES-256-GCM (NIST SP 800-38D).

    Raises ``NotSupported`` when the platform has them not, naming what to install.
    """

    async def ed25519_public_key(self, seed: bytes) -> bytes:
        """Return the 32 bytes of the public key of a private one, given as its seed of 32."""
        ...

    async def ed25519_sign(self, seed: bytes, message: bytes) -> bytes:
        """Return the 64 bytes of a signature."""
        ...

    async def seal(self, key: bytes, text: bytes, bound_to: bytes) -> bytes:
        """Encrypt under a key of 32 bytes; return nonce (12 bytes), ciphertext and tag (16).

        The nonce is drawn anew each time. What is ``bound_to`` is authenticated, and not kept: only
        who names the same opens it again.
        """
        ...

    async def open(self, key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
        """Undo ``seal``; raises ``ValueError`` when any of the three is not as it was then."""
        ...
