"""The encryption key that the server makes for itself, kept beside the database."""

from __future__ import annotations

import os
from pathlib import Path

from webhook.adapters.sqlite.look import keys_in_use
from webhook.cli.private_files import PRIVATE, make_private
from webhook.domain.encryption import (
    KEY_BYTES,
    EncryptionKey,
    make_encryption_key,
    read_encryption_keys,
)
from webhook.domain.errors import ConfigError
from webhook.settings import Settings, StoreAddress


def key_file(store: StoreAddress) -> Path | None:
    """Return where the keys of a store are kept; None where there is no file to keep them beside.

    One key a line; the first encrypts.
    """
    return None if store.path is None else Path(f"{store.path}.key")


def known_keys(settings: Settings) -> tuple[EncryptionKey, ...]:
    """Return the keys of the settings, then those beside the database; raises ``ConfigError``."""
    file = key_file(settings.store)
    kept = () if file is None or not file.exists() else _read(file)
    return tuple(dict.fromkeys((*settings.encryption_keys, *kept)))


def keep_key(settings: Settings) -> tuple[EncryptionKey, ...]:
    """Return the known keys; if there are none, make one and keep it beside the database.

    Not if something there is encrypted already: its key must be found first.
    """
    file = key_file(settings.store)
    keys = known_keys(settings)
    if keys or file is None or any(keys_in_use(str(settings.store.path))):
        return keys
    try:
        make_private(file, make_encryption_key(os.urandom(KEY_BYTES)))
    except OSError as error:
        raise ConfigError(
            f"The encryption key cannot be kept in {file}: {error.strerror}. Set "
            "WEBHOOK_ENCRYPTION_KEYS instead; `webhook keys create` makes one."
        ) from error
    return _read(file)


def _read(file: Path) -> tuple[EncryptionKey, ...]:
    try:
        # Whoever copies a folder about may have opened it to others.
        file.chmod(PRIVATE)
        text = file.read_text("utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"The keys in {file} cannot be read: {error.strerror}.") from error
    try:
        keys = read_encryption_keys(text)
    except ValueError as error:
        raise ConfigError(f"{file}: a line {error}") from None
    if not keys:
        raise ConfigError(f"{file} holds no key. Put the key back that was in it.")
    return keys
