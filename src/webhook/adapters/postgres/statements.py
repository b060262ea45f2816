"""Accept and claim; see ``adapters/sql/statements.py`` for what each does."""

from __future__ import annotations

from webhook.adapters.postgres.fragments import NOW, at, rows_of, texts_of, walk, with_entry
from webhook.domain.health import (
    CIRCUIT_MS_MAX,
    CLOCK_SLIP_MS,
    FAILURES_MAX,
    RATE_AHEAD_MS,
    RATE_REFILL_MS,
)
from webhook.ports import INTERRUPTED

GATE_OPEN = 1_000_000

ENDPOINT = """json_build_object(
    'id', p.id, 'tenant', p.tenant, 'external_id', p.external_id, 'status', p.status,
    'timeout_ms', p.timeout_ms, 'settings', p.settings::json, 'headers', p.headers::json,
    'secrets', p.secrets::json, 'revision', p.revision, 'created_at', p.created_at,
    'updated_at', p.updated_at, 'concurrency_max', p.concurrency_max,
    'rate_limit_per_second', p.rate_limit_per_second, 'failures', p.failures,
    'failing_since', p.failing_since, 'open_until', p.open_until,
    'good_rate', p.good_rate, 'paced_since', p.paced_since)::text"""

_GATED = f"""coalesce(
    p.concurrency_max IS NOT NULL OR p.rate IS NOT NULL OR p.failures >= {FAILURES_MAX}, false)"""
_SENDING = "NOT EXISTS (SELECT 1 FROM switches WHERE name = 'sending_paused')"

FILTERS_MATCH = """(s.filters IS NULL OR NOT EXISTS (
        SELECT 1 FROM json_array_elements(s.filters::json) AS g (value)
        WHERE NOT EXISTS (
          SELECT 1 FROM json_array_elements_text(e.facets) AS f (value)
          JOIN json_array_elements_text(g.value) AS accepted (value) ON accepted.value = f.value
        )
      ))"""

# --- accept ---------------------------------------------------------------------------------------

_NAMES = rows_of("$1", "j", "tenant text, name text, key text, hash text")
_CALLS = "tenant text, key text, name text, size bigint"

# In one order, so that of two calls with the same names neither waits for the other.
ACCEPT_NAMES = f"""
INSERT INTO names (tenant, name, key, content_hash)
SELECT
  tenant, name, (array_agg(key ORDER BY place))[1],
  CASE WHEN min(hash) = max(hash) THEN min(hash) ELSE '' END
FROM {_NAMES}
GROUP BY tenant, name
ORDER BY tenant, name
ON CONFLICT (tenant, name) DO UPDATE SET content_hash = ''
  WHERE names.content_hash <> excluded.content_hash
"""

CONFLICTING_NAMES = f"""
SELECT j.place - 1 AS position
FROM {_NAMES}
JOIN names AS n ON n.tenant = j.tenant AND n.name = j.name
WHERE n.content_hash <> j.hash
ORDER BY j.place
"""

_EVENTS = rows_of(
    "$1",
    "e",
    "tenant text, key text, id text, name text, type text, ordering_key text, patterns json, "
    "facets json, targets json, payload text",
)
ACCEPT_EVENTS = f"""
INSERT INTO events (tenant, key, id, name, type, ordering_key, targets, payload)
SELECT
  e.tenant, e.key, e.id, e.name, e.type, e.ordering_key,
  CASE WHEN json_typeof(e.targets) = 'array' THEN e.targets::text ELSE (
    SELECT coalesce(json_agg(lane), '[]')::text FROM (
      SELECT DISTINCT s.lane
      FROM {texts_of("e.patterns", "p")}
      JOIN subscriptions AS s ON s.tenant = e.tenant AND s.pattern = p.value
      WHERE {FILTERS_MATCH}
    ) AS matched
  ) END,
  e.payload
FROM {_EVENTS}
WHERE NOT EXISTS (
  SELECT 1 FROM names AS n WHERE n.tenant = e.tenant AND n.name = e.name AND n.key <> e.key
)
ON CONFLICT (tenant, key) DO NOTHING
"""

ACCEPT_DELIVERIES = f"""
INSERT INTO deliveries (lane, key, tenant, state, due_at, size)
SELECT
  lane, key, tenant, CASE WHEN leased THEN 'leased' ELSE 'ready' END,
  {NOW} + CASE WHEN leased THEN $4::bigint ELSE 0 END, size
FROM (
  SELECT
    lane, key, tenant, size, quick AND count(*) FILTER (WHERE quick) OVER (
      ORDER BY place, target ROWS UNBOUNDED PRECEDING
    ) <= $3::bigint AS leased
  FROM (
    SELECT
      t.value AS lane, e.key, e.tenant, j.size, j.place, t.place AS target,
      coalesce(p.timeout_ms, $6::bigint) <= $5::bigint AND coalesce(p.status, 'active') = 'active'
        AND NOT {_GATED} AND {_SENDING} AS quick
    FROM {rows_of("$2", "j", _CALLS)}
    JOIN events AS e ON e.tenant = j.tenant AND e.key = j.key
    CROSS JOIN LATERAL {texts_of("e.targets", "t")}
    LEFT JOIN endpoints AS p ON p.lane = t.value
  ) AS made
) AS counted
ON CONFLICT (lane, key) DO NOTHING
"""

