"""Keys that encrypt secrets at rest: ``whek_`` and base64 of 32 bytes, for AES-256."""

from __future__ import annotations

import base64
import hashlib

import msgspec

from webhook.standard_webhooks import strict_base64

PREFIX = "whek_"
KEY_BYTES = 32
KEYS_MAX = 10
_ID_CHARS = 12


class EncryptionKey(msgspec.Struct, frozen=True):
    """One key; prints as stars."""

    value: bytes

    @property
    def id(self) -> str:
        """Its name, which stands beside what it encrypts and tells nothing about it."""
        digest = hashlib.sha256(b"id of an encryption key\0" + self.value).hexdigest()
        return digest[:_ID_CHARS]

    def __repr__(self) -> str:
        """Hide the value from logs and tracebacks."""
        return f"EncryptionKey('***', id={self.id!r})"


def make_encryption_key(chance: bytes) -> str:
    """Return a new key, as it is written, from 32 bytes of chance."""
    if len(chance) != KEY_BYTES:
        message = f"A key is made from {KEY_BYTES} bytes, not {len(chance)}."
        raise ValueError(message)
    return PREFIX + base64.b64encode(chance).decode()


def read_encryption_keys(text: str) -> tuple[EncryptionKey, ...]:
    """Read keys with commas or lines between them; a ``ValueError`` says what is wrong."""
    written = [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]
    keys = tuple(_key(one) for one in written)
    if len(set(keys)) != len(keys):
        message = "names a key twice. Leave one of them out."
        raise ValueError(message)
    if len(keys) > KEYS_MAX:
        message = f"has more than {KEYS_MAX} keys. Leave out those that nothing is encrypted with."
        raise ValueError(message)
    return keys


def _key(text: str) -> EncryptionKey:
    body = text.removeprefix(PREFIX)
    value = None if body == text else strict_base64(body)
    if value is None or len(value) != KEY_BYTES:
        message = (
            f"is no key. A key is {PREFIX} and base64 of {KEY_BYTES} bytes; `webhook keys create` "
            "makes one."
        )
        raise ValueError(message)
    return EncryptionKey(value)
