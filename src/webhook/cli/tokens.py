"""The token that the server makes for itself, kept beside the database for its owner alone."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

from webhook.cli.private_files import PRIVATE, make_private
from webhook.domain.errors import ConfigError
from webhook.settings import StoreAddress

_BYTES = 24


def token_file(store: StoreAddress) -> Path | None:
    """Return where the token of a store is kept; None where there is no file to keep it beside."""
    return None if store.path is None else Path(f"{store.path}.token")


def keep_token(file: Path | None) -> str:
    """Return the token in ``file``, made now if there is none; without a file it is a new one.

    Of two that make one at the same time, both get the first. Raises ``ConfigError``.
    """
    if file is None:
        return secrets.token_urlsafe(_BYTES)
    try:
        if not file.exists():
            make_private(file, secrets.token_urlsafe(_BYTES))
        # Whoever copies a folder about may have opened it to others.
        file.chmod(PRIVATE)
        return _read(file)
    except OSError as error:
        raise ConfigError(
            f"The token cannot be kept in {file}: {error.strerror}. Set WEBHOOK_API_TOKEN instead."
        ) from error


def read_token(file: Path | None) -> str | None:
    """Return the token in ``file``; None when there is none, or none that this user may read."""
    if file is None:
        return None
    with contextlib.suppress(OSError, ConfigError):
        return _read(file)
    return None


def _read(file: Path) -> str:
    token = file.read_text("utf-8", errors="replace").strip()
    if not (token and token.isascii() and token.isprintable() and " " not in token):
        raise ConfigError(f"{file} holds no token. Remove it, and a new one is made.")
    return token
