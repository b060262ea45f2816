"""Every hot statement of the SQL stores, in SQLite's dialect. D1 runs the same text.

Sets of rows go in as one JSON parameter, so that a statement serves any number of them. "Now" is a
parameter that falls back to the database's own clock, in epoch ms, when it is NULL. ``CROSS JOIN``
fixes the order of a join: the planner knows nothing of the size of a JSON parameter.
"""

from __future__ import annotations

from webhook.domain.health import (
    CIRCUIT_MS_MAX,
    CLOCK_SLIP_MS,
    FAILURES_MAX,
    RATE_AHEAD_MS,
    RATE_REFILL_MS,
)
from webhook.domain.model import ATTEMPTS_FIRST_KEPT, ATTEMPTS_LAST_KEPT

# More than any claim takes.
GATE_OPEN = 1_000_000

NOW = "coalesce(?1, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER))"

# The log with one place free at its end: the first 5 entries stay, of the others the last.
LOG_WITH_ROOM = f"""CASE WHEN json_array_length(d.log) < {ATTEMPTS_FIRST_KEPT + ATTEMPTS_LAST_KEPT}
    THEN d.log ELSE json_remove(d.log, '$[{ATTEMPTS_FIRST_KEPT}]') END"""

_ENDPOINT = """json_object(
    'id', p.id, 'tenant', p.tenant, 'external_id', p.external_id, 'status', p.status,
    'timeout_ms', p.timeout_ms, 'settings', json(p.settings), 'headers', json(p.headers),
    'secrets', json(p.secrets), 'revision', p.revision, 'created_at', p.created_at,
    'updated_at', p.updated_at, 'concurrency_max', p.concurrency_max,
    'rate_limit_per_second', p.rate_limit_per_second, 'failures', p.failures,
    'failing_since', p.failing_since, 'open_until', p.open_until,
    'good_rate', p.good_rate, 'paced_since', p.paced_since)"""

# Whether endpoint p has a limit, is paced or keeps failing, so that what of it is under way must be
# known.
_GATED = f"""(
    p.concurrency_max IS NOT NULL OR p.rate IS NOT NULL OR p.failures >= {FAILURES_MAX}
  )"""
_SENDING = "NOT EXISTS (SELECT 1 FROM switches WHERE name = 'sending_paused')"

# Whether subscription s wants event e: a facet of each group is among the event's.
FILTERS_MATCH = """s.filters IS NULL OR NOT EXISTS (
        SELECT 1 FROM json_each(s.filters) AS g
        WHERE NOT EXISTS (
          SELECT 1 FROM json_each(e.value, '$.facets') AS f
          CROSS JOIN json_each(g.value) AS accepted ON accepted.value = f.value
        )
      )"""

# --- accept ---------------------------------------------------------------------------------------

# ?1: [{tenant, name, key, hash}]. A name that is there with other content fails the table's check
# and thereby the whole batch; the same content, or our own repeat, changes nothing.
ACCEPT_NAMES = """
INSERT INTO names (tenant, name, key, content_hash)
SELECT value ->> 'tenant', value ->> 'name', value ->> 'key', value ->> 'hash'
FROM json_each(?1)
WHERE true
ON CONFLICT (tenant, name) DO UPDATE SET content_hash = ''
  WHERE content_hash <> excluded.content_hash
"""

# ?1: [{tenant, name, hash}] as above. Which of them made ACCEPT_NAMES fail: positions in the list.
CONFLICTING_NAMES = """
SELECT j.key AS position
FROM json_each(?1) AS j
CROSS JOIN names AS n ON n.tenant = j.value ->> 'tenant' AND n.name = j.value ->> 'name'
WHERE n.content_hash <> j.value ->> 'hash'
ORDER BY j.key
"""

# ?1: [{tenant, key, id, name, type, ordering_key, patterns, facets, targets, payload}]. Matches
# each event on the subscriptions' primary key, a row per subscription of these patterns, and
# remembers the targets.
# A duplicate's name belongs to another key; our own repeat finds the event there.
ACCEPT_EVENTS = f"""
INSERT INTO events (tenant, key, id, name, type, ordering_key, targets, payload)
SELECT
  e.value ->> 'tenant', e.value ->> 'key', e.value ->> 'id', e.value ->> 'name', e.value ->> 'type',
  e.value ->> 'ordering_key',
  CASE WHEN json_type(e.value, '$.targets') = 'array' THEN e.value -> 'targets' ELSE (
    SELECT json_group_array(lane) FROM (
      SELECT DISTINCT s.lane
      FROM json_each(e.value, '$.patterns') AS p
      CROSS JOIN subscriptions AS s ON s.tenant = e.value ->> 'tenant' AND s.pattern = p.value
      WHERE {FILTERS_MATCH}
    )
  ) END,
  e.value ->> 'payload'
FROM json_each(?1) AS e
WHERE NOT EXISTS (
  SELECT 1 FROM names AS n
  WHERE n.tenant = e.value ->> 'tenant' AND n.name = e.value ->> 'name'
    AND n.key <> e.value ->> 'key'
)
ON CONFLICT (tenant, key) DO NOTHING
"""

