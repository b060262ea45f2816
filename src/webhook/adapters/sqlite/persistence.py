"""Both stores over one SQLite file, and its schema."""

from __future__ import annotations

from pathlib import Path

from webhook.adapters.sql.migrate import migrate
from webhook.adapters.sql.persistence import create_sql_persistence
from webhook.adapters.sqlite.database import SqliteDatabase, Synchronous
from webhook.ports import WebhookPersistence


def create_sqlite_webhook_persistence(
    path: str | Path | None,
    *,
    synchronous: Synchronous = "FULL",
    initialize_schema: bool = True,
) -> WebhookPersistence:
    """Return both stores over the file at ``path``, or over memory when it is None.

    The schema is brought up to date at first use, unless ``initialize_schema`` is False.
    """
    database = SqliteDatabase(path, synchronous)
    return create_sql_persistence(
        database, initialize_schema=initialize_schema, close=database.close
    )


async def initialize_webhook_schema(path: str | Path) -> list[str]:
    """Apply the missing migrations to the file at ``path``; return their names."""
    database = SqliteDatabase(path)
    try:
        return await migrate(database)
    finally:
        await database.close()
