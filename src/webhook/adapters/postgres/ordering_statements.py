"""Ordered delivery; see ``adapters/sql/ordering_statements.py`` for what each does."""

from __future__ import annotations

from webhook.adapters.postgres.fragments import (
    LOCK_RETENTION,
    NOW,
    at,
    last_in_line,
    lock_lines,
    rows_of,
    stops,
    texts_of,
    walk,
)
from webhook.ports import ENDPOINT_REMOVED

_BLOCKED = "r.state = 'scheduled' AND r.due_at IS NULL"
_STOPPING = "r.ordering_number IS NOT NULL AND r.state IN ('failed', 'exhausted')"
_BLOCKED_SCAN_MAX = 1000

IN_LINE = """
  CASE WHEN d.state = 'scheduled' AND d.due_at IS NULL AND p.status IS DISTINCT FROM 'removed'
    THEN (
      SELECT o.key FROM deliveries AS o
      WHERE o.lane = d.lane AND o.ordering_key = d.ordering_key AND o.ordering_number IS NOT NULL
      ORDER BY o.ordering_number LIMIT 1
    ) END AS waits_for,
  d.ordering_number IS NOT NULL AND d.state IN ('failed', 'exhausted')
    AND p.status IS DISTINCT FROM 'removed' AS stops"""

_MADE = f"""
    FROM {rows_of("$2", "j", "tenant text, key text, name text, size bigint")}
    JOIN events AS e ON e.tenant = j.tenant AND e.key = j.key
    CROSS JOIN LATERAL {texts_of("e.targets", "t")}"""
ACCEPT_ORDERED = (
    lock_lines(f"SELECT t.value AS lane, e.ordering_key {_MADE}"),
    f"""
INSERT INTO deliveries AS d
  (lane, key, tenant, state, due_at, size, ordering_key, ordering_number)
SELECT
  lane, key, tenant, CASE WHEN waits THEN 'scheduled' ELSE 'ready' END,
  CASE WHEN NOT waits THEN {NOW} END, size, ordering_key, coalesce(last, 0) + nth
FROM (
  SELECT *, last IS NOT NULL OR nth > 1 AS waits FROM (
    SELECT
      t.value AS lane, e.key, e.tenant, j.size, e.ordering_key,
      {last_in_line("t.value", "e.ordering_key")} AS last,
      row_number() OVER (PARTITION BY t.value, e.ordering_key ORDER BY j.place) AS nth
    {_MADE}
  ) AS made
) AS lined_up
ON CONFLICT (lane, key) DO NOTHING
RETURNING d.state
""",
)

RELEASE_STOPPING = f"""
UPDATE deliveries AS d SET ordering_number = NULL
WHERE d.lane = $1::text AND d.key IN (
  SELECT r.key FROM deliveries AS r
  WHERE {_STOPPING} AND r.lane = $1::text AND NOT {stops("$1::text")}
  ORDER BY r.key LIMIT $2::bigint
)
"""

SWEEP_STOPPING = f"""
WITH RECURSIVE {walk(_STOPPING)}
UPDATE deliveries AS d SET ordering_number = NULL
FROM (
  SELECT l.lane, k.key
  FROM (SELECT lane FROM lanes LIMIT $3::bigint) AS l
  CROSS JOIN LATERAL (
    SELECT r.key FROM deliveries AS r
    WHERE {_STOPPING} AND r.lane = l.lane
    ORDER BY r.key LIMIT $4::bigint FOR UPDATE SKIP LOCKED
  ) AS k
  WHERE l.lane IS NOT NULL AND NOT {stops("l.lane")}
  LIMIT $4::bigint
) AS c
WHERE {at("c.lane")}
RETURNING d.lane
"""

SWEEP_BLOCKED = (
    LOCK_RETENTION,
    f"""
WITH RECURSIVE {walk(_BLOCKED)}
UPDATE deliveries AS d SET
  state = 'canceled', reason = c.reason, completed_at = c.completed_at, ordering_number = NULL
FROM (
  SELECT
    l.lane, k.key,
    CASE WHEN l.removed_at IS NULL THEN $7::text ELSE '{ENDPOINT_REMOVED}' END AS reason,
    coalesce(l.removed_at, $1::bigint) AS completed_at
  FROM (
    SELECT w.lane, (
      SELECT p.updated_at FROM endpoints AS p WHERE p.lane = w.lane AND p.status = 'removed'
    ) AS removed_at
    FROM (SELECT lane FROM lanes LIMIT $3::bigint) AS w WHERE w.lane IS NOT NULL
    OFFSET 0
  ) AS l
  CROSS JOIN LATERAL (
    SELECT o.key FROM (
      SELECT r.key, r.run_started_at FROM deliveries AS r
      WHERE {_BLOCKED} AND r.lane = l.lane
        AND r.key < CASE WHEN l.removed_at IS NULL THEN $5::text ELSE '~' END
      ORDER BY r.key LIMIT {_BLOCKED_SCAN_MAX} FOR UPDATE SKIP LOCKED
    ) AS o
    WHERE l.removed_at IS NOT NULL OR o.run_started_at IS NULL OR o.run_started_at < $6::bigint
  ) AS k
  LIMIT $4::bigint
) AS c
WHERE {at("c.lane")}
RETURNING d.lane
""",
)
