"""Recoveries, cancel, overdue; see ``adapters/sql/recovery_statements.py`` for what each does."""

from __future__ import annotations

from webhook.adapters.postgres.fragments import (
    LOCK_REVIVAL,
    NOW,
    at,
    elements_of,
    is_erased,
    last_in_line,
    lock_lines,
    texts_of,
    walk,
)

_COLUMNS = """r.id, r.tenant, r.kind, r.range, r.fingerprint, r.status, r.cursor, r.scanned,
  r.replayed, r.made, r.reason, r.created_at, r.updated_at"""
_IS_REMOVED = "EXISTS (SELECT 1 FROM endpoints AS p WHERE p.lane = {} AND p.status = 'removed')"

RECOVERY_START = """
INSERT INTO recoveries (
  id, tenant, kind, range, fingerprint, status, cursor, scanned, replayed, made, created_at,
  updated_at
)
SELECT
  $1::text, $2::text, $3::text, $4::text, $5::text, 'running', '', 0, 0, 0, $6::bigint, $6::bigint
WHERE NOT EXISTS (
  SELECT 1 FROM recoveries
  WHERE tenant = $2::text AND id >= $7::text AND fingerprint = $5::text AND status = 'done'
)
ON CONFLICT DO NOTHING
"""

RECOVERY_STARTED = f"""
SELECT {_COLUMNS} FROM recoveries AS r WHERE r.id = $1::text AND r.tenant = $2::text
UNION ALL
SELECT {_COLUMNS} FROM recoveries AS r
WHERE r.tenant = $2::text AND r.fingerprint = $3::text AND r.status = 'running'
  AND r.id <> $1::text
UNION ALL
SELECT {_COLUMNS} FROM recoveries AS r
WHERE r.tenant = $2::text AND r.id >= $4::text AND r.fingerprint = $3::text AND r.status = 'done'
  AND r.id <> $1::text
LIMIT 1
"""

RECOVERY_GET = f"""
SELECT {_COLUMNS} FROM recoveries AS r
WHERE r.id = $1::text AND ($2::text IS NULL OR r.tenant = $2::text)
"""

RECOVERIES_LIST = f"""
SELECT {_COLUMNS} FROM recoveries AS r
WHERE r.tenant = $1::text AND r.id < $2::text ORDER BY r.id DESC LIMIT $3::bigint
"""

RECOVERIES_RUNNING = f"""
SELECT {_COLUMNS} FROM recoveries AS r
WHERE r.status = 'running' ORDER BY r.updated_at LIMIT $1::bigint
"""

RECOVERY_CANCEL = """
UPDATE recoveries SET status = 'canceled', reason = $4::text, updated_at = $3::bigint
WHERE id = $1::text AND ($2::text IS NULL OR tenant = $2::text) AND status = 'running'
"""

RECOVERIES_REMOVE = """
DELETE FROM recoveries WHERE id IN (
  SELECT id FROM recoveries WHERE id < $1::text AND status <> 'running'
  ORDER BY id LIMIT $2::bigint
)
RETURNING id
"""

# --- looking for a piece --------------------------------------------------------------------------

SCAN_FAILED = f"""
SELECT lane, key, key AS place, nth, wanted FROM (
  SELECT
    lane, key,
    state IN ('failed', 'exhausted') AND NOT {is_erased("$2::text", "s.key")} AS wanted,
    row_number() OVER w AS nth, lead(1) OVER w AS goes_on
  FROM (
    SELECT lane, key, state FROM deliveries
    WHERE lane = $1::text AND key > $3::text AND key >= $4::text AND key < $5::text
      AND tenant = $2::text
    ORDER BY key LIMIT $6::bigint
  ) AS s
  WINDOW w AS (ORDER BY key)
) AS looked
WHERE wanted OR goes_on IS NULL
"""

SCAN_EVENTS = f"""
SELECT
  s.key, s.type, s.nth, d.state, {is_erased("$2::text", "s.key")} AS payload_erased
FROM (
  SELECT key, type, row_number() OVER (ORDER BY key) AS nth FROM (
    SELECT key, type FROM events
    WHERE tenant = $2::text AND key > $3::text AND key >= $4::text AND key < $5::text
    ORDER BY key LIMIT $6::bigint
  ) AS found
) AS s
LEFT JOIN deliveries AS d ON d.lane = $1::text AND d.key = s.key
"""