ACCEPT_RESULT = f"""
SELECT
  coalesce(n.key, j.key) AS key, e.id AS id,
  coalesce(json_array_length(e.targets::json) - e.late_targets, 0) AS delivery_count
FROM {rows_of("$1", "j", _CALLS)}
LEFT JOIN names AS n ON n.tenant = j.tenant AND n.name = j.name
LEFT JOIN events AS e ON e.tenant = j.tenant AND e.key = coalesce(n.key, j.key)
ORDER BY j.place
"""

ACCEPT_LEASED = f"""
SELECT
  d.lane AS lane, d.key AS key, d.due_at - {NOW} AS lease_left_ms,
  (
    SELECT {ENDPOINT} FROM endpoints AS p WHERE p.lane = d.lane AND p.status <> 'removed'
  ) AS endpoint
FROM {rows_of("$2", "j", _CALLS)}
JOIN events AS e ON e.tenant = j.tenant AND e.key = j.key
CROSS JOIN LATERAL {texts_of("e.targets", "t")}
JOIN deliveries AS d ON d.lane = t.value AND d.key = e.key
WHERE d.state = 'leased' AND d.claim = 0 AND d.due_at > {NOW}
LIMIT $3::bigint
"""

# --- claim ----------------------------------------------------------------------------------------

_INTERRUPTED = f"""json_build_object(
      'number', d.attempts_made + 1, 'started_at', d.due_at, 'error_kind', 'interrupted',
      'error', '{INTERRUPTED}')::text"""

CLAIM_DUE = f"""
UPDATE deliveries AS d SET
  state = 'ready',
  interruptions = d.interruptions + (d.state = 'leased')::int,
  log = CASE WHEN d.state = 'leased' THEN {with_entry(_INTERRUPTED)} ELSE d.log END
FROM (
  SELECT lane, key FROM deliveries
  WHERE state IN ('scheduled', 'leased') AND due_at <= {NOW}
  ORDER BY due_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED
) AS due
WHERE {at("due.lane")}
"""


def _open(p: str) -> str:
    """Return whether the circuit of an endpoint is open."""
    until = f"{p}.open_until"
    return f"""coalesce(
      {until} > {NOW} AND {until} <= {NOW} + {CIRCUIT_MS_MAX + CLOCK_SLIP_MS}, false)"""


def _rate_start(p: str) -> str:
    """Return the next start that an endpoint's rate gives, NULL without a rate."""
    return f"""(CASE
      WHEN {p}.rate IS NULL THEN NULL
      WHEN {p}.rate_last_at > {NOW} + {CLOCK_SLIP_MS} THEN {NOW}
      ELSE greatest(
        {NOW}, floor({p}.rate_last_at + 1000.0 / {p}.rate + 0.999)::bigint
      ) END)"""


def _gate(p: str, under_way: str) -> str:
    """Return how many more of a gated endpoint a claim may take."""
    return f"""least(
    coalesce({p}.concurrency_max - {under_way}, {GATE_OPEN}),
    CASE WHEN {p}.failures < {FAILURES_MAX} THEN {GATE_OPEN}
      WHEN {_open(p)} THEN 0 ELSE 1 - {under_way} END,
    CASE WHEN {p}.rate IS NULL THEN {GATE_OPEN}
      WHEN {_rate_start(p)} > {NOW} + {RATE_AHEAD_MS} THEN 0
      ELSE 1 + floor(
        ({NOW} + {RATE_AHEAD_MS} - {_rate_start(p)}) * {p}.rate / 1000.0
      )::bigint END
  )"""


_UNDER_WAY = f"""(
      SELECT count(*) FROM deliveries AS u
      WHERE u.state = 'leased' AND u.gated AND u.lane = p.lane AND u.due_at > {NOW}
    )"""