# ?1 now, ?2: [{tenant, key, name, size}] without ordering keys, ?3 how many to lease, ?4 lease ms,
# ?5 longest timeout that may be leased, ?6 timeout of endpoints without one. A duplicate has no
# event of its key. An endpoint with a limit gets no first attempt at once: the claim keeps its
# limits.
ACCEPT_DELIVERIES = f"""
INSERT INTO deliveries (lane, key, tenant, state, due_at, size)
SELECT
  lane, key, tenant, iif(leased, 'leased', 'ready'), {NOW} + iif(leased, ?4, 0), size
FROM (
  SELECT
    lane, key, tenant, size,
    quick AND sum(quick) OVER (ORDER BY place, target ROWS UNBOUNDED PRECEDING) <= ?3 AS leased
  FROM (
    SELECT
      t.value AS lane, e.key AS key, e.tenant AS tenant, j.value ->> 'size' AS size,
      j.key AS place, t.key AS target,
      coalesce(p.timeout_ms, ?6) <= ?5 AND coalesce(p.status, 'active') = 'active'
        AND NOT coalesce({_GATED}, false) AND {_SENDING} AS quick
    FROM json_each(?2) AS j
    CROSS JOIN events AS e ON e.tenant = j.value ->> 'tenant' AND e.key = j.value ->> 'key'
    CROSS JOIN json_each(e.targets) AS t
    LEFT JOIN endpoints AS p ON p.lane = t.value
  )
)
WHERE true
ON CONFLICT (lane, key) DO NOTHING
"""

# ?1 as ?2 above, of all events. A row for each: the first key of its name, and its deliveries as
# they were accepted.
ACCEPT_RESULT = """
SELECT
  coalesce(n.key, j.value ->> 'key') AS key,
  e.id AS id,
  coalesce(json_array_length(e.targets) - e.late_targets, 0) AS delivery_count
FROM json_each(?1) AS j
LEFT JOIN names AS n ON n.tenant = j.value ->> 'tenant' AND n.name = j.value ->> 'name'
LEFT JOIN events AS e
  ON e.tenant = j.value ->> 'tenant' AND e.key = coalesce(n.key, j.value ->> 'key')
ORDER BY j.key
"""

# ?1 now, ?2 as above, ?3 how many were leased at most. They stand first, so the limit ends the
# scan. An earlier try of this call may have made them: claim 0 in a lease that runs is ours, since
# anybody's claim raises it.
ACCEPT_LEASED = f"""
SELECT
  d.lane AS lane, d.key AS key, d.due_at - {NOW} AS lease_left_ms,
  (
    SELECT {_ENDPOINT} FROM endpoints AS p WHERE p.lane = d.lane AND p.status <> 'removed'
  ) AS endpoint
FROM json_each(?2) AS j
CROSS JOIN events AS e ON e.tenant = j.value ->> 'tenant' AND e.key = j.value ->> 'key'
CROSS JOIN json_each(e.targets) AS t
CROSS JOIN deliveries AS d ON d.lane = t.value AND d.key = e.key
WHERE d.state = 'leased' AND d.claim = 0 AND d.due_at > {NOW}
LIMIT ?3
"""

# --- claim ----------------------------------------------------------------------------------------

# ?1 now, ?2 how many at most. On deliveries_waiting: retries that fell due and leases that ended,
# the longest overdue first. An ended lease leaves a note in the log.
CLAIM_DUE = f"""
UPDATE deliveries AS d SET
  state = 'ready',
  interruptions = d.interruptions + (d.state = 'leased'),
  log = CASE WHEN d.state = 'leased' THEN json_insert({LOG_WITH_ROOM}, '$[#]', json_object(
    'number', d.attempts_made + 1, 'started_at', d.due_at, 'error_kind', 'interrupted',
    'error', 'the sender stopped before it reported an outcome')) ELSE d.log END
FROM (
  SELECT lane, key FROM deliveries
  WHERE state IN ('scheduled', 'leased') AND due_at <= {NOW}
  ORDER BY due_at LIMIT ?2
) AS due
WHERE d.lane = due.lane AND d.key = due.key
"""

