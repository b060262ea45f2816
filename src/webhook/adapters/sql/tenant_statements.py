"""The pieces in which a tenant is deleted. Same dialect and habits as statements.py."""

from __future__ import annotations

from webhook.domain.access import KNOWN_FOR_MS
from webhook.domain.tenant import TENANT_COUNT_MAX

# ?1 tenant, ?2 now
TENANT_BEGIN = """
INSERT INTO tenant_deletions (tenant, since) VALUES (?1, ?2) ON CONFLICT (tenant) DO NOTHING
"""

# ?1: [{tenant}]. Positions of those that are being deleted.
TENANTS_DELETING = """
SELECT j.key AS position, t.tenant AS tenant
FROM json_each(?1) AS j CROSS JOIN tenant_deletions AS t ON t.tenant = j.value ->> 'tenant'
ORDER BY j.key
"""


def _count(table: str, of_tenant: str = "tenant = ?1") -> str:
    return f"""(
    SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {of_tenant} LIMIT {TENANT_COUNT_MAX})
  )"""


# Of removed endpoints too; each has an index of its own.
_LANES = """
  SELECT lane FROM endpoints WHERE tenant = ?1 AND status <> 'removed'
  UNION ALL SELECT lane FROM endpoints WHERE tenant = ?1 AND status = 'removed'"""
# ?1 tenant. There are few tokens and notices, so that they need no index.
_LOOK = f"""
  {_count(f"({_LANES})", "true")} AS endpoints,
  {_count("subscriptions")} AS subscriptions,
  {_count("events")} AS events,
  {_count("names")} AS names,
  {_count(f"({_LANES}) AS p CROSS JOIN deliveries AS d ON d.lane = p.lane", "true")} AS deliveries,
  {_count("recoveries INDEXED BY recoveries_list")} AS recoveries,
  {_count("notices", "id > '' AND tenant = ?1")} AS notices,
  {_count("api_tokens", "id > '' AND tenant = ?1")} AS api_tokens,
  {_count("audit_log INDEXED BY audit_log_list")} AS audit_log,
  {_count("payload_horizons")} AS payload_horizons"""
TENANT_LOOK = f"""
SELECT t.since, t.ends_from, {_LOOK}
FROM (SELECT ?1 AS tenant) AS x LEFT JOIN tenant_deletions AS t ON t.tenant = x.tenant
"""

# Of all that follow, ?1 tenant and ?2 how many.
_DELETING = "EXISTS (SELECT 1 FROM tenant_deletions WHERE tenant = ?1)"

# ?3 now. As ENDPOINT_REMOVE; subscriptions go beside.
TENANT_ENDPOINTS_REMOVE = f"""
UPDATE endpoints
SET status = 'removed', headers = '{{}}', secrets = '[]', key_id = NULL, updated_at = ?3,
  revision = revision + 1
WHERE {_DELETING} AND lane IN (
  SELECT lane FROM endpoints WHERE tenant = ?1 AND status <> 'removed' LIMIT ?2
)
RETURNING 1
"""

TENANT_SUBSCRIPTIONS = f"""
DELETE FROM subscriptions WHERE {_DELETING} AND (tenant, pattern, lane) IN (
  SELECT tenant, pattern, lane FROM subscriptions WHERE tenant = ?1 LIMIT ?2
)
RETURNING 1
"""

TENANT_RECOVERIES = f"""
DELETE FROM recoveries WHERE {_DELETING} AND id IN (
  SELECT id FROM recoveries INDEXED BY recoveries_list WHERE tenant = ?1 LIMIT ?2
)
RETURNING 1
"""

# ?2 now. Before the tokens themselves.
TENANT_ENDS_FROM = f"""
UPDATE tenant_deletions SET ends_from = ?2 + {KNOWN_FOR_MS}
WHERE tenant = ?1 AND EXISTS (SELECT 1 FROM api_tokens WHERE id > '' AND tenant = ?1)
"""

TENANT_TOKENS = f"""
DELETE FROM api_tokens WHERE {_DELETING} AND id IN (
  SELECT id FROM api_tokens WHERE id > '' AND tenant = ?1 LIMIT ?2
)
RETURNING 1
"""

# The first lanes only, whose endpoints go as soon as they are empty.
_GONE = "SELECT lane FROM endpoints WHERE tenant = ?1 AND status = 'removed' ORDER BY lane LIMIT ?2"
TENANT_DELIVERIES = f"""
DELETE FROM deliveries WHERE {_DELETING} AND (lane, key) IN (
  SELECT d.lane, d.key
  FROM ({_GONE}) AS p CROSS JOIN deliveries AS d ON d.lane = p.lane
  LIMIT ?2
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
  SELECT id FROM notices WHERE id > '' AND tenant = ?1 LIMIT ?2
)
RETURNING 1
"""

TENANT_NAMES = f"""
DELETE FROM names WHERE {_DELETING} AND (tenant, name) IN (
  SELECT tenant, name FROM names WHERE tenant = ?1 LIMIT ?2
)
RETURNING 1
"""

# When there are no endpoints any more, and therefore no deliveries.
TENANT_EVENTS = f"""
DELETE FROM events WHERE {_DELETING} AND NOT EXISTS (
  SELECT 1 FROM endpoints WHERE tenant = ?1 AND status <> 'removed'
) AND NOT EXISTS (
  SELECT 1 FROM endpoints WHERE tenant = ?1 AND status = 'removed'
) AND (tenant, key) IN (SELECT tenant, key FROM events WHERE tenant = ?1 LIMIT ?2)
RETURNING 1
"""

# At most one row.
TENANT_HORIZONS = f"""
DELETE FROM payload_horizons WHERE {_DELETING} AND tenant = ?1 RETURNING 1
"""

TENANT_AUDIT = f"""
DELETE FROM audit_log WHERE {_DELETING} AND id IN (
  SELECT id FROM audit_log INDEXED BY audit_log_list WHERE tenant = ?1 LIMIT ?2
)
RETURNING 1
"""

# ?2 now. The trigger tenant_deletions_proof fails it while anything is left.
TENANT_END = "DELETE FROM tenant_deletions WHERE tenant = ?1 AND ends_from <= ?2 RETURNING 1"
