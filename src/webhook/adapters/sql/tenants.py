"""``WebhookTenantStore`` over D1 and SQLite."""

from __future__ import annotations

import msgspec

from webhook.adapters.sql import tenant_statements as sql
from webhook.adapters.sql.database import ConstraintFailed, Database, Row, Statement
from webhook.domain.tenant import Tenant, TenantRows

_REMOVING = {
    sql.TENANT_ENDPOINTS: "endpoints",
    sql.TENANT_SUBSCRIPTIONS: "subscriptions",
    sql.TENANT_RECOVERIES: "recoveries",
    sql.TENANT_TOKENS: "api_tokens",
    sql.TENANT_DELIVERIES: "deliveries",
    sql.TENANT_NOTICES: "notices",
    sql.TENANT_NAMES: "names",
    sql.TENANT_EVENTS: "events",
    sql.TENANT_AUDIT: "audit_log",
    sql.TENANT_HORIZONS: "payload_horizons",
}


class SqlTenantStore:
    """Deletes tenants; see ``WebhookTenantStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, tenant: str, now: int) -> None:
        """Begin a deletion."""
        await self._database.batch([(sql.TENANT_BEGIN, (tenant, now))])

    async def look(self, tenant: str) -> Tenant:
        """Count what there is, in one round trip."""
        [[row]] = await self._database.read([(sql.TENANT_LOOK, (tenant,))])
        return _read(row)

    async def remove_some(self, tenant: str, now: int, limit: int) -> TenantRows:
        """Remove a piece, in one round trip."""
        batch: list[Statement] = [
            (sql.TENANT_ENDPOINTS_REMOVE, (tenant, limit, now)),
            (sql.TENANT_SUBSCRIPTIONS, (tenant, limit)),
            (sql.TENANT_RECOVERIES, (tenant, limit)),
            (sql.TENANT_ENDS_FROM, (tenant, now)),
            (sql.TENANT_TOKENS, (tenant, limit)),
            (sql.TENANT_DELIVERIES, (tenant, limit)),
            (sql.TENANT_ENDPOINTS, (tenant, limit)),
            (sql.TENANT_NOTICES, (tenant, limit)),
            (sql.TENANT_NAMES, (tenant, limit)),
            (sql.TENANT_EVENTS, (tenant, limit)),
            (sql.TENANT_AUDIT, (tenant, limit)),
            (sql.TENANT_HORIZONS, (tenant,)),
        ]
        results = await self._database.batch(batch)
        removed = {
            _REMOVING[statement]: len(rows)
            for (statement, _), rows in zip(batch, results, strict=True)
            if statement in _REMOVING
        }
        removed["endpoints"] += len(results[0])
        return TenantRows(**removed)

    async def end(self, tenant: str, now: int) -> Tenant:
        """End a deletion, and look at it, in one transaction."""
        try:
            [[row], ended] = await self._database.batch(
                [(sql.TENANT_LOOK, (tenant,)), (sql.TENANT_END, (tenant, now))]
            )
        except ConstraintFailed:
            return await self.look(tenant)
        found = _read(row)
        return msgspec.structs.replace(found, deleting_since=None) if ended else found


def _read(row: Row) -> Tenant:
    rows = TenantRows(**{name: row[name] for name in TenantRows.__struct_fields__})
    return Tenant(rows=rows, deleting_since=row["since"], ends_from=row["ends_from"] or 0)
