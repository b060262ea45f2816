"""The statements of recoveries, of canceling by hand and of what waited too long.

A piece of a recovery is looked for by a statement that only reads, and done by a batch of which
each statement stands behind the same fence: the recovery runs, and its cursor is where the reader
saw it. The cursor moves in the last statement of the batch.
"""

from __future__ import annotations

from webhook.adapters.sql.ordering_statements import last_in_line
from webhook.adapters.sql.payload_statements import is_erased
from webhook.adapters.sql.statements import NOW, WALK

# --- the recoveries themselves --------------------------------------------------------------------

_COLUMNS = """r.id, r.tenant, r.kind, r.range, r.fingerprint, r.status, r.cursor, r.scanned,
  r.replayed, r.made, r.reason, r.created_at, r.updated_at"""

# ?1 id, ?2 tenant, ?3 kind, ?4 range, ?5 fingerprint, ?6 now, ?7 the least id that a wish for the
# same has if it was made just now. The unique index lets nothing in beside one that runs.
RECOVERY_START = """
INSERT INTO recoveries (
  id, tenant, kind, range, fingerprint, status, cursor, scanned, replayed, made, created_at,
  updated_at
)
SELECT ?1, ?2, ?3, ?4, ?5, 'running', '', 0, 0, 0, ?6, ?6
WHERE NOT EXISTS (
  SELECT 1 FROM recoveries INDEXED BY recoveries_list
  WHERE tenant = ?2 AND id >= ?7 AND fingerprint = ?5 AND status = 'done'
)
ON CONFLICT DO NOTHING
"""

# As above: the one that was stored, the one that runs, or the one that was done just now.
RECOVERY_STARTED = f"""
SELECT {_COLUMNS} FROM recoveries AS r WHERE r.id = ?1 AND r.tenant = ?2
UNION ALL
SELECT {_COLUMNS} FROM recoveries AS r
WHERE r.tenant = ?2 AND r.fingerprint = ?3 AND r.status = 'running' AND r.id <> ?1
UNION ALL
SELECT {_COLUMNS} FROM recoveries AS r INDEXED BY recoveries_list
WHERE r.tenant = ?2 AND r.id >= ?4 AND r.fingerprint = ?3 AND r.status = 'done' AND r.id <> ?1
LIMIT 1
"""

# ?1 id, ?2 tenant or NULL
RECOVERY_GET = f"""
SELECT {_COLUMNS} FROM recoveries AS r WHERE r.id = ?1 AND (?2 IS NULL OR r.tenant = ?2)
"""

# ?1 tenant, ?2 ids below, ?3 limit
RECOVERIES_LIST = f"""
SELECT {_COLUMNS} FROM recoveries AS r
WHERE r.tenant = ?1 AND r.id < ?2 ORDER BY r.id DESC LIMIT ?3
"""

# ?1 limit. On recoveries_turn, which holds nothing else than what runs.
RECOVERIES_RUNNING = f"""
SELECT {_COLUMNS} FROM recoveries AS r
WHERE r.status = 'running' ORDER BY r.updated_at LIMIT ?1
"""

# ?1 id, ?2 tenant or NULL, ?3 now, ?4 reason
RECOVERY_CANCEL = """
UPDATE recoveries SET status = 'canceled', reason = ?4, updated_at = ?3
WHERE id = ?1 AND (?2 IS NULL OR tenant = ?2) AND status = 'running'
"""

# ?1 ids below, ?2 how many. Ids begin with the time; old ones that run are passed over.
RECOVERIES_REMOVE = """
DELETE FROM recoveries WHERE id IN (
  SELECT id FROM recoveries WHERE id < ?1 AND status <> 'running' ORDER BY id LIMIT ?2
)
RETURNING id
"""

# --- looking for a piece --------------------------------------------------------------------------

# Each row is one that is wanted, or else the last that was looked at; nth counts what was, and
# the reader sorts by it. What a filter finds comes from read_statements, beside the lists.

# ?1 lane, ?2 tenant, ?3 keys after, ?4 keys from, ?5 keys below, ?6 how many rows to look at
SCAN_FAILED = f"""
SELECT lane, key, key AS place, nth, wanted FROM (
  SELECT
    lane, key,
    state IN ('failed', 'exhausted') AND NOT {is_erased("?2", "s.key")} AS wanted,
    row_number() OVER w AS nth, lead(1) OVER w AS goes_on
  FROM (
    SELECT lane, key, state FROM deliveries
    WHERE lane = ?1 AND key > ?3 AND key >= ?4 AND key < ?5 AND tenant = ?2
    ORDER BY key LIMIT ?6
  ) AS s
  WINDOW w AS (ORDER BY key)
)
WHERE wanted OR goes_on IS NULL
"""

