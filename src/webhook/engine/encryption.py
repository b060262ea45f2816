"""Encrypting secrets anew, piece by piece, while everything else goes on."""

from __future__ import annotations

import logging

import msgspec

from webhook.domain.errors import StoreUnavailable
from webhook.engine.endpoints import EndpointService
from webhook.ports import Encrypted, WebhookEncryption

_log = logging.getLogger("webhook.store")
# A piece reads and writes so many endpoints at most, each of some 30 KB at most.
ENDPOINTS = 50


class EncryptedAll(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: how many endpoints were encrypted anew, and which of them do not open.

    ``keys_left`` are the ids of the keys that are still needed, "" for none; ``clean`` says that
    the file holds no plaintext any more that was once deleted.
    """

    count: int = 0
    failed: tuple[str, ...] = ()
    keys_left: tuple[str, ...] = ()
    clean: bool = True


class EncryptionService(EndpointService):
    """Adds what is done about secrets at rest; nothing where the stores do not encrypt."""

    async def encrypt_some(self, pieces: int) -> int:
        """Encrypt with the first key what is not, in at most so many pieces; return how much."""
        await self.initialize()
        if self._persistence.encryption is None:
            return 0
        return (await _pieces(self._persistence.encryption, pieces)).count

    async def encrypt_all(self, *, scrub: bool) -> EncryptedAll:
        """Encrypt all with the first key, and say which keys are still needed.

        ``scrub`` also rewrites the file once, if secrets have stood in it in the clear, which holds
        up writes while it lasts. Starts no background loop.
        """
        await EndpointService.initialize(self)
        encryption = self._persistence.encryption
        if encryption is None:
            return EncryptedAll()
        done = await _pieces(encryption, None)
        clean = await _scrub(encryption) if scrub else True
        left = tuple(await encryption.keys_in_use())
        return EncryptedAll(count=done.count, failed=done.failed, keys_left=left, clean=clean)


async def _scrub(encryption: WebhookEncryption) -> bool:
    """Scrub; what fails is left to the next time."""
    try:
        return await encryption.scrub()
    except StoreUnavailable as error:
        _log.warning("the file may still hold secrets that were stored in the clear: %s", error)
        return False


async def _pieces(encryption: WebhookEncryption, pieces_max: int | None) -> Encrypted:
    total = Encrypted()
    done = 0
    while pieces_max is None or done < pieces_max:
        piece = await encryption.encrypt_some(ENDPOINTS, total.after)
        total = Encrypted(
            count=total.count + piece.count,
            failed=(*total.failed, *piece.failed),
            after=piece.after,
        )
        done += 1
        if total.after is None:
            break
    return total
