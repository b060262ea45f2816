"""Makes SQLite stores: both on one file, and each on a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from webhook.adapters.sql.access import AuditedDatabase, SqlAccessStore
from webhook.adapters.sql.deliveries import SqlDeliveryStore
from webhook.adapters.sql.endpoints import SqlEndpointStore
from webhook.adapters.sql.migrate import migrate
from webhook.adapters.sql.recovery import SqlRecoveryStore
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.adapters.sqlite.database import SqliteDatabase
from webhook.domain.encryption import EncryptionKey
from webhook.ports import WebhookPersistence


def sqlite_persistence(folder: Callable[[], Path]) -> WebhookPersistence:
    """Return both stores on one file."""
    # Whether a commit reaches the disk is not what this suite asks.
    return create_sqlite_webhook_persistence(
        folder() / "webhook.db", synchronous="OFF", encryption_keys=(EncryptionKey(bytes(32)),)
    )


def sqlite_separate_persistence(folder: Callable[[], Path]) -> WebhookPersistence:
    """Return two stores that know nothing of each other."""
    databases = [SqliteDatabase(folder() / name, "OFF") for name in ("endpoints.db", "events.db")]

    deliveries = AuditedDatabase(databases[1])

    async def init() -> None:
        for database in databases:
            await migrate(database)

    async def close() -> None:
        for database in databases:
            await database.close()

    return WebhookPersistence(
        endpoint_store=SqlEndpointStore(databases[0]),
        delivery_store=SqlDeliveryStore(deliveries),
        recovery_store=SqlRecoveryStore(deliveries),
        access_store=SqlAccessStore(deliveries),
        init=init,
        close=close,
    )