# As above. Events without a delivery to the lane, their state NULL, and those that have one.
SCAN_EVENTS = f"""
SELECT
  s.key AS key, s.type AS type, s.nth AS nth, d.state AS state,
  {is_erased("?2", "s.key")} AS payload_erased
FROM (
  SELECT key, type, row_number() OVER (ORDER BY key) AS nth FROM (
    SELECT key, type FROM events
    WHERE tenant = ?2 AND key > ?3 AND key >= ?4 AND key < ?5
    ORDER BY key LIMIT ?6
  )
) AS s
LEFT JOIN deliveries AS d ON d.lane = ?1 AND d.key = s.key
"""

# ?1 tenant, ?2 [key]: what a filter compares; not of what was erased since the scan.
EVENTS_METADATA = """
SELECT e.key AS key, e.payload -> '$.metadata' AS metadata
FROM json_each(?2) AS j CROSS JOIN events AS e ON e.tenant = ?1 AND e.key = j.value
WHERE e.payload <> ''
"""

# --- doing a piece --------------------------------------------------------------------------------

# In all of them ?1 is now, ?2 the recovery, ?3 its cursor.
_FENCE = "r.id = ?2 AND r.status = 'running' AND r.cursor = ?3"
_FENCED = f"EXISTS (SELECT 1 FROM recoveries AS r WHERE {_FENCE})"
# ?4: [[lane, key]], ?5: [state]
_MAY_BE_REPLAYED = f"""d.state IN (SELECT value FROM json_each(?5))
    AND NOT {is_erased("d.tenant", "d.key")}
    AND NOT EXISTS (SELECT 1 FROM endpoints AS p WHERE p.lane = d.lane AND p.status = 'removed')"""
# ?4: [key], ?5 lane, ?6 tenant
_MAY_BE_MADE = """e.payload <> ''
    AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.lane = ?5 AND d.key = e.key)
    AND NOT EXISTS (SELECT 1 FROM endpoints AS p WHERE p.lane = ?5 AND p.status = 'removed')"""

# Counts what PIECE_REPLAY, next, will change; nothing can come between.
PIECE_REPLAY_COUNT = f"""
UPDATE recoveries AS r SET replayed = r.replayed + (
  SELECT count(*) FROM json_each(?4) AS j
  CROSS JOIN deliveries AS d ON d.lane = j.value ->> 0 AND d.key = j.value ->> 1
  WHERE {_MAY_BE_REPLAYED}
)
WHERE {_FENCE}
"""

# As REPLAY, of many.
PIECE_REPLAY = f"""
UPDATE deliveries AS d SET
  state = 'ready', due_at = {NOW}, run_start = d.attempts_made, run_started_at = {NOW},
  interruptions = 0, reason = NULL, completed_at = NULL
FROM json_each(?4) AS j
WHERE d.lane = j.value ->> 0 AND d.key = j.value ->> 1 AND {_MAY_BE_REPLAYED} AND {_FENCED}
"""

# Counts what the two next will make; nothing can come between.
PIECE_MAKE_COUNT = f"""
UPDATE recoveries AS r SET made = r.made + (
  SELECT count(*) FROM json_each(?4) AS j
  CROSS JOIN events AS e ON e.tenant = ?6 AND e.key = j.value
  WHERE {_MAY_BE_MADE}
)
WHERE {_FENCE}
"""

# The event remembers where it went, so that lists show the delivery and retention removes it. At
# the end, since cursors of lists count positions.
PIECE_MAKE_TARGETS = f"""
UPDATE events AS e SET
  targets = json_insert(e.targets, '$[#]', ?5), late_targets = e.late_targets + 1
WHERE e.tenant = ?6 AND e.key IN (SELECT value FROM json_each(?4))
  AND {_MAY_BE_MADE} AND {_FENCED}
"""

# What has an ordering key goes to the end of its line, the oldest event first; see ACCEPT_ORDERED.
PIECE_MAKE_DELIVERIES = f"""
INSERT INTO deliveries (
  lane, key, tenant, state, due_at, run_started_at, size, ordering_key, ordering_number
)
SELECT
  ?5, key, tenant, iif(waits, 'scheduled', 'ready'), iif(waits, NULL, {NOW}), {NOW}, size,
  ordering_key, iif(ordering_key IS NULL, NULL, coalesce(last, 0) + nth)
FROM (
  SELECT *, ordering_key IS NOT NULL AND (last IS NOT NULL OR nth > 1) AS waits FROM (
    SELECT
      e.key AS key, e.tenant AS tenant, length(CAST(e.payload AS BLOB)) AS size,
      e.ordering_key AS ordering_key, {last_in_line("?5", "e.ordering_key")} AS last,
      row_number() OVER (PARTITION BY e.ordering_key ORDER BY e.key) AS nth
    FROM json_each(?4) AS j
    CROSS JOIN events AS e ON e.tenant = ?6 AND e.key = j.value
    WHERE {_MAY_BE_MADE} AND {_FENCED}
  )
)
"""

