"""``WebhookOutbox`` over an asyncpg connection of the caller's, to the database of the store."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from webhook.adapters.postgres.database import Connection, PostgresDatabase
from webhook.adapters.postgres.errors import told
from webhook.adapters.sql.database import Row, Statement
from webhook.adapters.sql.deliveries import SqlDeliveryStore
from webhook.domain.errors import InvalidInput
from webhook.domain.model import NewEvent
from webhook.ports import NO_FIRST_ATTEMPTS, AcceptedEvent

# No two servers started in the same microsecond; and a restore takes a server to itself.
_PLACE = """SELECT
  oid::text || ' ' || extract(epoch FROM pg_postmaster_start_time())::text AS place,
  current_setting('transaction_isolation') AS isolation,
  current_setting('transaction_read_only') AS read_only
FROM pg_catalog.pg_database WHERE datname = current_database()"""


class PostgresOutbox:
    """Accepts in the caller's own transaction, in four round trips and one that wakes."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._place: str | None = None

    async def accept(
        self, connection: object, events: Sequence[NewEvent], now: int
    ) -> list[AcceptedEvent]:
        """Store events and deliveries; see ``WebhookOutbox``. The commit wakes who listens."""
        lent = _asyncpg(connection)
        await self._check(lent)
        store = SqlDeliveryStore(_Lent(self._database, lent), joint=True)
        try:
            result = await store.accept(events, NO_FIRST_ATTEMPTS, now)
            if result.waiting:
                await lent.execute("SELECT pg_notify($1, '')", self._database.channel)
        except asyncpg.InsufficientPrivilegeError as error:
            schema = self._database.address.schema
            raise _refused(
                f"Its role may not write where the store is: {error}. GRANT USAGE ON SCHEMA "
                f"{schema}, and SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema}, to it."
            ) from error
        except Exception as error:
            known = told(error)
            if known is error:
                raise
            raise known from error
        return result.events

    async def _check(self, connection: Connection) -> None:
        try:
            [found] = await connection.fetch(_PLACE)
        except asyncpg.InFailedSQLTransactionError as error:
            raise _refused("Its transaction has failed: roll it back and begin anew.") from error
        except asyncpg.InterfaceError as error:
            raise _refused(f"It cannot be used here: {error}.") from error
        except (asyncpg.PostgresError, OSError) as error:
            raise told(error) from error
        if found["place"] != self._place:
            async with self._database.connection() as own:
                self._place = await own.fetchval(_PLACE)
        if found["place"] != self._place:
            raise _refused(
                "It leads to another database than the store's: one commit cannot be of two. "
                "Connect to the store's, and keep your tables there."
            )
        if found["isolation"] != "read committed":
            # Under a snapshot of before, a line would be joined whose end has gone meanwhile.
            raise _refused(
                f"Its transaction is {found['isolation']}: begin one that is READ COMMITTED."
            )
        if found["read_only"] == "on":
            raise _refused("Its transaction only reads: begin one that may write.")


class _Lent:
    """``Database`` over a connection that is in a transaction of somebody else's."""

    def __init__(self, database: PostgresDatabase, connection: Connection) -> None:
        self._database = database
        self._connection = connection
        self.own_clock = database.own_clock

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements; if one fails, they alone are undone."""
        return await self._database.batch_within(self._connection, statements)

    async def read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements that only read."""
        return await self.batch(statements)


def _asyncpg(connection: object) -> Connection:
    if not isinstance(connection, asyncpg.Connection | PoolConnectionProxy):
        kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
        raise _refused(f"It is a {kind}, and the store is PostgreSQL: give asyncpg's connection.")
    try:
        inside = connection.is_in_transaction()
    except asyncpg.InterfaceError as error:
        raise _refused(f"It cannot be used here: {error}.") from error
    if not inside:
        raise _refused(
            "It is in no transaction: emit inside `async with connection.transaction():`."
        )
    return connection


def _refused(detail: str) -> InvalidInput:
    return InvalidInput.at("/connection", detail)
