"""Brings a database's schema up to date, and records it where wrangler does.

Migrations are recorded in wrangler's own table, ``d1_migrations``, so that either way of migrating
leaves the other with nothing to do. Each is applied and recorded in one transaction; of two that
race, one is undone as a whole and finds the work done.
"""

from __future__ import annotations

from webhook.adapters.sql.database import ConstraintFailed, Database, Statement
from webhook.adapters.sql.migrations import MIGRATIONS
from webhook.domain.errors import SchemaError, StoreUnavailable

# To the letter what wrangler creates.
TABLE = """CREATE TABLE IF NOT EXISTS "d1_migrations"(
\t\tid         INTEGER PRIMARY KEY AUTOINCREMENT,
\t\tname       TEXT UNIQUE,
\t\tapplied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)"""
COMPATIBLE = "_compatible.sql"
_RECORD = "INSERT INTO d1_migrations (name) VALUES (?1)"
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'd1_migrations'"
_TAKEN = """SELECT name FROM sqlite_master
WHERE type IN ('table', 'view')
  AND name IN ('endpoints', 'subscriptions', 'events', 'names', 'deliveries')
ORDER BY name"""
_APPLIED = "SELECT name FROM d1_migrations ORDER BY id"


def build_webhook_schema_sql() -> list[str]:
    """Return the statements that make the whole schema in an empty database, one each.

    They record the migrations as applied, as ``schema.sql`` does.
    """
    history = [statement for _, statements in MIGRATIONS for statement in statements]
    names = ", ".join(f"('{name}')" for name, _ in MIGRATIONS)
    return [*history, TABLE, f"INSERT INTO d1_migrations (name) VALUES {names}"]


async def pending(database: Database) -> list[str]:
    """Return the names of the migrations that are missing; writes nothing.

    Raises ``SchemaError`` when the database is ahead of this code and not marked compatible.
    """
    applied = await _applied(database)
    known = {name for name, _ in MIGRATIONS}
    foreign = [n for n in applied if n not in known and not n.endswith(COMPATIBLE)]
    if foreign:
        raise SchemaError(
            f"The database has migrations that this version does not know ({', '.join(foreign)}). "
            "Upgrade the service, or restore the database of this version."
        )
    return [name for name, _ in MIGRATIONS if name not in applied]


async def migrate(database: Database) -> list[str]:
    """Apply the missing migrations; return the names of those that this call applied."""
    missing = await pending(database)
    done: list[str] = []
    for name, statements in MIGRATIONS:
        if name in missing and await _apply(database, name, statements):
            done.append(name)
    return done


async def _apply(database: Database, name: str, statements: tuple[str, ...]) -> bool:
    batch: list[Statement] = [(TABLE, ()), (_RECORD, (name,))]
    batch.extend((statement, ()) for statement in statements)
    try:
        await database.batch(batch)
    except (ConstraintFailed, StoreUnavailable) as error:
        # In this order: tables that somebody quicker has made come with their record.
        [taken] = await database.read([(_TAKEN, ())])
        if name in await _applied(database):
            return False
        if taken and name == MIGRATIONS[0][0]:
            names = ", ".join(row["name"] for row in taken)
            raise SchemaError(
                f"The database has tables of another program under our names ({names}). Give the "
                "service a database of its own. Nothing was changed."
            ) from error
        raise
    return True


async def _applied(database: Database) -> list[str]:
    [found] = await database.read([(_HAS_TABLE, ())])
    if not found:
        return []
    [rows] = await database.read([(_APPLIED, ())])
    return [row["name"] for row in rows]