# ?1 now. Ends the leases of claimers that are known to be dead; on deliveries_waiting, no further
# than the longest lease reaches. Who was interrupted before waits a while, so that a process that
# dies again and again does not use up a delivery's interruptions in no time.
END_LEASES = f"""
UPDATE deliveries SET due_at = min(due_at, {NOW} + interruptions * 10000)
WHERE state IN ('scheduled', 'leased') AND state = 'leased'
  AND due_at BETWEEN {NOW} AND {NOW} + 900000
RETURNING lane
"""

# Walks from lane to lane on deliveries_ready, one seek each, from ?2 round to ?2 again, at most ?3
# lanes. Rows of (a, b) > (?, ?) would read the whole index: each seek moves one column only.
WALK = """
RECURSIVE lanes (lane, lap) AS (
  SELECT (SELECT min(lane) FROM deliveries WHERE state = 'ready' AND lane > ?2), 0
  UNION ALL
  SELECT
    CASE WHEN l.lane IS NULL
      THEN (SELECT min(r.lane) FROM deliveries AS r WHERE r.state = 'ready' AND r.lane <= ?2)
      ELSE (
        SELECT min(r.lane) FROM deliveries AS r
        WHERE r.state = 'ready' AND r.lane > l.lane AND (l.lap = 0 OR r.lane <= ?2)
      )
    END,
    l.lap + (l.lane IS NULL)
  FROM lanes AS l
  WHERE l.lane IS NOT NULL OR l.lap = 0
  LIMIT ?3
)"""

# How many more of lane l a claim may take: under its concurrency, one at a time once its circuit
# has opened, and as many starts as its rate (limit or pace) gives within RATE_AHEAD_MS. What is
# under way is counted from the leases that run, so a crash leaves no wrong count. Only gated
# endpoints read it. What lies too far ahead was written before the clock was set back, and bars
# nobody.
_UNDER_WAY = f"""(
      SELECT count(*) FROM deliveries INDEXED BY deliveries_gated
      WHERE state = 'leased' AND gated = 1 AND lane = l.lane AND due_at > {NOW}
    )"""
_OPEN = f"""(
      p.open_until > {NOW} AND p.open_until <= {NOW} + {CIRCUIT_MS_MAX + CLOCK_SLIP_MS}
    )"""
RATE_START = f"""iif(p.rate_last_at > {NOW} + {CLOCK_SLIP_MS}, {NOW}, max(
      {NOW}, CAST(p.rate_last_at + 1000.0 / p.rate + 0.999 AS INTEGER)
    ))"""
_GATE = f"""iif(NOT coalesce({_GATED}, false), {GATE_OPEN}, min(
    coalesce(p.concurrency_max - {_UNDER_WAY}, {GATE_OPEN}),
    iif(p.failures < {FAILURES_MAX}, {GATE_OPEN}, iif({_OPEN}, 0, 1 - {_UNDER_WAY})),
    iif(p.rate IS NULL, {GATE_OPEN}, iif(
      {RATE_START} > {NOW} + {RATE_AHEAD_MS}, 0, 1 + CAST(
        ({NOW} + {RATE_AHEAD_MS} - {RATE_START}) * p.rate / 1000.0 AS INTEGER
      )
    ))
  ))"""

