"""The pieces of a sweep. Same dialect and habits as statements.py."""

from __future__ import annotations

from webhook.adapters.sql.payload_statements import WITHOUT_RESPONSES
from webhook.adapters.sql.statements import WALK

# ?2 start, ?3 lanes, ?4 how many. Walks the lanes with work that is due, as a claim does, and
# cancels what waits for a removed endpoint; what is scheduled there falls due first.
SWEEP_REMOVED = f"""
WITH {WALK}
UPDATE deliveries SET
  state = 'canceled', due_at = NULL, reason = 'the endpoint was removed',
  completed_at = c.removed_at
FROM (
  SELECT l.lane AS lane, k.value AS key, p.updated_at AS removed_at
  FROM lanes AS l
  CROSS JOIN endpoints AS p ON p.lane = l.lane AND p.status = 'removed'
  CROSS JOIN json_each((
    SELECT json_group_array(key) FROM (
      SELECT key FROM deliveries INDEXED BY deliveries_ready
      WHERE state = 'ready' AND lane = l.lane ORDER BY key LIMIT ?4
    )
  )) AS k
  LIMIT ?4
) AS c
WHERE deliveries.lane = c.lane AND deliveries.key = c.key
RETURNING lane
"""

# ?1 tenants after, ?2 how many tenants, ?3 keys below, ?4 how many events, ?5 a key of tenant ?1
# behind which the walk goes on, or ''. Those events of which nothing is pending any more nor stops
# an ordering key, among the oldest of each tenant: so many are looked at.
SWEEP_SCAN_MAX = 1000
_TENANTS = """
RECURSIVE tenants (tenant) AS (
  SELECT iif(?5 <> '', ?1, (SELECT min(tenant) FROM events WHERE tenant > ?1))
  UNION ALL
  SELECT (SELECT min(e.tenant) FROM events AS e WHERE e.tenant > t.tenant)
  FROM tenants AS t WHERE t.tenant IS NOT NULL
  LIMIT ?2
)"""


def _waits(targets: str, key: str) -> str:
    """Return the condition that something of an event is pending, or stops an ordering key."""
    return f"""EXISTS (
        SELECT 1 FROM json_each({targets}) AS x
        CROSS JOIN deliveries AS d ON d.lane = x.value AND d.key = {key}
        WHERE d.state IN ('ready', 'scheduled', 'leased') OR d.ordering_number IS NOT NULL
      )"""


_OLD = f"""{_TENANTS},
old (tenant, key) AS (
  SELECT t.tenant, k.value
  FROM tenants AS t
  CROSS JOIN json_each((
    SELECT json_group_array(key) FROM (
      SELECT e.key FROM (
        SELECT key, targets FROM events
        WHERE tenant = t.tenant AND key > iif(t.tenant = ?1, ?5, '') AND key < ?3
        ORDER BY key LIMIT {SWEEP_SCAN_MAX}
      ) AS e
      WHERE NOT {_waits("e.targets", "e.key")}
      LIMIT ?4
    )
  )) AS k
  WHERE t.tenant IS NOT NULL
  LIMIT ?4
)"""

SWEEP_OLD_DELIVERIES = f"""
WITH {_OLD}
DELETE FROM deliveries
WHERE (lane, key) IN (
  SELECT t.value, o.key
  FROM old AS o
  CROSS JOIN events AS e ON e.tenant = o.tenant AND e.key = o.key
  CROSS JOIN json_each(e.targets) AS t
)
RETURNING lane
"""

# Names go with their events.
SWEEP_OLD_NAMES = f"""
WITH {_OLD}
DELETE FROM names WHERE (tenant, name) IN (
  SELECT e.tenant, e.name
  FROM old AS o
  CROSS JOIN events AS e ON e.tenant = o.tenant AND e.key = o.key
  WHERE e.name IS NOT NULL
)
"""

SWEEP_OLD_EVENTS = f"""
WITH {_OLD}
DELETE FROM events WHERE (tenant, key) IN (SELECT tenant, key FROM old)
RETURNING key
"""

