"""``WebhookOutbox`` over a ``sqlite3.Connection`` of the caller's, to the file of the store."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from webhook.adapters.sql.database import Parameter, Row, Statement
from webhook.adapters.sql.deliveries import SqlDeliveryStore
from webhook.adapters.sqlite.database import told
from webhook.domain.errors import InvalidInput, StoreUnavailable
from webhook.domain.model import NewEvent
from webhook.ports import NO_FIRST_ATTEMPTS, AcceptedEvent

# A temporary table of such a name would hide the one that is meant.
_HIDDEN = """SELECT name FROM sqlite_temp_master
WHERE type IN ('table', 'view') AND lower(name) IN (
  'names', 'events', 'subscriptions', 'deliveries', 'endpoints', 'switches', 'tenant_deletions'
)"""


class SqliteOutbox:
    """Accepts in the caller's own transaction; all of it runs in the caller's thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def accept(
        self, connection: object, events: Sequence[NewEvent], now: int
    ) -> list[AcceptedEvent]:
        """Store events and deliveries; see ``WebhookOutbox``."""
        store = SqlDeliveryStore(_Lent(self._checked(connection)), joint=True)
        return (await store.accept(events, NO_FIRST_ATTEMPTS, now)).events

    def _checked(self, connection: object) -> sqlite3.Connection:
        if not isinstance(connection, sqlite3.Connection):
            kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
            raise _refused(f"It is a {kind}, and the store is SQLite: give a sqlite3.Connection.")
        try:
            listed = _rows(connection, "PRAGMA database_list")
            hidden = _rows(connection, _HIDDEN)
        except sqlite3.ProgrammingError as error:
            raise _refused(f"It cannot be used here: {error}") from error
        except sqlite3.Error as error:
            raise told(error) from error
        file = next(str(row["file"]) for row in listed if row["name"] == "main")
        if not _same(file, self._path):
            raise _refused(
                f"It leads to {file or 'a database in memory'}, and the store is {self._path}: one "
                "commit cannot be of two files. Connect to the store's, and keep your tables there."
            )
        if hidden:
            names = ", ".join(str(row["name"]) for row in hidden)
            raise _refused(f"Its temporary tables hide the store's ({names}): rename them.")
        if not connection.in_transaction:
            raise _refused("It is in no transaction: BEGIN IMMEDIATE, write, emit, then commit.")
        return connection


class _Lent:
    """``Database`` over a connection that is in a transaction of somebody else's."""

    own_clock = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements; if one fails, they alone are undone."""
        connection = self._connection
        try:
            connection.execute("SAVEPOINT webhook_accept")
            try:
                answers = [_rows(connection, sql, parameters) for sql, parameters in statements]
            except sqlite3.Error:
                # Unless SQLite has undone all of the transaction: the disk is full, or failed.
                if connection.in_transaction:
                    connection.execute("ROLLBACK TO webhook_accept")
                    connection.execute("RELEASE webhook_accept")
                raise
            connection.execute("RELEASE webhook_accept")
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY_SNAPSHOT:
                raise StoreUnavailable(
                    "SQLite: somebody has written since your transaction began to read. Roll it "
                    "back, and begin it with BEGIN IMMEDIATE."
                ) from error
            raise told(error) from error
        return answers

    async def read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements that only read."""
        return await self.batch(statements)


def _rows(
    connection: sqlite3.Connection, sql: str, parameters: tuple[Parameter, ...] = ()
) -> list[Row]:
    """Run one statement; what the caller wants rows and texts to be is left as it is."""
    with _plain_texts(connection):
        cursor = connection.cursor()
        cursor.row_factory = sqlite3.Row
        return cursor.execute(sql, parameters).fetchall()


@contextlib.contextmanager
def _plain_texts(connection: sqlite3.Connection) -> Iterator[None]:
    theirs, connection.text_factory = connection.text_factory, str
    try:
        yield
    finally:
        connection.text_factory = theirs


def _same(file: str, path: Path) -> bool:
    try:
        return path.samefile(file)
    except OSError:
        return False


def _refused(detail: str) -> InvalidInput:
    return InvalidInput.at("/connection", detail)
