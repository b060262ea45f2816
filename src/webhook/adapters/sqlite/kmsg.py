"""Reads the two tables of ``@k-msg/webhook``: an SQLite file, or the SQL of ``wrangler d1 export``.

Lenient as the original is in reading, but never silent: what cannot be read is told.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from webhook.domain.errors import ConfigError

ENDPOINT_TABLE, DELIVERY_TABLE = "kmsg_webhook_endpoints", "kmsg_webhook_deliveries"
_MAGIC = b"SQLite format 3\0"
type Row = dict[str, Any]


class KmsgRows(msgspec.Struct, frozen=True):
    """All rows, oldest first, as they are."""

    endpoints: list[Row]
    deliveries: list[Row]


def read_kmsg(
    path: Path, *, endpoint_table: str = ENDPOINT_TABLE, delivery_table: str = DELIVERY_TABLE
) -> KmsgRows:
    """Read both tables, the file left as it is; raises ``ConfigError`` saying what is wrong."""
    try:
        with _opened(path) as database:
            return KmsgRows(_rows(database, endpoint_table), _rows(database, delivery_table))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no database and no SQL of one: {error}.") from error


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with path.open("rb") as file:
        is_database = file.read(len(_MAGIC)) == _MAGIC
    name = f"{path.absolute().as_uri()}?mode=ro" if is_database else ":memory:"
    with closing(sqlite3.connect(name, uri=is_database)) as database:
        if not is_database:
            database.executescript(path.read_text("utf-8"))
        database.row_factory = sqlite3.Row
        yield database


def _rows(database: sqlite3.Connection, table: str) -> list[Row]:
    known = {row[0] for row in database.execute("SELECT name FROM sqlite_schema")}
    if table not in known:
        raise ConfigError(f"There is no table {table}; name the one that there is.")
    quoted = table.replace('"', '""')
    query = f'SELECT * FROM "{quoted}" ORDER BY created_at, id'  # noqa: S608 - quoted, and there
    return [dict(row) for row in database.execute(query)]
