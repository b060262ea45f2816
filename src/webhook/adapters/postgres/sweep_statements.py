"""The pieces of a sweep; see ``adapters/sql/sweep_statements.py`` for what each does."""

from __future__ import annotations

from webhook.adapters.postgres.fragments import at, texts_of, walk
from webhook.adapters.postgres.payload_statements import HAS_RESPONSES, WITHOUT_RESPONSES
from webhook.ports import ENDPOINT_REMOVED

SWEEP_SCAN_MAX = 1000

SWEEP_REMOVED = f"""
WITH RECURSIVE {walk()}
UPDATE deliveries AS d SET
  state = 'canceled', due_at = NULL, reason = '{ENDPOINT_REMOVED}', completed_at = c.removed_at
FROM (
  SELECT l.lane, k.key, p.updated_at AS removed_at
  FROM (SELECT lane FROM lanes LIMIT $3::bigint) AS l
  JOIN endpoints AS p ON p.lane = l.lane AND p.status = 'removed'
  CROSS JOIN LATERAL (
    SELECT r.key FROM deliveries AS r
    WHERE r.state = 'ready' AND r.lane = l.lane
    ORDER BY r.key LIMIT $4::bigint FOR UPDATE SKIP LOCKED
  ) AS k
  LIMIT $4::bigint
) AS c
WHERE {at("c.lane")}
RETURNING d.lane
"""

_TENANTS = """tenants (tenant) AS (
  SELECT CASE WHEN $5::text <> '' THEN $1::text ELSE (
    SELECT min(tenant) FROM events WHERE tenant > $1::text
  ) END COLLATE "C"
  UNION ALL
  SELECT (SELECT min(e.tenant) FROM events AS e WHERE e.tenant > t.tenant)
  FROM tenants AS t WHERE t.tenant IS NOT NULL
)"""
_FEW_TENANTS = "(SELECT tenant FROM tenants LIMIT $2::bigint)"
# From where a tenant's events are looked at.
_BEHIND = "CASE WHEN t.tenant = $1::text THEN $5::text ELSE '' END"


_PENDING = "d.state IN ('ready', 'scheduled', 'leased') OR d.ordering_number IS NOT NULL"


def _has(condition: str) -> str:
    """Return whether event e has a delivery d like that."""
    return f"""EXISTS (
      SELECT 1 FROM {texts_of("e.targets", "made_to")}
      JOIN deliveries AS d ON d.lane = made_to.value AND d.key = e.key
      WHERE {condition}
    )"""


def _old(unless: str) -> str:
    """Return the events that go: among the oldest of each tenant those without such a delivery."""
    return f"""{_TENANTS},
old (tenant, key) AS (
  SELECT t.tenant, k.key
  FROM {_FEW_TENANTS} AS t
  CROSS JOIN LATERAL (
    SELECT e.key FROM (
      SELECT key, targets FROM events
      WHERE tenant = t.tenant AND key > {_BEHIND} AND key < $3::text
      ORDER BY key LIMIT {SWEEP_SCAN_MAX}
    ) AS e
    WHERE NOT {_has(unless)}
    LIMIT $4::bigint
  ) AS k
  WHERE t.tenant IS NOT NULL
  LIMIT $4::bigint
)"""


SWEEP_OLD_DELIVERIES = f"""
WITH RECURSIVE {_old(_PENDING)}
DELETE FROM deliveries AS d
USING (
  SELECT x.value AS lane, o.key
  FROM old AS o
  JOIN events AS e ON e.tenant = o.tenant AND e.key = o.key
  CROSS JOIN LATERAL {texts_of("e.targets", "x")}
) AS gone
WHERE {at("gone.lane")}
RETURNING d.lane
"""

# What was settled since the deliveries were looked at, just before, has some left.
_OLD_AND_BARE = _old("true")

SWEEP_OLD_NAMES = f"""
WITH RECURSIVE {_OLD_AND_BARE}
DELETE FROM names AS n
USING old AS o JOIN events AS e ON e.tenant = o.tenant AND e.key = o.key
WHERE n.tenant = e.tenant AND n.name = e.name AND e.name IS NOT NULL
"""

SWEEP_OLD_EVENTS = f"""
WITH RECURSIVE {_OLD_AND_BARE}
DELETE FROM events AS e USING old AS o WHERE e.tenant = o.tenant AND e.key = o.key
RETURNING e.key
"""