# ?4 the new cursor, ?5 whether it is done, ?6 rows looked at
PIECE_END = f"""
UPDATE recoveries AS r SET
  cursor = ?4, status = iif(?5, 'done', 'running'), scanned = r.scanned + ?6, updated_at = {NOW}
WHERE {_FENCE}
"""

# --- cancel ---------------------------------------------------------------------------------------

# ?1 lane, ?2 key, ?3 tenant or NULL, ?4 now, ?5 reason. What waits for a removed endpoint reads as
# canceled already. A settle that comes later finds no lease. A dead letter that stops its ordering
# key may be canceled too, and the key goes on.
CANCEL = """
UPDATE deliveries SET state = 'canceled', due_at = NULL, reason = ?5, completed_at = ?4
WHERE lane = ?1 AND key = ?2 AND (?3 IS NULL OR tenant = ?3)
  AND (
    state IN ('ready', 'scheduled', 'leased')
    OR (state IN ('failed', 'exhausted') AND ordering_number IS NOT NULL)
  )
  AND NOT EXISTS (SELECT 1 FROM endpoints AS p WHERE p.lane = ?1 AND p.status = 'removed')
"""

_OVERDUE_SCAN_MAX = 1000

# ?1 now, ?2 start, ?3 lanes, ?4 how many, ?5 keys below, ?6 pending since before, ?7 reason. Walks
# the lanes with work that is due, as a claim does, and sees the oldest of each; at most so many of
# a lane that replays of older events cannot make it read all of them.
SWEEP_OVERDUE_READY = f"""
WITH {WALK}
UPDATE deliveries SET state = 'canceled', due_at = NULL, reason = ?7, completed_at = ?1
FROM (
  SELECT l.lane AS lane, k.value AS key
  FROM lanes AS l
  CROSS JOIN json_each((
    SELECT json_group_array(o.key) FROM (
      SELECT key FROM deliveries INDEXED BY deliveries_ready
      WHERE state = 'ready' AND lane = l.lane AND key < ?5
      ORDER BY key LIMIT {_OVERDUE_SCAN_MAX}
    ) AS o
    CROSS JOIN deliveries AS d ON d.lane = l.lane AND d.key = o.key
    WHERE d.run_started_at IS NULL OR d.run_started_at < ?6
  )) AS k
  WHERE l.lane IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM endpoints AS p WHERE p.lane = l.lane AND p.status = 'removed')
  LIMIT ?4
) AS c
WHERE deliveries.lane = c.lane AND deliveries.key = c.key
RETURNING lane
"""

# ?1 now, ?2 due after, ?3 due until, ?4 how many rows to look at, ?5 to ?7 as above. On
# deliveries_waiting, whose entries tell the key: each waiting retry is seen once or twice before it
# falls due, none while it waits.
SWEEP_OVERDUE_SCHEDULED = """
UPDATE deliveries AS d SET state = 'canceled', due_at = NULL, reason = ?7, completed_at = ?1
FROM (
  SELECT lane, key FROM deliveries INDEXED BY deliveries_waiting
  WHERE state IN ('scheduled', 'leased') AND due_at > ?2 AND due_at <= ?3
  ORDER BY due_at LIMIT ?4
) AS w
WHERE w.key < ?5 AND d.lane = w.lane AND d.key = w.key AND d.state = 'scheduled'
  AND (d.run_started_at IS NULL OR d.run_started_at < ?6)
  AND NOT EXISTS (SELECT 1 FROM endpoints AS p WHERE p.lane = d.lane AND p.status = 'removed')
RETURNING lane
"""

# As above: where the look at waiting retries ended, NULL when it came to the end of them. It runs
# before, while nothing has been taken out.
SWEEP_OVERDUE_SEEN = """
SELECT max(due_at) AS last FROM (
  SELECT due_at FROM deliveries INDEXED BY deliveries_waiting
  WHERE state IN ('scheduled', 'leased') AND due_at > ?1 AND due_at <= ?2
  ORDER BY due_at LIMIT ?3
)
HAVING count(*) = ?3
"""
