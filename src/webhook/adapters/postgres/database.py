"""PostgreSQL behind a pool of connections; each batch is one function call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from webhook.adapters.postgres.errors import LOST, UNDONE, told
from webhook.adapters.postgres.routines import Routine, Routines
from webhook.adapters.sql.database import Parameter, Row, Statement
from webhook.domain.errors import StoreUnavailable
from webhook.domain.postgres_address import PostgresAddress

type Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
type Pool = asyncpg.Pool[asyncpg.Record]
Rows = list[list[Row]]

CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 30
_UNDONE_REPEATS_MAX = 5
_IDLE_CONNECTION_S = 300
_decoder = msgspec.json.Decoder(dict[str, Any])
# One after the other: of two that make the same function at once PostgreSQL refuses one.
_LOCK_MAKING = "SELECT pg_advisory_xact_lock(hashtextextended('webhook functions', 0))"

_UNDO = "ROLLBACK TO SAVEPOINT webhook_accept; RELEASE SAVEPOINT webhook_accept"


class PostgresDatabase:
    """``Database`` over one PostgreSQL server. Nothing is opened before the first call.

    What the server undid, because two got in each other's way, is tried again; so is once what a
    connection that broke left unknown, since every write of the stores may be repeated. Raises
    ``StoreUnavailable`` when there is no answer, and when all connections stay taken.
    """

    own_clock = True

    def __init__(self, address: PostgresAddress | str) -> None:
        if isinstance(address, str):
            address = PostgresAddress.read(address)
        self.address = address
        self._routines = Routines()
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()
        self._made: set[str] = set()
        self.channel = f"{address.schema}_due"

    async def batch(self, statements: Sequence[Statement]) -> Rows:
        """Run statements in one transaction and one round trip; see ``Database``."""
        routine, arguments = self._routines.of(statements)
        return _answers(statements, await self._call(routine, arguments))

    async def batch_within(self, connection: Connection, statements: Sequence[Statement]) -> Rows:
        """Run statements inside the transaction that a caller's connection is in.

        If they fail, they alone are undone. Raises ``ConstraintFailed``, else what asyncpg does.
        """
        routine, arguments = self._routines.of(statements)
        # As text: the caller may have taught the connection JSON of its own.
        call = self._sql(routine).replace("::json", "::text::json")
        # Not over the caller's connection: whether it commits, and what it may, is its own.
        if routine.name not in self._made:
            async with self.connection() as own:
                await self._make(own, routine)
        await connection.execute("SAVEPOINT webhook_accept")
        try:
            found = await connection.fetch(call, *arguments)
        except Exception as error:
            with contextlib.suppress(asyncpg.PostgresError, *LOST):
                await connection.execute(_UNDO)
            if isinstance(error, asyncpg.UndefinedFunctionError):
                # The caller's session may not see it before its next transaction.
                async with self.connection() as own:
                    await self._make(own, routine)
                raise StoreUnavailable(
                    "PostgreSQL: a function of the store was missing, and is there again. Roll "
                    "your transaction back, and begin anew."
                ) from error
            if isinstance(error, asyncpg.IntegrityConstraintViolationError):
                raise told(error) from error
            raise
        await connection.execute("RELEASE SAVEPOINT webhook_accept")
        return _answers(statements, found)

    async def read(self, statements: Sequence[Statement]) -> Rows:
        """Run statements that only read, in one round trip."""
        return await self.batch(statements)

    async def _call(
        self, routine: Routine, arguments: Sequence[Parameter]
    ) -> Sequence[asyncpg.Record]:
        lost = undone = 0
        while True:
            try:
                async with self.connection() as connection:
                    return await self._call_on(connection, routine, arguments)
            except UNDONE as error:
                undone += 1
                if undone > _UNDONE_REPEATS_MAX:
                    raise told(error) from error
            except TimeoutError as error:
                raise told(error) from error
            except LOST as error:
                await self._expire()
                lost += 1
                if lost > 1:
                    raise told(error) from error
            except StoreUnavailable:
                raise
            except Exception as error:
                known = told(error)
                if known is error:
                    raise
                raise known from error

    def _sql(self, routine: Routine) -> str:
        return f'SELECT * FROM "{self.address.schema}".{routine.call}'

    async def _call_on(
        self, connection: Connection, routine: Routine, arguments: Sequence[Parameter]
    ) -> Sequence[asyncpg.Record]:
        """Call a function over one connection; make it first if it is not there."""
        if routine.name not in self._made:
            await self._make(connection, routine)
        call = self._sql(routine)
        try:
            return await connection.fetch(call, *arguments)
        except asyncpg.UndefinedFunctionError:
            # Somebody has tidied the schema up, or restored it.
            self._made.discard(routine.name)
            await self._make(connection, routine)
            return await connection.fetch(call, *arguments)

    async def _make(self, connection: Connection, routine: Routine) -> None:
        async with connection.transaction():
            await connection.execute(_LOCK_MAKING)
            await connection.execute(f'SET LOCAL search_path TO "{self.address.schema}", pg_temp')
            known = await connection.fetchval(
                "SELECT 1 FROM pg_proc WHERE proname = $1 AND pronamespace = $2::regnamespace",
                routine.name,
                f'"{self.address.schema}"',
            )
            if known is None:
                await connection.execute(routine.definition)
        self._made.add(routine.name)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection of the pool. Raises ``StoreUnavailable`` when all stay taken."""
        pool = await self._opened()
        try:
            connection = await pool.acquire(timeout=CONNECT_TIMEOUT_S)
        except TimeoutError:
            raise StoreUnavailable(
                f"PostgreSQL: none of {self.address.pool_max} connections became free in "
                f"{CONNECT_TIMEOUT_S} s."
            ) from None
        try:
            yield connection
        finally:
            # A cancelled caller must not keep it, nor leave half of an answer in it.
            await asyncio.shield(pool.release(connection))

    async def _opened(self) -> Pool:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # The connections of an event loop that has ended cannot be used or closed any more.
            self._pool, self._loop, self._opening = None, loop, asyncio.Lock()
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    min_size=0,
                    max_size=self.address.pool_max,
                    max_inactive_connection_lifetime=_IDLE_CONNECTION_S,
                    command_timeout=ANSWER_TIMEOUT_S,
                    reset=_leave_as_it_is,
                    **self.address.options(),
                )
            return self._pool

    async def _expire(self) -> None:
        """Use none of the present connections any more: the server may have gone, or changed."""
        if self._pool is not None:
            await self._pool.expire_connections()

    async def close(self) -> None:
        """Close all connections; a later call opens anew."""
        pool, self._pool = self._pool, None
        if pool is not None and self._loop is asyncio.get_running_loop():
            try:
                await asyncio.wait_for(pool.close(), CONNECT_TIMEOUT_S)
            except TimeoutError:
                pool.terminate()


def _answers(statements: Sequence[Statement], found: Sequence[asyncpg.Record]) -> Rows:
    answers: Rows = [[] for _ in statements]
    for number, text in found:
        answers[number].append(_decoder.decode(text))
    return answers


async def _leave_as_it_is(_: object) -> None:
    """Ask for no reset between two uses: no call of ours leaves anything in a session."""
