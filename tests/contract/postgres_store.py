"""Makes PostgreSQL stores, on a real server: both on one database, or the deliveries apart."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.postgres import servers
from webhook.adapters.memory import MemoryEndpointStore
from webhook.adapters.native_crypto import NativeCrypto
from webhook.adapters.postgres.database import PostgresDatabase
from webhook.adapters.postgres.migrate import migrate
from webhook.adapters.sql.access import AuditedDatabase, SqlAccessStore
from webhook.adapters.sql.database import Row, Statement
from webhook.adapters.sql.deliveries import SqlDeliveryStore
from webhook.adapters.sql.endpoints import SqlEndpointStore
from webhook.adapters.sql.recovery import SqlRecoveryStore
from webhook.adapters.sql.sealing import Sealing
from webhook.adapters.sql.tenants import SqlTenantStore
from webhook.domain.encryption import EncryptionKey
from webhook.ports import WebhookPersistence

_EMPTY = """DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT tablename FROM pg_tables
    WHERE schemaname = current_schema() AND tablename <> 'migrations'
    ORDER BY tablename = 'tenant_deletions'
  LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
END $$"""


class SharedPostgres:
    """``Database`` for test after test: its connections, which know their plans, outlive a test.

    So they live in an event loop of their own, in a thread beside. Leases obey the clock of the
    test, which stands at the boundary of a lease.
    """

    own_clock = False

    def __init__(self, version: int) -> None:
        self._database = PostgresDatabase(servers.address(version))
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return await self._beside(self._database.batch(statements))

    async def read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return await self._beside(self._database.read(statements))

    async def empty(self) -> None:
        await self._beside(self._empty())

    async def _beside[T](self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _empty(self) -> None:
        await migrate(self._database)
        async with self._database.connection() as connection, connection.transaction():
            schema = self._database.address.schema
            await connection.execute(f'SET LOCAL search_path TO "{schema}"')
            await connection.execute(_EMPTY)


@cache
def shared(version: int) -> SharedPostgres:
    """Return the database of this test process on a server of a version."""
    return SharedPostgres(version)


def postgres_persistence(version: int) -> Callable[[Callable[[], Path]], WebhookPersistence]:
    """Return what makes both stores on a server of a version, emptied when they are opened."""

    def make(_folder: Callable[[], Path]) -> WebhookPersistence:
        database = AuditedDatabase(shared(version))
        sealing = Sealing((EncryptionKey(bytes(32)),), NativeCrypto())
        return WebhookPersistence(
            endpoint_store=SqlEndpointStore(database, sealing),
            delivery_store=SqlDeliveryStore(database, joint=True, sealing=sealing),
            joint=True,
            recovery_store=SqlRecoveryStore(database),
            access_store=SqlAccessStore(database),
            tenant_store=SqlTenantStore(database),
            init=shared(version).empty,
        )

    return make


def postgres_separate_persistence(_folder: Callable[[], Path]) -> WebhookPersistence:
    """Return a delivery store on a server, and an endpoint store elsewhere."""
    database = AuditedDatabase(shared(servers.NEWEST))
    return WebhookPersistence(
        endpoint_store=MemoryEndpointStore(),
        delivery_store=SqlDeliveryStore(database),
        recovery_store=SqlRecoveryStore(database),
        access_store=SqlAccessStore(database),
        init=shared(servers.NEWEST).empty,
    )
