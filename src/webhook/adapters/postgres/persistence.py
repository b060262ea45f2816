"""Both stores over one PostgreSQL database."""

from __future__ import annotations

from collections.abc import Sequence

from webhook.adapters.native_crypto import NativeCrypto
from webhook.adapters.postgres.database import PostgresDatabase
from webhook.adapters.postgres.migrate import migrate
from webhook.adapters.postgres.outbox import PostgresOutbox
from webhook.adapters.postgres.wake import PostgresWake
from webhook.adapters.sql.access import AuditedDatabase, SqlAccessStore
from webhook.adapters.sql.deliveries import SqlDeliveryStore
from webhook.adapters.sql.encryption import SqlEncryption
from webhook.adapters.sql.endpoints import SqlEndpointStore
from webhook.adapters.sql.recovery import SqlRecoveryStore
from webhook.adapters.sql.sealing import Sealing
from webhook.adapters.sql.tenants import SqlTenantStore
from webhook.domain.encryption import EncryptionKey, read_encryption_keys
from webhook.domain.errors import ConfigError
from webhook.domain.postgres_address import PostgresAddress
from webhook.ports import WakeQueue, WebhookPersistence


def create_postgres_webhook_persistence(
    address: str,
    *,
    initialize_schema: bool = True,
    encryption_keys: Sequence[EncryptionKey] | str = (),
) -> WebhookPersistence:
    """Return both stores over the database at ``postgresql://user:password@host:5432/name``.

    ``?schema=`` names the schema that holds everything ("webhook" unless given), ``?pool_max=`` how
    many connections are opened at most (10), ``?pgbouncer=true`` says that a pooler in transaction
    mode is in between. The first of ``encryption_keys`` (``whek_...``, with commas between them)
    encrypts signing secrets and headers, all decrypt; without any they are stored in the clear.
    The schema is brought up to date at first use, unless ``initialize_schema`` is False. Raises
    ``ConfigError``.
    """
    try:
        database = PostgresDatabase(address)
        if isinstance(encryption_keys, str):
            encryption_keys = read_encryption_keys(encryption_keys)
    except ValueError as error:
        raise ConfigError(f"The address {error}") from None
    return persistence_of(
        database, Sealing(encryption_keys, NativeCrypto()), initialize_schema=initialize_schema
    )


def create_of(address: PostgresAddress, keys: Sequence[EncryptionKey]) -> WebhookPersistence:
    """Return both stores over a database whose address has been read."""
    sealing = Sealing(keys, NativeCrypto())
    return persistence_of(PostgresDatabase(address), sealing, initialize_schema=True)


def persistence_of(
    database: PostgresDatabase, sealing: Sealing, *, initialize_schema: bool
) -> WebhookPersistence:
    """Put the stores over one database together."""
    wakes: list[PostgresWake] = []

    def shared_wake(local: WakeQueue) -> WakeQueue:
        wakes.append(PostgresWake(database, local))
        return wakes[-1]

    async def init() -> None:
        if initialize_schema:
            await migrate(database)
        for wake in wakes:
            wake.listen()

    async def close() -> None:
        for wake in wakes:
            await wake.close()
        await database.close()

    audited = AuditedDatabase(database)
    return WebhookPersistence(
        endpoint_store=SqlEndpointStore(audited, sealing),
        delivery_store=SqlDeliveryStore(audited, joint=True, sealing=sealing),
        joint=True,
        recovery_store=SqlRecoveryStore(audited),
        access_store=SqlAccessStore(audited),
        tenant_store=SqlTenantStore(audited),
        encryption=SqlEncryption(database, sealing),
        outbox=PostgresOutbox(database),
        init=init,
        close=close,
        shared_wake=shared_wake,
    )


async def initialize_webhook_schema(address: str) -> list[str]:
    """Apply the missing migrations to the database; return their names."""
    database = PostgresDatabase(address)
    try:
        return await migrate(database)
    finally:
        await database.close()
