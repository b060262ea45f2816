"""Looks at a SQLite file before anything opens it for writing, and leaves it as it is."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from webhook.adapters.sql.database import Row, Statement
from webhook.adapters.sql.encryption import KEYS_IN_USE
from webhook.adapters.sql.migrate import pending
from webhook.domain.errors import SchemaError, StoreUnavailable

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
# A table of ours, and those that tell nothing: wrangler's, which others have too, and SQLite's own.
_OURS = "deliveries"
_ANYBODYS = ("d1_migrations", "sqlite_sequence")
_SHOWN = 4
# In a SQLite file's header: how it is written and read.
_MODES_AT = 18
_WAL_MODES = b"\x02\x02"


async def missing_migrations(path: str | Path) -> list[str]:
    """Return the names of the migrations that the file at ``path`` lacks; a missing file lacks all.

    Neither makes nor changes a file. Raises ``StoreUnavailable`` when the file could not be written
    afterwards, ``SchemaError`` when it is no database, another program's, or ahead of this code.
    """
    path = Path(path)
    _check_place(path)
    if not path.exists():
        return await pending(_Nothing())
    try:
        with contextlib.closing(sqlite3.connect(_uri(path), uri=True, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            tables = [name for [name] in connection.execute(_TABLES) if name not in _ANYBODYS]
            if tables and _OURS not in tables:
                raise SchemaError(
                    f"The database belongs to another program: it has tables of its own "
                    f"({', '.join(tables[:_SHOWN])}). Choose another file. It was not touched."
                )
            return await pending(_ReadOnly(connection))
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
            raise SchemaError(
                f"The file is no usable SQLite database ({error}). It was not touched."
            ) from error
        raise StoreUnavailable(f"SQLite: {error}") from error


def keys_in_use(path: str | Path) -> list[str]:
    """Return the ids of the keys that secrets in the file at ``path`` are encrypted with.

    Neither makes nor changes a file; what cannot be read uses none.
    """
    path = Path(path)
    if not path.exists():
        return []
    try:
        with contextlib.closing(sqlite3.connect(_uri(path), uri=True, timeout=5)) as connection:
            return [key_id for [key_id] in connection.execute(KEYS_IN_USE)]
    except sqlite3.DatabaseError:  # an older schema, or none
        return []


def _uri(path: Path) -> str:
    """Say how to open a file so that it is left as it is, and nothing is left beside it.

    A database with a write-ahead log that has none now is open nowhere; SQLite would make one, and
    an index of it, even for a reader, unless it is told that nobody will write meanwhile.
    """
    keeps_log = False
    # What cannot be read SQLite refuses in its own words. In a process that has the database open
    # already, closing the file would drop SQLite's locks.
    with contextlib.suppress(OSError), path.open("rb") as file:
        keeps_log = file.read(_MODES_AT + 2)[_MODES_AT:] == _WAL_MODES
    alone = keeps_log and not Path(f"{os.path.realpath(path)}-wal").exists()
    return f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if alone else ''}"


def _check_place(path: Path) -> None:
    """Refuse what SQLite would refuse with fewer words."""
    folder = path.parent
    if path.is_dir():
        raise StoreUnavailable(f"{path} is a folder; give a file in it.")
    if not folder.is_dir():
        raise StoreUnavailable(f"The folder {folder} does not exist; make it first.")
    # SQLite puts its log beside the file, so the folder has to be writable as well.
    for place in (path, folder):
        if place.exists() and not os.access(place, os.W_OK):
            raise StoreUnavailable(f"This user may not write to {place}.")


class _ReadOnly:
    """``Database`` over a connection that cannot write."""

    own_clock = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return [self._connection.execute(sql, values).fetchall() for sql, values in statements]

    async def read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return await self.batch(statements)


class _Nothing:
    """``Database`` without a table."""

    own_clock = False

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return [[] for _ in statements]

    async def read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return await self.batch(statements)
