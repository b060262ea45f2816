"""The statements of ordered delivery. Same dialect and habits as statements.py.

Deliveries of one ordering key at one endpoint stand in line by ``ordering_number``, on
deliveries_ordered; whoever is not the first is blocked. Triggers of the schema keep the line: what
ends loses its number, and that lets the next one become due. So a settle, a cancel and a sweep need
no statement more.
"""

from __future__ import annotations

from webhook.adapters.sql.statements import NOW, WALK

# Waiting without a time: on deliveries_waiting in front of all that has one, by lane and key.
_BLOCKED = "state IN ('scheduled', 'leased') AND due_at IS NULL"
_STOPPING = "ordering_number IS NOT NULL AND state IN ('failed', 'exhausted')"


def last_in_line(lane: str, ordering_key: str) -> str:
    """Return the highest number in a line as an expression, NULL where nobody stands in it."""
    return f"""(
      SELECT max(o.ordering_number) FROM deliveries AS o
      WHERE o.lane = {lane} AND o.ordering_key = {ordering_key} AND o.ordering_number IS NOT NULL
    )"""


def stops(lane: str) -> str:
    """Return whether the endpoint of a lane wants a dead letter to stop its key."""
    return f"""EXISTS (
      SELECT 1 FROM endpoints AS p
      WHERE p.lane = {lane} AND p.status <> 'removed'
        AND p.settings ->> 'ordering_on_failure' = 'stop'
    )"""


# Whom delivery d of endpoint p waits for, and whether it is a dead letter that stops its key.
IN_LINE = """
  CASE WHEN d.state = 'scheduled' AND d.due_at IS NULL AND p.status IS NOT 'removed' THEN (
    SELECT o.key FROM deliveries AS o
    WHERE o.lane = d.lane AND o.ordering_key = d.ordering_key AND o.ordering_number IS NOT NULL
    ORDER BY o.ordering_number LIMIT 1
  ) END AS waits_for,
  d.ordering_number IS NOT NULL AND d.state IN ('failed', 'exhausted')
    AND p.status IS NOT 'removed' AS stops"""

# ?1 now, ?2: [{tenant, key, name, size}] of events with an ordering key; see ACCEPT_DELIVERIES. The
# first of a line is ready, the others wait, and none is leased. A writer must be alone with the
# line from the look at its end to the commit, as it is here with the whole database.
ACCEPT_ORDERED = f"""
INSERT INTO deliveries (lane, key, tenant, state, due_at, size, ordering_key, ordering_number)
SELECT
  lane, key, tenant, iif(waits, 'scheduled', 'ready'), iif(waits, NULL, {NOW}), size, ordering_key,
  coalesce(last, 0) + nth
FROM (
  SELECT *, last IS NOT NULL OR nth > 1 AS waits FROM (
    SELECT
      t.value AS lane, e.key AS key, e.tenant AS tenant, j.value ->> 'size' AS size,
      e.ordering_key AS ordering_key, {last_in_line("t.value", "e.ordering_key")} AS last,
      row_number() OVER (PARTITION BY t.value, e.ordering_key ORDER BY j.key) AS nth
    FROM json_each(?2) AS j
    CROSS JOIN events AS e ON e.tenant = j.value ->> 'tenant' AND e.key = j.value ->> 'key'
    CROSS JOIN json_each(e.targets) AS t
  )
)
WHERE true
ON CONFLICT (lane, key) DO NOTHING
RETURNING state
"""

# ?1 lane, ?2 how many. Lets keys go on whose dead letters stop nothing any more.
RELEASE_STOPPING = f"""
UPDATE deliveries SET ordering_number = NULL
WHERE lane = ?1 AND key IN (
  SELECT key FROM deliveries INDEXED BY deliveries_stopping
  WHERE {_STOPPING} AND lane = ?1 AND NOT {stops("?1")}
  ORDER BY key LIMIT ?2
)
"""

# ?2 start, ?3 lanes, ?4 how many. The same for whatever endpoints, the removed ones among them.
SWEEP_STOPPING = f"""
WITH {WALK.replace("state = 'ready'", _STOPPING)}
UPDATE deliveries SET ordering_number = NULL
FROM (
  SELECT l.lane AS lane, k.value AS key
  FROM lanes AS l
  CROSS JOIN json_each((
    SELECT json_group_array(key) FROM (
      SELECT key FROM deliveries INDEXED BY deliveries_stopping
      WHERE {_STOPPING} AND lane = l.lane ORDER BY key LIMIT ?4
    )
  )) AS k
  WHERE l.lane IS NOT NULL AND NOT {stops("l.lane")}
  LIMIT ?4
) AS c
WHERE deliveries.lane = c.lane AND deliveries.key = c.key
RETURNING lane
"""

_BLOCKED_SCAN_MAX = 1000

# ?1 now, ?2 start, ?3 lanes, ?4 how many, ?5 keys below, ?6 pending since before, ?7 reason. Walks
# the lanes where something is blocked, and cancels what waits there for a removed endpoint or has
# been pending for too long. Before what they wait for, so that nobody's turn comes in between.
SWEEP_BLOCKED = f"""
WITH {WALK.replace("state = 'ready'", _BLOCKED)}
UPDATE deliveries SET
  state = 'canceled', reason = c.reason, completed_at = c.completed_at, ordering_number = NULL
FROM (
  SELECT
    l.lane AS lane, k.value AS key, iif(l.removed_at IS NULL, ?7, 'the endpoint was removed')
      AS reason, coalesce(l.removed_at, ?1) AS completed_at
  FROM (
    SELECT w.lane AS lane, (
      SELECT p.updated_at FROM endpoints AS p WHERE p.lane = w.lane AND p.status = 'removed'
    ) AS removed_at
    FROM lanes AS w WHERE w.lane IS NOT NULL
    LIMIT -1
  ) AS l
  CROSS JOIN json_each((
    SELECT json_group_array(o.key) FROM (
      SELECT key FROM deliveries INDEXED BY deliveries_waiting
      WHERE {_BLOCKED} AND lane = l.lane AND key < iif(l.removed_at IS NULL, ?5, '~')
      ORDER BY key LIMIT {_BLOCKED_SCAN_MAX}
    ) AS o
    CROSS JOIN deliveries AS d ON d.lane = l.lane AND d.key = o.key
    WHERE l.removed_at IS NOT NULL OR d.run_started_at IS NULL OR d.run_started_at < ?6
  )) AS k
  LIMIT ?4
) AS c
WHERE deliveries.lane = c.lane AND deliveries.key = c.key
RETURNING lane
"""