# The endpoint of a gate is read anew behind its lock; gate_of counts what is under way. What
# another claimer is just about to lease is passed by.
CLAIM_READY = f"""
WITH RECURSIVE {walk()},
candidates AS (
  SELECT
    o.lane, k.key, k.size, o.gated,
    floor(o.start_at + (k.nth - 1) * 1000.0 / o.rate + 0.999)::bigint AS start_at
  FROM (
    SELECT
      l.lane, q.gated, q.start_at, q.rate,
      least(
        $5::bigint - coalesce(($6::json ->> l.lane)::bigint, 0),
        CASE WHEN {_GATED} THEN coalesce(q.room, 0) ELSE {GATE_OPEN} END
      ) AS room
    FROM (SELECT lane FROM lanes LIMIT $3::bigint) AS l
    LEFT JOIN endpoints AS p ON p.lane = l.lane
    LEFT JOIN LATERAL (
      SELECT
        true AS gated, {_rate_start("(g.endpoint)")} AS start_at,
        (g.endpoint).rate,
        CASE WHEN (g.endpoint).status = 'active'
          THEN {_gate("(g.endpoint)", "g.under_way")} ELSE 0 END AS room
      FROM gate_of(p.lane, {NOW}) AS g
      WHERE {_GATED}
      OFFSET 0
    ) AS q ON true
    WHERE l.lane IS NOT NULL AND coalesce(p.status, 'active') = 'active' AND {_SENDING}
    OFFSET 0
  ) AS o
  CROSS JOIN LATERAL (
    SELECT r.key, r.size, row_number() OVER () AS nth FROM (
      SELECT key, size FROM deliveries
      WHERE state = 'ready' AND lane = o.lane
      ORDER BY key LIMIT greatest(o.room, 0) FOR UPDATE SKIP LOCKED
    ) AS r
  ) AS k
  LIMIT $4::bigint
),
picked AS (
  SELECT *, row_number() OVER w AS place, sum(size) OVER w AS bytes FROM candidates
  WINDOW w AS (ROWS UNBOUNDED PRECEDING)
)
UPDATE deliveries AS d SET
  state = 'leased', claim = d.claim + 1, due_at = coalesce(c.start_at, {NOW}) + $7::bigint,
  gated = c.gated, start_at = c.start_at
FROM picked AS c
WHERE {at("c.lane")} AND (c.bytes <= $8::bigint OR c.place = 1)
RETURNING
  d.lane, d.key, d.tenant, d.claim, d.attempts_made, d.run_start, d.interruptions, d.ordering_key,
  coalesce(d.start_at - {NOW}, 0) AS start_in_ms,
  (
    SELECT json_build_array(coalesce(e.id, 'evt_' || e.key), e.type)::text FROM events AS e
    WHERE e.tenant = d.tenant AND e.key = d.key
  ) AS event,
  (SELECT e.payload FROM events AS e WHERE e.tenant = d.tenant AND e.key = d.key) AS payload,
  (SELECT {ENDPOINT} FROM endpoints AS p WHERE p.lane = d.lane) AS endpoint
"""

CLAIM_REST = f"""
WITH RECURSIVE {walk()}, {walk(name="walked")}
SELECT
  {NOW} AS now, more, next_due_at,
  CASE WHEN NOT more THEN (SELECT lane FROM walked LIMIT 1 OFFSET $3::bigint - 1) END AS ended_at,
  CASE WHEN NOT more THEN (
    SELECT json_build_array(count(*), min(nullif(greatest(
      CASE WHEN {_open("p")} THEN p.open_until ELSE 0 END,
      CASE WHEN {_rate_start("p")} > {NOW} + {RATE_AHEAD_MS}
        THEN {_rate_start("p")} - {RATE_REFILL_MS} ELSE 0 END
    ), 0)))::text
    FROM (SELECT lane FROM walked LIMIT $3::bigint) AS w JOIN endpoints AS p ON p.lane = w.lane
    WHERE p.status = 'active' AND {_GATED} AND {_SENDING}
  ) END AS gates
FROM (
  SELECT
    {_SENDING} AND (EXISTS (
      SELECT 1 FROM (SELECT lane FROM lanes LIMIT $3::bigint) AS l
      LEFT JOIN endpoints AS p ON p.lane = l.lane
      WHERE l.lane IS NOT NULL AND coalesce(p.status, 'active') = 'active'
        AND (NOT {_GATED} OR {_gate("p", _UNDER_WAY)} > 0)
    ) OR EXISTS (
      SELECT 1 FROM deliveries WHERE state IN ('scheduled', 'leased') AND due_at <= {NOW}
    )) AS more,
    (
      SELECT min(due_at) FROM deliveries
      WHERE state IN ('scheduled', 'leased') AND due_at IS NOT NULL
    ) AS next_due_at
) AS found
"""

TAKE_START = f"""
UPDATE endpoints AS p SET rate_last_at = {_rate_start("p")}
WHERE p.lane = $2::text AND p.rate IS NOT NULL
  AND {_rate_start("p")} <= {NOW} + $3::bigint
RETURNING p.rate_last_at - {NOW} AS start_in_ms
"""
NEXT_START = f"""
SELECT {_rate_start("p")} - {NOW} AS start_in_ms FROM endpoints AS p
WHERE p.lane = $2::text AND p.rate IS NOT NULL
"""
