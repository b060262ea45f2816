"""Settle; see ``adapters/sql/settle_statements.py`` for what each does."""

from __future__ import annotations

from webhook.adapters.postgres.fragments import (
    at,
    lock_lines,
    rows_of,
    stops,
    texts_of,
    with_entry,
)
from webhook.domain.event_types import OperationalEventType
from webhook.domain.health import (
    CIRCUIT_DOUBLINGS_MAX,
    CIRCUIT_MS,
    CIRCUIT_MS_MAX,
    CLOCK_SLIP_MS,
    FAILURES_MAX,
    GOOD_RATE_MAX,
    GOOD_RATE_MIN,
    GOOD_RATE_MS,
    GOOD_RATE_MS_MIN,
    GOOD_RATE_ROWS_MAX,
    PACE_DOUBLING_MS,
)
from webhook.domain.lifecycle import GONE_REASON
from webhook.domain.notice import FAILING_REASON, SUCCESS_REASON

_SETTLEMENTS = rows_of(
    "$1",
    "s",
    "lane text, key text, claim bigint, attempts_before bigint, state text, due_at bigint, "
    "attempt json, reason text, completed_at bigint, failed_at bigint, disable_endpoint boolean, "
    "quiet boolean",
)
_FENCE = f"""{at("s.lane")}
    AND d.claim = s.claim AND d.attempts_made = s.attempts_before
    AND (d.state = 'leased' OR (
      d.state = 'ready' AND d.interruptions > 0
      AND (s.attempt IS NOT NULL OR s.completed_at IS NOT NULL)
    ))"""

# In one order, so that of two that settle neither waits for the other; and before anything is
# counted, so that a repeat beside the first sees what the first has done.
_LOCK_DELIVERIES = f"""
SELECT 1 FROM {_SETTLEMENTS} JOIN deliveries AS d ON {at("s.lane")}
ORDER BY d.lane, d.key FOR UPDATE OF d
"""
_LOCK_LINES = lock_lines(f"""
  SELECT d.lane, d.ordering_key
  FROM {_SETTLEMENTS} JOIN deliveries AS d ON {at("s.lane")}
  WHERE d.ordering_number IS NOT NULL AND s.completed_at IS NOT NULL
""")
_LOCK_ENDPOINTS = f"""
SELECT 1 FROM endpoints AS p
WHERE p.lane IN (SELECT s.lane FROM {_SETTLEMENTS} WHERE s.failed_at IS NOT NULL)
ORDER BY p.lane FOR NO KEY UPDATE
"""

_SETTLE = f"""
UPDATE deliveries AS d SET
  state = s.state,
  due_at = s.due_at,
  reason = s.reason,
  completed_at = s.completed_at,
  ordering_number = CASE
    WHEN d.ordering_number IS NULL OR s.completed_at IS NULL THEN d.ordering_number
    WHEN s.state IN ('failed', 'exhausted') AND {stops("d.lane")} THEN d.ordering_number
  END,
  attempts_made = d.attempts_made + (s.attempt IS NOT NULL)::int,
  interruptions = CASE
    WHEN s.attempt IS NULL AND s.completed_at IS NULL THEN d.interruptions
    ELSE 0 END,
  log = CASE WHEN s.attempt IS NULL THEN d.log ELSE {with_entry("s.attempt::text")} END
FROM {_SETTLEMENTS}
WHERE {_FENCE}
RETURNING d.lane, d.key
"""
SETTLE = (_LOCK_DELIVERIES, _LOCK_LINES, _SETTLE)

_APPLIED = f"""
  FROM {_SETTLEMENTS}
  JOIN deliveries AS d ON {_FENCE}"""
_WILL_APPLY = f"""{_APPLIED}
  JOIN endpoints AS p ON p.lane = d.lane AND p.status = 'active'"""
_OTHERS = rows_of("$1", "o", "lane text, state text")
_NEVER_AGAIN = f"""
  WHERE s.disable_endpoint OR (
    s.failed_at IS NOT NULL AND p.open_until IS NOT NULL AND p.failing_since <= $3::bigint
    AND NOT EXISTS (SELECT 1 FROM {_OTHERS} WHERE o.lane = d.lane AND o.state = 'success')
  )"""

