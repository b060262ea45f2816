"""Deleting a tenant; see ``adapters/sql/tenant_statements.py`` for what each does."""

from __future__ import annotations

from webhook.adapters.postgres.fragments import rows_of
from webhook.domain.access import KNOWN_FOR_MS
from webhook.domain.tenant import TENANT_COUNT_MAX

TENANT_BEGIN = """
INSERT INTO tenant_deletions (tenant, since) VALUES ($1::text, $2::bigint)
ON CONFLICT (tenant) DO NOTHING
"""

TENANTS_DELETING = f"""
SELECT j.place - 1 AS position, t.tenant AS tenant
FROM {rows_of("$1", "j", "tenant text")} JOIN tenant_deletions AS t ON t.tenant = j.tenant
ORDER BY j.place
"""


def _count(table: str, of_tenant: str = "tenant = $1::text") -> str:
    return f"""(
    SELECT count(*) FROM (
      SELECT 1 FROM {table} WHERE {of_tenant} LIMIT {TENANT_COUNT_MAX}
    ) AS counted
  )"""


_LANES = """
  SELECT lane FROM endpoints WHERE tenant = $1::text AND status <> 'removed'
  UNION ALL SELECT lane FROM endpoints WHERE tenant = $1::text AND status = 'removed'"""
_LOOK = f"""
  {_count(f"({_LANES}) AS p", "true")} AS endpoints,
  {_count("subscriptions")} AS subscriptions,
  {_count("events")} AS events,
  {_count("names")} AS names,
  {_count(f"({_LANES}) AS p JOIN deliveries AS d ON d.lane = p.lane", "true")} AS deliveries,
  {_count("recoveries")} AS recoveries,
  {_count("notices", "id > '' AND tenant = $1::text")} AS notices,
  {_count("api_tokens", "id > '' AND tenant = $1::text")} AS api_tokens,
  {_count("audit_log")} AS audit_log,
  {_count("payload_horizons")} AS payload_horizons"""
# Of two that do a piece, or end it, the second begins when the first has done its own.
_LOCK_TENANT = "SELECT pg_advisory_xact_lock(hashtextextended('webhook tenant ' || $1::text, 0))"
TENANT_LOOK = (
    _LOCK_TENANT,
    f"""
SELECT t.since, t.ends_from, {_LOOK}
FROM (SELECT $1::text AS tenant) AS x LEFT JOIN tenant_deletions AS t ON t.tenant = x.tenant
""",
)

_DELETING = "EXISTS (SELECT 1 FROM tenant_deletions WHERE tenant = $1::text)"

TENANT_ENDPOINTS_REMOVE = (
    _LOCK_TENANT,
    f"""
UPDATE endpoints
SET status = 'removed', headers = '{{}}', secrets = '[]', key_id = NULL, updated_at = $3::bigint,
  revision = revision + 1
WHERE {_DELETING} AND lane IN (
  SELECT lane FROM endpoints WHERE tenant = $1::text AND status <> 'removed' LIMIT $2::bigint
)
RETURNING 1
""",
)

TENANT_SUBSCRIPTIONS = f"""
DELETE FROM subscriptions WHERE {_DELETING} AND (tenant, pattern, lane) IN (
  SELECT tenant, pattern, lane FROM subscriptions WHERE tenant = $1::text LIMIT $2::bigint
)
RETURNING 1
"""

TENANT_RECOVERIES = f"""
DELETE FROM recoveries WHERE {_DELETING} AND id IN (
  SELECT id FROM recoveries WHERE tenant = $1::text LIMIT $2::bigint
)
RETURNING 1
"""

TENANT_ENDS_FROM = f"""
UPDATE tenant_deletions SET ends_from = $2::bigint + {KNOWN_FOR_MS}
WHERE tenant = $1::text AND EXISTS (SELECT 1 FROM api_tokens WHERE id > '' AND tenant = $1::text)
"""

TENANT_TOKENS = f"""
DELETE FROM api_tokens WHERE {_DELETING} AND id IN (
  SELECT id FROM api_tokens WHERE id > '' AND tenant = $1::text LIMIT $2::bigint
)
RETURNING 1
"""

_GONE = """
  SELECT lane FROM endpoints WHERE tenant = $1::text AND status = 'removed'
  ORDER BY lane LIMIT $2::bigint"""
TENANT_DELIVERIES = f"""
DELETE FROM deliveries WHERE {_DELETING} AND (lane, key) IN (
  SELECT d.lane, d.key
  FROM ({_GONE}) AS p JOIN deliveries AS d ON d.lane = p.lane
  LIMIT $2::bigint
)
RETURNING 1
"""
TENANT_ENDPOINTS = f"""
DELETE FROM endpoints WHERE {_DELETING} AND lane IN (
  SELECT p.lane FROM ({_GONE}) AS p
  WHERE NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.lane = p.lane)
)
RETURNING 1
"""

TENANT_NOTICES = f"""
DELETE FROM notices WHERE {_DELETING} AND id IN (
  SELECT id FROM notices WHERE id > '' AND tenant = $1::text LIMIT $2::bigint
)
RETURNING 1
"""

TENANT_NAMES = f"""
DELETE FROM names WHERE {_DELETING} AND (tenant, name) IN (
  SELECT tenant, name FROM names WHERE tenant = $1::text LIMIT $2::bigint
)
RETURNING 1
"""

TENANT_EVENTS = f"""
DELETE FROM events WHERE {_DELETING} AND NOT EXISTS (
  SELECT 1 FROM endpoints WHERE tenant = $1::text AND status <> 'removed'
) AND NOT EXISTS (
  SELECT 1 FROM endpoints WHERE tenant = $1::text AND status = 'removed'
) AND (tenant, key) IN (SELECT tenant, key FROM events WHERE tenant = $1::text LIMIT $2::bigint)
RETURNING 1
"""

TENANT_HORIZONS = f"""
DELETE FROM payload_horizons WHERE {_DELETING} AND tenant = $1::text RETURNING 1
"""

TENANT_AUDIT = f"""
DELETE FROM audit_log WHERE {_DELETING} AND id IN (
  SELECT id FROM audit_log WHERE tenant = $1::text LIMIT $2::bigint
)
RETURNING 1
"""

# Whoever began to write before the deletion did may not have committed yet.
_LOCK_TABLES = "LOCK TABLE endpoints, events, names, recoveries, api_tokens IN SHARE MODE"
TENANT_END = (
    _LOCK_TABLES,
    """
DELETE FROM tenant_deletions WHERE tenant = $1::text AND ends_from <= $2::bigint RETURNING 1
""",
)
