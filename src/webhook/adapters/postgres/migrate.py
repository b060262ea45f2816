"""Brings a database's schema up to date, one process at a time."""

from __future__ import annotations

from typing import Any

import asyncpg

from webhook.adapters.postgres.database import Connection, PostgresDatabase
from webhook.adapters.postgres.errors import LOST, told
from webhook.adapters.postgres.migrations import MIGRATIONS
from webhook.adapters.sql.migrate import COMPATIBLE
from webhook.domain.errors import SchemaError
from webhook.domain.postgres_address import PostgresAddress

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('webhook migrations', 0))"
_TABLE = """CREATE TABLE IF NOT EXISTS migrations (
  name text PRIMARY KEY,
  applied_at timestamptz NOT NULL DEFAULT now()
)"""


async def pending(database: PostgresDatabase) -> list[str]:
    """Return the names of the migrations that are missing; writes nothing.

    Raises ``SchemaError`` when the database is ahead of this code and not marked compatible,
    ``StoreUnavailable`` when it does not answer.
    """
    try:
        async with database.connection() as connection:
            return await _missing(connection, database.address.schema)
    except (asyncpg.PostgresError, *LOST) as error:
        raise told(error) from error


async def missing_migrations(address: PostgresAddress) -> list[str]:
    """Return the names of the migrations that the database at an address lacks."""
    database = PostgresDatabase(address)
    try:
        return await pending(database)
    finally:
        await database.close()


async def migrate(database: PostgresDatabase) -> list[str]:
    """Apply the missing migrations; return the names of those that this call applied.

    All or none, behind a lock: whoever comes second waits, and finds the work done.
    """
    if not await pending(database):
        return []
    schema = database.address.schema
    try:
        async with database.connection() as connection, connection.transaction():
            await connection.execute(_LOCK)
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            await connection.execute(f'SET LOCAL search_path TO "{schema}", pg_temp')
            missing = await _missing(connection, schema)
            await connection.execute(_TABLE)
            for name, text in MIGRATIONS:
                if name in missing:
                    await connection.execute(text)
                    await connection.execute("INSERT INTO migrations (name) VALUES ($1)", name)
    except asyncpg.DuplicateTableError as error:
        raise SchemaError(
            f"The schema {schema} has tables of another program ({error}). Give the service a "
            "schema of its own with ?schema=. Nothing was changed."
        ) from error
    except (asyncpg.PostgresError, *LOST) as error:
        raise told(error) from error
    return missing


async def _missing(connection: Connection, schema: str) -> list[str]:
    table = f'"{schema}".migrations'
    known: Any = await connection.fetchval("SELECT to_regclass($1)", table)
    rows: list[asyncpg.Record] = []
    if known is not None:
        rows = await connection.fetch(f"SELECT name FROM {table}")
    applied = {str(row["name"]) for row in rows}
    ours = [name for name, _ in MIGRATIONS]
    foreign = sorted(n for n in applied - set(ours) if not n.endswith(COMPATIBLE))
    if foreign:
        raise SchemaError(
            f"The database has migrations that this version does not know ({', '.join(foreign)}). "
            "Upgrade the service, or restore the database of this version."
        )
    return [name for name in ours if name not in applied]
