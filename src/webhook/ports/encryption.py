"""The contract of the named extra "encryption": secrets at rest under keys that change."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Encrypted(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece did: ``count`` endpoints encrypted anew, ``failed`` ones that do not open.

    ``after`` is where the next piece goes on, None when all has been looked at.
    """

    count: int = 0
    failed: tuple[str, ...] = ()
    after: str | None = None


class WebhookEncryption(Protocol):
    """Encrypts what the endpoint store keeps of signing secrets and headers.

    The first key encrypts, all decrypt. An endpoint whose key is not known, or that was tampered
    with, is not got or listed (``SecretsLocked``), and what is claimed of it comes without it.
    """

    async def check(self) -> None:
        """Raise ``ConfigError`` when something is encrypted with a key that is not known.

        Without any key it warns, in the log, that secrets are stored in the clear.
        """
        ...

    async def keys_in_use(self) -> list[str]:
        """Return the ids of the keys that something is encrypted with; "" is no key."""
        ...

    async def encrypt_some(self, limit: int, after: str | None = None) -> Encrypted:
        """Encrypt with the first key at most ``limit`` endpoints that are not, beside all else.

        One that is changed meanwhile keeps the change. Without a key nothing is done.
        """
        ...

    async def scrub(self) -> bool:
        """Overwrite what deleted rows may have left of secrets that were stored in the clear.

        Holds up writes while it runs, so nothing is done where nothing is left. Return whether none
        is left now; False where that is not in our power, or while some still stand in the clear.
        """
        ...