_DISABLE_UNSUBSCRIBE = f"""
DELETE FROM subscriptions AS x USING (
  SELECT t.tenant, t.pattern, t.lane
  FROM (
    SELECT DISTINCT p.tenant, p.lane, p.settings
    {_WILL_APPLY} {_NEVER_AGAIN}
  ) AS g
  CROSS JOIN LATERAL json_array_elements_text(g.settings::json -> 'event_types') AS w (value)
  JOIN subscriptions AS t ON t.tenant = g.tenant AND t.pattern = w.value AND t.lane = g.lane
) AS gone
WHERE $2::bigint IS NOT NULL
  AND x.tenant = gone.tenant AND x.pattern = gone.pattern AND x.lane = gone.lane
"""
DISABLE_UNSUBSCRIBE = (_LOCK_DELIVERIES, _LOCK_ENDPOINTS, _DISABLE_UNSUBSCRIBE)

_EVENT = "LEFT JOIN events AS e ON e.tenant = d.tenant AND e.key = d.key"


def _cause(reason: str) -> str:
    return f"""CASE WHEN s.quiet THEN NULL ELSE json_build_object(
      'reason', {reason}, 'key', d.key, 'event_id', coalesce(e.id, 'evt_' || d.key),
      'event_type', e.type, 'error_kind', s.attempt ->> 'error_kind',
      'attempts', d.attempts_made + (s.attempt IS NOT NULL)::int
    )::text END"""


DISABLE = f"""
UPDATE endpoints AS x SET
  status = 'error', revision = x.revision + 1, updated_at = $2::bigint,
  transitions = x.transitions + 1,
  transition = CASE WHEN g.cause IS NOT NULL THEN json_build_object(
    'type', '{OperationalEventType.ENDPOINT_DISABLED.value}', 'at', $2::bigint,
    'cause', g.cause::json
  )::text END
FROM (
  SELECT p.lane, max({
    _cause(f"CASE WHEN s.disable_endpoint THEN '{GONE_REASON}' ELSE '{FAILING_REASON}' END")
} COLLATE "C") AS cause
  {_WILL_APPLY} {_EVENT} {_NEVER_AGAIN}
  GROUP BY p.lane
) AS g
WHERE x.lane = g.lane
RETURNING x.lane || ':' || x.transitions AS id, x.lane, x.tenant, x.transition AS body,
  x.settings::json ->> 'url' AS url
"""

_FAILURES = f"""(CASE WHEN x.failures < {FAILURES_MAX}
    THEN least(x.failures + f.count, {FAILURES_MAX}) ELSE x.failures + 1 END)"""
_GOOD_RATE = f"""greatest(
    {GOOD_RATE_MIN}, CASE WHEN x.paced_since IS NULL THEN 0 ELSE x.good_rate END, (
      SELECT (count(*) - 1) * 1000.0 / greatest({GOOD_RATE_MS_MIN}, max(at) - min(at))
      FROM (
        SELECT completed_at AS at, max(completed_at) OVER () AS last_at
        FROM (
          SELECT state, completed_at FROM deliveries
          WHERE lane = f.lane AND key < f.key ORDER BY key DESC LIMIT {GOOD_RATE_ROWS_MAX}
        ) AS before
        WHERE state = 'success'
      ) AS succeeded
      WHERE at >= last_at - {GOOD_RATE_MS}
    ))"""
_OPENS = f"x.failures < {FAILURES_MAX} AND {_FAILURES} >= {FAILURES_MAX}"
COUNT_FAILURES = f"""
UPDATE endpoints AS x SET
  failures = {_FAILURES},
  failing_since = coalesce(x.failing_since, $2::bigint),
  open_until = CASE WHEN {_FAILURES} >= {FAILURES_MAX} THEN
    $2::bigint + least({CIRCUIT_MS_MAX}, {CIRCUIT_MS}::bigint << least(
      {_FAILURES} - {FAILURES_MAX}, {CIRCUIT_DOUBLINGS_MAX}
    )::int)
  END,
  good_rate = CASE WHEN {_OPENS} THEN {_GOOD_RATE} ELSE x.good_rate END,
  paced_since = CASE WHEN {_OPENS} THEN coalesce(x.paced_since, $2::bigint) ELSE x.paced_since END
FROM (
  SELECT d.lane, count(*) AS count, max(d.key) AS key
  {_WILL_APPLY}
  WHERE s.failed_at IS NOT NULL
  GROUP BY d.lane
) AS f
WHERE x.lane = f.lane AND NOT (
  coalesce(x.open_until, 0) > $2::bigint
  AND x.open_until <= $2::bigint + {CIRCUIT_MS_MAX + CLOCK_SLIP_MS}
)
"""