# As above: the first tenant of which more than was looked at is old, and where to go on there. It
# runs before anything is removed.
SWEEP_REST = f"""
WITH {_TENANTS}
SELECT tenant, key FROM (
  SELECT t.tenant AS tenant, (
    SELECT key FROM events
    WHERE tenant = t.tenant AND key > iif(t.tenant = ?1, ?5, '') AND key < ?3
    ORDER BY key LIMIT 1 OFFSET {SWEEP_SCAN_MAX} - 1
  ) AS key
  FROM tenants AS t WHERE t.tenant IS NOT NULL
)
WHERE key IS NOT NULL LIMIT 1
"""

# As above: where the walk over the tenants ended, NULL when it came to the end of them.
SWEEP_TENANTS = f"""
WITH {_TENANTS}
SELECT max(tenant) AS last FROM tenants HAVING count(tenant) = ?2
"""

# ?1 removed before, ?2 how many. An endpoint's row goes when its last delivery has gone.
SWEEP_OLD_ENDPOINTS = """
DELETE FROM endpoints WHERE lane IN (
  SELECT p.lane FROM endpoints AS p
  WHERE p.status = 'removed' AND p.updated_at < ?1
    AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.lane = p.lane)
  LIMIT ?2
)
"""

# --- payloads -------------------------------------------------------------------------------------

# As above, ?3 being the first key whose payload stays: the oldest events of each tenant behind its
# horizon. All of them lose their payload but those that wait, which are held; then the horizon lies
# behind them, so that nobody comes by there again.
_DUE = f"""{_TENANTS},
due (tenant, key) AS (
  SELECT t.tenant, k.value
  FROM tenants AS t
  CROSS JOIN json_each((
    SELECT json_group_array(key) FROM (
      SELECT key FROM events
      WHERE tenant = t.tenant AND key < ?3
        AND key > coalesce((SELECT h.key FROM payload_horizons AS h WHERE h.tenant = t.tenant), '')
      ORDER BY key LIMIT ?4
    )
  )) AS k
  WHERE t.tenant IS NOT NULL
  LIMIT ?4
)"""

# ?1 a key behind which the look at held events goes on, ?2 how many, ?3 as above. Those held that
# wait no more.
_FREE = f"""free (tenant, key) AS (
  SELECT e.tenant, e.key FROM (
    SELECT tenant, key, targets FROM events INDEXED BY events_held
    WHERE held = 1 AND key > ?1 AND key < ?3 ORDER BY key LIMIT {SWEEP_SCAN_MAX}
  ) AS e
  WHERE NOT {_waits("e.targets", "e.key")}
  LIMIT ?2
)"""


def _responses(of: str) -> str:
    return f"""
UPDATE deliveries SET log = {WITHOUT_RESPONSES}
WHERE instr(log, '"response":') AND (lane, key) IN (
  SELECT t.value, o.key
  FROM {of} AS o
  CROSS JOIN events AS e ON e.tenant = o.tenant AND e.key = o.key
  CROSS JOIN json_each(e.targets) AS t
  WHERE NOT {_waits("e.targets", "e.key")}
)
"""


SWEEP_DUE_RESPONSES = f"WITH {_DUE} {_responses('due')}"

SWEEP_DUE_PAYLOADS = f"""
WITH {_DUE}
UPDATE events AS e SET (payload, held) = (
  SELECT iif(waits, e.payload, ''), iif(waits, 1, NULL)
  FROM (SELECT {_waits("e.targets", "e.key")} AS waits)
)
WHERE (e.tenant, e.key) IN (SELECT tenant, key FROM due)
RETURNING held
"""

SWEEP_HORIZONS = f"""
WITH {_DUE}
INSERT INTO payload_horizons (tenant, key)
SELECT tenant, max(key) FROM due WHERE true GROUP BY tenant
ON CONFLICT (tenant) DO UPDATE SET key = excluded.key
"""

# Where the look at held events ends, NULL when it comes to the end of them. Runs before the two
# below.
SWEEP_HELD_REST = f"""
SELECT key FROM events INDEXED BY events_held
WHERE held = 1 AND key > ?1 AND key < ?3 ORDER BY key LIMIT 1 OFFSET {SWEEP_SCAN_MAX} - 1
"""

SWEEP_HELD_RESPONSES = f"WITH {_FREE} {_responses('free')}"

SWEEP_HELD_PAYLOADS = f"""
WITH {_FREE}
UPDATE events SET payload = '', held = NULL
WHERE (tenant, key) IN (SELECT tenant, key FROM free)
RETURNING key
"""
