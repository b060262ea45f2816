"""``Database`` over SQLite in memory, without threads: the stores' own SQL, and repeatable.

Opening it anew for each seed would cost more than a whole run, so one connection serves them all
and is emptied in between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache

from webhook.adapters.sql.database import ConstraintFailed, Row, Statement
from webhook.adapters.sql.migrate import build_webhook_schema_sql

type Through = Callable[[Callable[[], list[list[Row]]]], object]
TABLES = ("deliveries", "events", "names", "subscriptions", "endpoints")
MS_PER_DAY = 86_400_000
UNIX_EPOCH_JD = 2_440_587.5


@cache
def connection() -> sqlite3.Connection:
    """Return this process's connection, its schema made."""
    made = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
    for statement in build_webhook_schema_sql():
        made.execute(statement)
    return made


def emptied() -> sqlite3.Connection:
    """Return the connection with nothing in its tables."""
    database = connection()
    if database.in_transaction:
        database.rollback()
    database.execute("BEGIN")
    for table in TABLES:
        database.execute(f"DELETE FROM {table}")  # noqa: S608 - tables of ours
    database.execute("COMMIT")
    return database


def set_clock(database: sqlite3.Connection, now_ms: Callable[[], int]) -> None:
    """Put ``now_ms`` in the place of SQLite's own clock."""
    # Half a millisecond, so that what the statements cut off is never one too much.
    database.create_function(
        "julianday", 1, lambda _: (now_ms() + 0.5) / MS_PER_DAY + UNIX_EPOCH_JD
    )


def execute(database: sqlite3.Connection, statements: Sequence[Statement]) -> list[list[Row]]:
    """Run statements in one transaction; raises ``ConstraintFailed`` with nothing written."""
    cursor = database.cursor()
    cursor.row_factory = sqlite3.Row
    cursor.execute("BEGIN")
    try:
        answer: list[list[Row]] = [
            cursor.execute(sql, parameters).fetchall() for sql, parameters in statements
        ]
    except sqlite3.IntegrityError as error:
        cursor.execute("ROLLBACK")
        raise ConstraintFailed(str(error)) from None
    cursor.execute("COMMIT")
    return answer
