"""Programs that keep a table of their own, ``orders``, in the database where the store is."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from webhook.adapters.postgres import create_postgres_webhook_persistence
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.domain.postgres_address import PostgresAddress
from webhook.ports import WebhookPersistence

WAIT_S = 60


class Program(Protocol):
    """One connection of its own; ``place`` is where the database is."""

    place: str
    connection: Any

    def __init__(self, place: str) -> None: ...

    def persistence(self) -> WebhookPersistence:
        """Return the store, over connections of its own."""
        ...

    async def open(self) -> None:
        """Connect, and make the table if it is not there."""
        ...

    async def begin(self) -> Any:
        """Begin a transaction and return the connection."""
        ...

    async def order(self, name: str) -> None:
        """Write a row of its own."""
        ...

    async def commit(self) -> None:
        """Commit."""
        ...

    async def rollback(self) -> None:
        """Roll back."""
        ...

    async def orders(self) -> list[str]:
        """Return its rows, as they were committed."""
        ...

    def session(self) -> int:
        """Return what the database knows the connection by."""
        ...

    async def gone(self, session: int) -> None:
        """Wait until the database has noticed that a connection is broken."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class SqliteProgram:
    """See ``Program``."""

    connection: sqlite3.Connection

    def __init__(self, place: str) -> None:
        self.place = place

    def persistence(self) -> WebhookPersistence:
        return create_sqlite_webhook_persistence(Path(self.place))

    async def open(self) -> None:
        self.connection = sqlite3.connect(self.place, isolation_level=None, timeout=WAIT_S)
        self.connection.execute("CREATE TABLE IF NOT EXISTS orders (name TEXT)")

    async def begin(self) -> sqlite3.Connection:
        self.connection.execute("BEGIN IMMEDIATE")
        return self.connection

    async def order(self, name: str) -> None:
        self.connection.execute("INSERT INTO orders VALUES (?)", (name,))

    async def commit(self) -> None:
        self.connection.execute("COMMIT")

    async def rollback(self) -> None:
        self.connection.execute("ROLLBACK")

    async def orders(self) -> list[str]:
        return [name for (name,) in self.connection.execute("SELECT name FROM orders")]

    def session(self) -> int:
        return os.getpid()

    async def gone(self, session: int) -> None:
        """A lock of SQLite ends with its process."""

    async def close(self) -> None:
        self.connection.close()


class PostgresProgram:
    """See ``Program``. The table is the place's own, since others test on the same server."""

    connection: asyncpg.Connection[asyncpg.Record]

    def __init__(self, place: str) -> None:
        self.place = place
        self._address = PostgresAddress.read(place)
        self._table = f"orders_of_{self._address.schema}"

    def persistence(self) -> WebhookPersistence:
        return create_postgres_webhook_persistence(self.place)

    async def open(self) -> None:
        self.connection = await asyncpg.connect(self._address.dsn, timeout=WAIT_S)
        await self.connection.execute(f"CREATE TABLE IF NOT EXISTS {self._table} (name text)")

    async def begin(self) -> asyncpg.Connection[asyncpg.Record]:
        await self.connection.execute("BEGIN")
        return self.connection

    async def order(self, name: str) -> None:
        await self.connection.execute(f"INSERT INTO {self._table} VALUES ($1)", name)

    async def commit(self) -> None:
        await self.connection.execute("COMMIT")

    async def rollback(self) -> None:
        await self.connection.execute("ROLLBACK")

    async def orders(self) -> list[str]:
        return [row["name"] for row in await self.connection.fetch(f"TABLE {self._table}")]

    def session(self) -> int:
        return self.connection.get_server_pid()

    async def gone(self, session: int) -> None:
        for _ in range(100 * WAIT_S):
            if not await self.connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", session
            ):
                return
            await asyncio.sleep(0.01)
        raise TimeoutError

    async def close(self) -> None:
        await self.connection.close()


KINDS: dict[str, type[SqliteProgram | PostgresProgram]] = {
    "sqlite": SqliteProgram,
    "postgres": PostgresProgram,
}