SWEEP_REST = f"""
WITH RECURSIVE {_TENANTS}
SELECT tenant, key FROM (
  SELECT t.tenant, (
    SELECT key FROM events
    WHERE tenant = t.tenant AND key > {_BEHIND} AND key < $3::text
    ORDER BY key LIMIT 1 OFFSET {SWEEP_SCAN_MAX} - 1
  ) AS key
  FROM {_FEW_TENANTS} AS t WHERE t.tenant IS NOT NULL
) AS ends
WHERE key IS NOT NULL LIMIT 1
"""

SWEEP_TENANTS = f"""
WITH RECURSIVE {_TENANTS}
SELECT max(tenant) AS last FROM {_FEW_TENANTS} AS t HAVING count(tenant) = $2::bigint
"""

SWEEP_OLD_ENDPOINTS = """
DELETE FROM endpoints WHERE lane IN (
  SELECT p.lane FROM endpoints AS p
  WHERE p.status = 'removed' AND p.updated_at < $1::bigint
    AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.lane = p.lane)
  LIMIT $2::bigint
)
"""

# --- payloads -------------------------------------------------------------------------------------

_DUE = f"""{_TENANTS},
due (tenant, key) AS (
  SELECT t.tenant, k.key
  FROM {_FEW_TENANTS} AS t
  CROSS JOIN LATERAL (
    SELECT key FROM events
    WHERE tenant = t.tenant AND key < $3::text
      AND key > coalesce((SELECT h.key FROM payload_horizons AS h WHERE h.tenant = t.tenant), '')
    ORDER BY key LIMIT $4::bigint
  ) AS k
  WHERE t.tenant IS NOT NULL
  LIMIT $4::bigint
)"""
# What was settled since the responses were erased, just before, still has some: it is held, too.
_WAITS = _has(f"{_PENDING} OR {HAS_RESPONSES}")


def _free(unless: str) -> str:
    """Return the held events of which nothing is such."""
    return f"""free (tenant, key) AS (
  SELECT e.tenant, e.key FROM (
    SELECT tenant, key, targets FROM events
    WHERE held AND key > $1::text AND key < $3::text ORDER BY key LIMIT {SWEEP_SCAN_MAX}
  ) AS e
  WHERE NOT {unless}
  LIMIT $2::bigint
)"""


def _responses(of: str) -> str:
    return f"""
UPDATE deliveries AS d SET log = {WITHOUT_RESPONSES}
FROM (
  SELECT x.value AS lane, o.key
  FROM {of} AS o
  JOIN events AS e ON e.tenant = o.tenant AND e.key = o.key
  CROSS JOIN LATERAL {texts_of("e.targets", "x")}
  WHERE NOT {_has(_PENDING)}
) AS c
WHERE {at("c.lane")} AND {HAS_RESPONSES}
"""


SWEEP_DUE_RESPONSES = f"WITH RECURSIVE {_DUE} {_responses('due')}"

SWEEP_DUE_PAYLOADS = f"""
WITH RECURSIVE {_DUE}
UPDATE events AS e SET
  payload = CASE WHEN {_WAITS} THEN e.payload ELSE '' END, held = CASE WHEN {_WAITS} THEN true END
FROM due
WHERE e.tenant = due.tenant AND e.key = due.key
RETURNING e.held
"""

SWEEP_HORIZONS = f"""
WITH RECURSIVE {_DUE}
INSERT INTO payload_horizons (tenant, key)
SELECT tenant, max(key) FROM due GROUP BY tenant
ON CONFLICT (tenant) DO UPDATE SET key = excluded.key
"""

SWEEP_HELD_REST = f"""
SELECT key FROM events
WHERE held AND key > $1::text AND key < $3::text ORDER BY key LIMIT 1 OFFSET {SWEEP_SCAN_MAX} - 1
"""

SWEEP_HELD_RESPONSES = f"WITH {_free(_has(_PENDING))} {_responses('free')}"

SWEEP_HELD_PAYLOADS = f"""
WITH {_free(_WAITS)}
UPDATE events AS e SET payload = '', held = NULL
FROM free
WHERE e.tenant = free.tenant AND e.key = free.key
RETURNING e.key
"""
