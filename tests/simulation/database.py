"""``Database`` over SQLite in memory, without threads: the stores' own SQL, and repeatable.

Opening it anew for each seed would cost more than a whole run, so one connection serves them all
and is emptied in between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from webhook.adapters.sql.database import ConstraintFailed, Row, Statement
from webhook.adapters.sql.migrate import build_webhook_schema_sql

TABLES = (
    "deliveries",
    "events",
    "names",
    "subscriptions",
    "endpoints",
    "recoveries",
    "switches",
    "notices",
    "payload_horizons",
)
MS_PER_DAY = 86_400_000
UNIX_EPOCH_JD = 2_440_587.5


class Opened(NamedTuple):
    """This process's connection, and the clock that stands in the place of SQLite's own."""

    connection: sqlite3.Connection
    now_ms: list[Callable[[], int]]


@cache
def _opened() -> Opened:
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
    now_ms: list[Callable[[], int]] = [lambda: 0]
    # Before any statement is prepared: those keep the function that they have found.
    # Half a millisecond more, so that what the statements cut off is never one too much.
    connection.create_function(
        "julianday", 1, lambda _: (now_ms[0]() + 0.5) / MS_PER_DAY + UNIX_EPOCH_JD
    )
    for statement in build_webhook_schema_sql():
        connection.execute(statement)
    return Opened(connection, now_ms)


def emptied(now_ms: Callable[[], int] | None) -> sqlite3.Connection:
    """Return the connection with nothing in its tables and, if it may use it, a clock."""
    database, clock = _opened()
    clock[0] = now_ms or (lambda: 0)
    if database.in_transaction:
        database.rollback()
    database.execute("BEGIN")
    for table in TABLES:
        database.execute(f"DELETE FROM {table}")
    database.execute("COMMIT")
    return database


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
