"""Puts the stores over one database together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from webhook.adapters.sql.access import AuditedDatabase, SqlAccessStore
from webhook.adapters.sql.database import Database
from webhook.adapters.sql.deliveries import SqlDeliveryStore
from webhook.adapters.sql.encryption import SqlEncryption
from webhook.adapters.sql.endpoints import SqlEndpointStore
from webhook.adapters.sql.migrate import migrate
from webhook.adapters.sql.recovery import SqlRecoveryStore
from webhook.adapters.sql.sealing import Sealing
from webhook.adapters.sql.tenants import SqlTenantStore
from webhook.ports import WebhookOutbox, WebhookPersistence


def create_sql_persistence(
    database: Database,
    *,
    initialize_schema: bool,
    begin: Callable[[], Awaitable[None]] | None = None,
    close: Callable[[], Awaitable[None]] | None = None,
    sealing: Sealing | None = None,
    encryption: SqlEncryption | None = None,
    outbox: WebhookOutbox | None = None,
) -> WebhookPersistence:
    """Return a persistence whose ``init`` applies the missing migrations, if it may, and begins.

    ``encryption`` is to be of the same ``sealing``.
    """

    async def init() -> None:
        if initialize_schema:
            await migrate(database)
        if begin is not None:
            await begin()

    audited = AuditedDatabase(database)
    return WebhookPersistence(
        endpoint_store=SqlEndpointStore(audited, sealing),
        delivery_store=SqlDeliveryStore(audited, joint=True, sealing=sealing),
        joint=True,
        recovery_store=SqlRecoveryStore(audited),
        access_store=SqlAccessStore(audited),
        tenant_store=SqlTenantStore(audited),
        encryption=encryption,
        outbox=outbox,
        init=init,
        close=close,
    )
