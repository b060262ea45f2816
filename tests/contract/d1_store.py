"""Makes the store on D1: only inside workerd, where the database is the Worker's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from workers import env

from webhook.adapters.cloudflare.d1 import D1Database
from webhook.adapters.cloudflare.webcrypto import WebCrypto
from webhook.adapters.memory import MemoryEndpointStore
from webhook.adapters.sql.access import AuditedDatabase, SqlAccessStore
from webhook.adapters.sql.deliveries import SqlDeliveryStore
from webhook.adapters.sql.endpoints import SqlEndpointStore
from webhook.adapters.sql.migrate import migrate
from webhook.adapters.sql.recovery import SqlRecoveryStore
from webhook.adapters.sql.sealing import Sealing
from webhook.adapters.sql.tenants import SqlTenantStore
from webhook.domain.encryption import EncryptionKey
from webhook.ports import WebhookPersistence

_TABLES = """
SELECT name FROM sqlite_master
WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_cf%' ESCAPE '\\'
  AND name <> 'd1_migrations'
ORDER BY name = 'tenant_deletions'  -- which goes when nothing else is left
"""


class SteeredD1Database(D1Database):
    """D1 whose leases obey the clock of the test, which stands at the boundary of a lease."""

    own_clock = False


def d1_persistence(_folder: Callable[[], Path]) -> WebhookPersistence:
    """Return both stores on the Worker's database, which is emptied when they are opened."""
    database = AuditedDatabase(SteeredD1Database(env.DB))
    sealing = Sealing((EncryptionKey(bytes(32)),), WebCrypto())
    return WebhookPersistence(
        endpoint_store=SqlEndpointStore(database, sealing),
        delivery_store=SqlDeliveryStore(database, joint=True, sealing=sealing),
        joint=True,
        recovery_store=SqlRecoveryStore(database),
        access_store=SqlAccessStore(database),
        tenant_store=SqlTenantStore(database),
        init=partial(_empty, database),
    )


def d1_separate_persistence(_folder: Callable[[], Path]) -> WebhookPersistence:
    """Return a delivery store on the Worker's database, and an endpoint store elsewhere."""
    database = AuditedDatabase(SteeredD1Database(env.DB))
    return WebhookPersistence(
        endpoint_store=MemoryEndpointStore(),
        delivery_store=SqlDeliveryStore(database),
        recovery_store=SqlRecoveryStore(database),
        access_store=SqlAccessStore(database),
        init=partial(_empty, database),
    )


async def _empty(database: AuditedDatabase) -> None:
    await migrate(database)
    [tables] = await database.read([(_TABLES, ())])
    # The names are those of the schema.
    await database.batch([(f'DELETE FROM "{table["name"]}"', ()) for table in tables])