EVENTS_METADATA = f"""
SELECT e.key, (e.payload::json -> 'metadata')::text AS metadata
FROM {texts_of("$2", "j")}
JOIN events AS e ON e.tenant = $1::text AND e.key = j.value
WHERE e.payload <> ''
"""

# --- doing a piece --------------------------------------------------------------------------------

# The first statement of a piece writes to the recovery behind its fence: of two that do the same
# piece the second waits there, and then finds the cursor moved.
_FENCE = "r.id = $2::text AND r.status = 'running' AND r.cursor = $3::text"
_FENCED = f"EXISTS (SELECT 1 FROM recoveries AS r WHERE {_FENCE})"
_REFS = elements_of("$4", "j")
_OF_REF = "d.lane = j.value ->> 0 AND d.key = j.value ->> 1"
_MAY_BE_REPLAYED = f"""d.state IN (SELECT json_array_elements_text($5::json))
    AND NOT {is_erased("d.tenant", "d.key")} AND NOT {_IS_REMOVED.format("d.lane")}"""
_KEYS = texts_of("$4", "j")
_MAY_BE_MADE = f"""e.payload <> ''
    AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.lane = $5::text AND d.key = e.key)
    AND NOT {_IS_REMOVED.format("$5::text")}"""
_LOCK_REPLAYED = f"""
SELECT 1 FROM {_REFS} JOIN deliveries AS d ON {_OF_REF}
JOIN events AS e ON e.tenant = d.tenant AND e.key = d.key
ORDER BY e.tenant, e.key FOR SHARE OF e
"""
_LOCK_MADE = f"""
SELECT 1 FROM {_KEYS} JOIN events AS e ON e.tenant = $6::text AND e.key = j.value
ORDER BY e.key FOR UPDATE OF e
"""

PIECE_REPLAY_COUNT = (
    LOCK_REVIVAL,
    _LOCK_REPLAYED,
    f"""
UPDATE recoveries AS r SET replayed = r.replayed + (
  SELECT count(*) FROM {_REFS} JOIN deliveries AS d ON {_OF_REF} WHERE {_MAY_BE_REPLAYED}
)
WHERE {_FENCE}
""",
)

PIECE_REPLAY = f"""
UPDATE deliveries AS d SET
  state = 'ready', due_at = {NOW}, run_start = d.attempts_made, run_started_at = {NOW},
  interruptions = 0, reason = NULL, completed_at = NULL
FROM {_REFS}
WHERE {_OF_REF} AND {_MAY_BE_REPLAYED} AND {_FENCED}
"""

PIECE_MAKE_COUNT = (
    LOCK_REVIVAL,
    _LOCK_MADE,
    f"""
UPDATE recoveries AS r SET made = r.made + (
  SELECT count(*) FROM {_KEYS} JOIN events AS e ON e.tenant = $6::text AND e.key = j.value
  WHERE {_MAY_BE_MADE}
)
WHERE {_FENCE}
""",
)

PIECE_MAKE_TARGETS = f"""
UPDATE events AS e SET
  targets = CASE WHEN e.targets = '[]' THEN '[' ELSE left(e.targets, -1) || ',' END
    || to_json($5::text) || ']',
  late_targets = e.late_targets + 1
WHERE e.tenant = $6::text AND e.key IN (SELECT j.value FROM {_KEYS})
  AND {_MAY_BE_MADE} AND {_FENCED}
"""

