"""Both stores over one SQLite file, and its schema."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from webhook.adapters.native_crypto import NativeCrypto
from webhook.adapters.sql import statements
from webhook.adapters.sql.encryption import SqlEncryption
from webhook.adapters.sql.migrate import migrate
from webhook.adapters.sql.persistence import create_sql_persistence
from webhook.adapters.sql.sealing import Sealing
from webhook.adapters.sqlite.database import SqliteDatabase, Synchronous
from webhook.adapters.sqlite.outbox import SqliteOutbox
from webhook.adapters.sqlite.presence import Presence
from webhook.adapters.sqlite.vacuum import vacuum
from webhook.domain.encryption import EncryptionKey, read_encryption_keys
from webhook.domain.errors import StoreUnavailable
from webhook.ports import WebhookPersistence

_log = logging.getLogger("webhook.store")


def create_sqlite_webhook_persistence(
    path: str | Path | None,
    *,
    synchronous: Synchronous = "FULL",
    initialize_schema: bool = True,
    encryption_keys: Sequence[EncryptionKey] | str = (),
) -> WebhookPersistence:
    """Return both stores over the file at ``path``, or over memory when it is None.

    The first of ``encryption_keys`` (``whek_...``, with commas between them) encrypts signing
    secrets and headers, all decrypt; without any they are stored in the clear.
    The schema is brought up to date at first use, unless ``initialize_schema`` is False. When no
    other process is at work on the file, the leases that are left there end at once.
    """
    database = SqliteDatabase(path, synchronous)
    if path is None:
        return create_sql_persistence(
            database, initialize_schema=initialize_schema, close=database.close
        )
    if isinstance(encryption_keys, str):
        encryption_keys = read_encryption_keys(encryption_keys)
    sealing = Sealing(encryption_keys, NativeCrypto())
    presence = Presence(Path(path))

    async def begin() -> None:
        # Nothing is awaited between the two, so that no claim of ours can come before the end of
        # the others' leases: the writer keeps the order.
        if await presence.enter():
            await _end_leases(database)
            await presence.share()

    async def close() -> None:
        await database.close()
        presence.leave()

    return create_sql_persistence(
        database,
        initialize_schema=initialize_schema,
        begin=begin,
        close=close,
        sealing=sealing,
        encryption=SqlEncryption(database, sealing, vacuum=partial(vacuum, path)),
        outbox=SqliteOutbox(Path(path)),
    )


async def _end_leases(database: SqliteDatabase) -> None:
    """End what was claimed by processes that are dead; if that fails, time will do it."""
    try:
        [ended] = await database.batch([(statements.END_LEASES, (None,))])
    except StoreUnavailable as error:
        _log.warning("leases of a process that ended are left to their time: %s", error)
        return
    if ended:
        _log.info("%d attempts broke off when the last process ended; sent again", len(ended))


async def initialize_webhook_schema(path: str | Path) -> list[str]:
    """Apply the missing migrations to the file at ``path``; return their names."""
    database = SqliteDatabase(path)
    try:
        return await migrate(database)
    finally:
        await database.close()