_SUCCESS_OF = "WHERE d.lane = p.lane AND s.state = 'success'"
_LANES = texts_of("$2", "succeeded")
_SUCCEEDED_AT = f"(SELECT max(s.completed_at) {_APPLIED} {_SUCCESS_OF})"
_DRAINED = """NOT EXISTS (
    SELECT 1 FROM deliveries AS r WHERE r.state = 'ready' AND r.lane = p.lane
  )"""
_DOUBLES = f"(abs({_SUCCEEDED_AT} - p.paced_since) >= {PACE_DOUBLING_MS})"
_FORGET_FAILURES = f"""
UPDATE endpoints AS p SET
  failures = 0, failing_since = NULL, open_until = NULL,
  paced_since = CASE
    WHEN {_DRAINED} THEN NULL
    WHEN p.failures >= {FAILURES_MAX} THEN {_SUCCEEDED_AT}
    WHEN {_DOUBLES} THEN CASE WHEN p.good_rate < {GOOD_RATE_MAX} THEN {_SUCCEEDED_AT} END
    ELSE p.paced_since
  END,
  good_rate = p.good_rate * CASE WHEN p.failures < {FAILURES_MAX} AND {_DOUBLES} THEN 2 ELSE 1 END,
  transitions = p.transitions + (p.failures >= {FAILURES_MAX})::int,
  transition = CASE WHEN p.failures >= {FAILURES_MAX} THEN (
    SELECT json_build_object(
      'type', '{OperationalEventType.ENDPOINT_RECOVERED.value}', 'at', at, 'cause', cause::json
    )::text
    FROM (
      SELECT max(s.completed_at) AS at, max({_cause(f"'{SUCCESS_REASON}'")} COLLATE "C") AS cause
      {_APPLIED} {_EVENT} {_SUCCESS_OF}
    ) AS succeeded
    WHERE cause IS NOT NULL
  ) END
WHERE p.lane IN (SELECT value FROM {_LANES})
  AND p.status = 'active'
  AND (p.failures > 0 OR (p.paced_since IS NOT NULL AND ({_DRAINED} OR {_DOUBLES})))
  AND EXISTS (SELECT 1 {_APPLIED} {_SUCCESS_OF})
RETURNING p.lane || ':' || p.transitions AS id, p.lane, p.tenant, p.transition AS body,
  p.settings::json ->> 'url' AS url
"""
_LOCK_FAILING = f"""
SELECT 1 FROM endpoints AS p
WHERE p.lane IN (SELECT value FROM {_LANES}) AND (p.failures > 0 OR p.paced_since IS NOT NULL)
ORDER BY p.lane FOR NO KEY UPDATE
"""
FORGET_FAILURES = (_LOCK_DELIVERIES, _LOCK_FAILING, _FORGET_FAILURES)

_NOTE_EXHAUSTED = f"""
INSERT INTO notices AS n (id, lane, tenant, body)
SELECT
  lane || ':' || key || ':' || claim, lane, tenant, json_build_object(
    'type', '{OperationalEventType.DELIVERY_EXHAUSTED.value}', 'at', at, 'cause', cause::json
  )::text
FROM (
  SELECT
    d.lane, d.key, d.claim, d.tenant, s.completed_at AS at, {_cause("s.reason")} AS cause
  {_APPLIED} {_EVENT}
  WHERE s.state = 'exhausted'
) AS dead
WHERE cause IS NOT NULL
ON CONFLICT (id) DO NOTHING
RETURNING n.id, n.lane, n.tenant, n.body,
  (SELECT p.settings::json ->> 'url' FROM endpoints AS p WHERE p.lane = n.lane) AS url
"""
NOTE_EXHAUSTED = (_LOCK_DELIVERIES, _NOTE_EXHAUSTED)

NOTICES = """
SELECT n.id, n.lane, n.tenant, n.body, p.settings::json ->> 'url' AS url
FROM (SELECT id, lane, tenant, body FROM notices ORDER BY id LIMIT $1::bigint) AS n
LEFT JOIN endpoints AS p ON p.lane = n.lane
"""

NOTICES_FORGET = f"DELETE FROM notices WHERE id IN (SELECT value FROM {texts_of('$1', 'told')})"