PIECE_MAKE_DELIVERIES = (
    lock_lines(f"""
  SELECT $5::text AS lane, e.ordering_key
  FROM {_KEYS} JOIN events AS e ON e.tenant = $6::text AND e.key = j.value
  WHERE e.ordering_key IS NOT NULL"""),
    f"""
INSERT INTO deliveries (
  lane, key, tenant, state, due_at, run_started_at, size, ordering_key, ordering_number
)
SELECT
  $5::text, key, tenant, CASE WHEN waits THEN 'scheduled' ELSE 'ready' END,
  CASE WHEN NOT waits THEN {NOW} END, {NOW}, size, ordering_key,
  CASE WHEN ordering_key IS NOT NULL THEN coalesce(last, 0) + nth END
FROM (
  SELECT *, ordering_key IS NOT NULL AND (last IS NOT NULL OR nth > 1) AS waits FROM (
    SELECT
      e.key, e.tenant, octet_length(e.payload) AS size, e.ordering_key,
      {last_in_line("$5::text", "e.ordering_key")} AS last,
      row_number() OVER (PARTITION BY e.ordering_key ORDER BY e.key) AS nth
    FROM {_KEYS} JOIN events AS e ON e.tenant = $6::text AND e.key = j.value
    WHERE {_MAY_BE_MADE} AND {_FENCED}
  ) AS made
) AS lined_up
""",
)

PIECE_END = f"""
UPDATE recoveries AS r SET
  cursor = $4::text, status = CASE WHEN $5::bigint <> 0 THEN 'done' ELSE 'running' END,
  scanned = r.scanned + $6::bigint, updated_at = {NOW}
WHERE {_FENCE}
"""

# --- cancel ---------------------------------------------------------------------------------------

CANCEL = (
    lock_lines("""
  SELECT lane, ordering_key FROM deliveries
  WHERE lane = $1::text AND key = $2::text AND ordering_number IS NOT NULL"""),
    f"""
UPDATE deliveries SET
  state = 'canceled', due_at = NULL, reason = $5::text, completed_at = $4::bigint
WHERE lane = $1::text AND key = $2::text AND ($3::text IS NULL OR tenant = $3::text)
  AND (
    state IN ('ready', 'scheduled', 'leased')
    OR (state IN ('failed', 'exhausted') AND ordering_number IS NOT NULL)
  )
  AND NOT {_IS_REMOVED.format("$1::text")}
""",
)

_OVERDUE_SCAN_MAX = 1000

SWEEP_OVERDUE_READY = f"""
WITH RECURSIVE {walk()}
UPDATE deliveries AS d SET
  state = 'canceled', due_at = NULL, reason = $7::text, completed_at = $1::bigint
FROM (
  SELECT l.lane, k.key
  FROM (SELECT lane FROM lanes LIMIT $3::bigint) AS l
  CROSS JOIN LATERAL (
    SELECT o.key FROM (
      SELECT r.key, r.run_started_at FROM deliveries AS r
      WHERE r.state = 'ready' AND r.lane = l.lane AND r.key < $5::text
      ORDER BY r.key LIMIT {_OVERDUE_SCAN_MAX} FOR UPDATE SKIP LOCKED
    ) AS o
    WHERE o.run_started_at IS NULL OR o.run_started_at < $6::bigint
  ) AS k
  WHERE l.lane IS NOT NULL AND NOT {_IS_REMOVED.format("l.lane")}
  LIMIT $4::bigint
) AS c
WHERE {at("c.lane")}
RETURNING d.lane
"""

SWEEP_OVERDUE_SCHEDULED = f"""
UPDATE deliveries AS d SET
  state = 'canceled', due_at = NULL, reason = $7::text, completed_at = $1::bigint
FROM (
  SELECT lane, key FROM deliveries
  WHERE state IN ('scheduled', 'leased') AND due_at > $2::bigint AND due_at <= $3::bigint
  ORDER BY due_at LIMIT $4::bigint
) AS w
WHERE w.key < $5::text AND d.lane = w.lane AND d.key = w.key AND d.state = 'scheduled'
  AND (d.run_started_at IS NULL OR d.run_started_at < $6::bigint)
  AND NOT {_IS_REMOVED.format("d.lane")}
RETURNING d.lane
"""

SWEEP_OVERDUE_SEEN = """
SELECT max(due_at) AS last FROM (
  SELECT due_at FROM deliveries
  WHERE state IN ('scheduled', 'leased') AND due_at > $1::bigint AND due_at <= $2::bigint
  ORDER BY due_at LIMIT $3::bigint
) AS seen
HAVING count(*) = $3::bigint
"""