# ?1 now, ?2 start, ?3 lanes, ?4 how many, ?5 per lane, ?6 {lane: held already}, ?7 lease ms,
# ?8 payload bytes. Takes up to ?5 of each active lane until ?4 are found, then reads no further. A
# lease runs from the start that the rate gave.
CLAIM_READY = f"""
WITH {WALK},
candidates (lane, key, size, gated, start_at) AS (
  SELECT
    o.lane, k.value ->> 0, k.value ->> 1, o.gated,
    CAST(o.start_at + k.key * 1000.0 / o.rate + 0.999 AS INTEGER)
  -- The limit keeps this a query of its own, which works out a lane's room once and not per row.
  FROM (
    SELECT
      l.lane AS lane, iif({_GATED}, 1, NULL) AS gated, {RATE_START} AS start_at, p.rate AS rate,
      min(
        ?5 - coalesce((SELECT h.value FROM json_each(?6) AS h WHERE h.key = l.lane), 0), {_GATE}
      ) AS room
    FROM lanes AS l
    LEFT JOIN endpoints AS p ON p.lane = l.lane
    WHERE l.lane IS NOT NULL AND coalesce(p.status, 'active') = 'active' AND {_SENDING}
    LIMIT -1
  ) AS o
  CROSS JOIN json_each((
    SELECT json_group_array(json_array(r.key, r.size)) FROM (
      SELECT key, size FROM deliveries INDEXED BY deliveries_ready
      WHERE state = 'ready' AND lane = o.lane AND o.room > 0 ORDER BY key LIMIT ?5
    ) AS r
  )) AS k
  WHERE k.key < o.room
  LIMIT ?4
),
picked (lane, key, gated, start_at, place, bytes) AS (
  SELECT lane, key, gated, start_at, row_number() OVER w, sum(size) OVER w FROM candidates
  WINDOW w AS (ROWS UNBOUNDED PRECEDING)
)
UPDATE deliveries SET
  state = 'leased', claim = deliveries.claim + 1, due_at = coalesce(c.start_at, {NOW}) + ?7,
  gated = c.gated, start_at = c.start_at
FROM picked AS c
WHERE deliveries.lane = c.lane AND deliveries.key = c.key AND (c.bytes <= ?8 OR c.place = 1)
RETURNING
  lane, key, tenant, claim, attempts_made, run_start, interruptions, ordering_key,
  coalesce(start_at - {NOW}, 0) AS start_in_ms,
  (
    SELECT json_array(coalesce(e.id, 'evt_' || e.key), e.type) FROM events AS e
    WHERE e.tenant = deliveries.tenant AND e.key = deliveries.key
  ) AS event,
  (
    SELECT e.payload FROM events AS e
    WHERE e.tenant = deliveries.tenant AND e.key = deliveries.key
  ) AS payload,
  (SELECT {_ENDPOINT} FROM endpoints AS p WHERE p.lane = deliveries.lane) AS endpoint
"""

# ?1 now, ?2 start, ?3 lanes. What remains: ready in active lanes whose gate is open, or due and not
# made ready yet. If neither is known of, where the walk ended when ?3 lanes were not all (behind so
# many paused ones there may be others), how many gates are shut, and when the first opens that time
# has shut. That walk is one of its own, so that EXISTS can end the first one early. A gate that is
# full opens when something of it is settled, and has no time.
CLAIM_REST = f"""
WITH {WALK}, {WALK.replace("RECURSIVE ", "").replace("lanes", "walked")}
SELECT
  {NOW} AS now, more, next_due_at,
  CASE WHEN more THEN NULL ELSE (SELECT lane FROM walked LIMIT 1 OFFSET ?3 - 1) END AS ended_at,
  CASE WHEN more THEN NULL ELSE (
    SELECT json_array(count(*), min(nullif(max(
      iif({_OPEN}, p.open_until, 0),
      iif({RATE_START} > {NOW} + {RATE_AHEAD_MS}, {RATE_START} - {RATE_REFILL_MS}, 0)
    ), 0)))
    FROM walked AS w CROSS JOIN endpoints AS p ON p.lane = w.lane
    WHERE p.status = 'active' AND {_GATED} AND {_SENDING}
  ) END AS gates
FROM (
  SELECT
    {_SENDING} AND (EXISTS (
      SELECT 1 FROM lanes AS l
      LEFT JOIN endpoints AS p ON p.lane = l.lane
      WHERE l.lane IS NOT NULL AND coalesce(p.status, 'active') = 'active' AND {_GATE} > 0
    ) OR EXISTS (
      SELECT 1 FROM deliveries WHERE state IN ('scheduled', 'leased') AND due_at <= {NOW}
    )) AS more,
    (SELECT min(due_at) FROM deliveries WHERE state IN ('scheduled', 'leased')) AS next_due_at
)
"""

# ?1 now, ?2 lane, ?3 ms. Takes the rate's next start if it comes within ?3; says when it comes,
# beside that, for whoever did not get it.
TAKE_START = f"""
UPDATE endpoints AS p SET rate_last_at = {RATE_START}
WHERE p.lane = ?2 AND p.rate IS NOT NULL AND {RATE_START} <= {NOW} + ?3
RETURNING rate_last_at - {NOW} AS start_in_ms
"""
NEXT_START = f"""
SELECT {RATE_START} - {NOW} AS start_in_ms FROM endpoints AS p
WHERE p.lane = ?2 AND p.rate IS NOT NULL
"""
