"""What a settle does: the outcome of each claim, and what outcomes say of an endpoint's health.

Same dialect and habits as statements.py.
"""

from __future__ import annotations

from webhook.adapters.sql.ordering_statements import stops
from webhook.adapters.sql.statements import LOG_WITH_ROOM
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

# ?1: [{lane, key, claim, attempts_before, state, due_at, attempt, reason, completed_at}]. Fenced by
# the claim number; the count of attempts makes a repeat of the same settlement change nothing. A
# ready one may be settled when its lease has ended and nobody has claimed it since, but not given
# back: that needs a lease. What ends leaves its line, unless it is to stop it; then a trigger lets
# the next one become due.
SETTLE = f"""
UPDATE deliveries AS d SET
  state = s.value ->> 'state',
  due_at = s.value ->> 'due_at',
  reason = s.value ->> 'reason',
  completed_at = s.value ->> 'completed_at',
  ordering_number = CASE
    WHEN d.ordering_number IS NULL OR s.value ->> 'completed_at' IS NULL THEN d.ordering_number
    WHEN s.value ->> 'state' IN ('failed', 'exhausted') AND {stops("d.lane")}
      THEN d.ordering_number
  END,
  attempts_made = d.attempts_made + (s.value ->> 'attempt' IS NOT NULL),
  interruptions = iif(
    coalesce(s.value ->> 'attempt', s.value ->> 'completed_at') IS NULL, d.interruptions, 0
  ),
  log = CASE WHEN s.value ->> 'attempt' IS NULL THEN d.log
    ELSE json_insert({LOG_WITH_ROOM}, '$[#]', json(s.value -> 'attempt')) END
FROM json_each(?1) AS s
WHERE d.lane = s.value ->> 'lane' AND d.key = s.value ->> 'key'
  AND d.claim = s.value ->> 'claim' AND d.attempts_made = s.value ->> 'attempts_before'
  AND (d.state = 'leased' OR (
    d.state = 'ready' AND d.interruptions > 0
    AND coalesce(s.value ->> 'attempt', s.value ->> 'completed_at') IS NOT NULL
  ))
RETURNING lane, key
"""

# ?1 as above. Settlements that SETTLE, just after, will apply, of those that give nothing back, and
# their active endpoints besides. Looked at before it, so that a repeat finds nothing to count.
_APPLIED = """
  FROM json_each(?1) AS s
  CROSS JOIN deliveries AS d ON d.lane = s.value ->> 'lane' AND d.key = s.value ->> 'key'
    AND d.claim = s.value ->> 'claim' AND d.attempts_made = s.value ->> 'attempts_before'
    AND (d.state = 'leased' OR (d.state = 'ready' AND d.interruptions > 0))"""
_WILL_APPLY = f"""{_APPLIED}
  CROSS JOIN endpoints AS p ON p.lane = d.lane AND p.status = 'active'"""

# The endpoints that never answer well again: 410, or nothing but failures since ?3, this settle's
# included, and the circuit open. ?2 now.
_NEVER_AGAIN = """
  WHERE s.value ->> 'disable_endpoint' OR (
    s.value ->> 'failed_at' IS NOT NULL AND p.open_until IS NOT NULL AND p.failing_since <= ?3
    AND NOT EXISTS (
      SELECT 1 FROM json_each(?1) AS o
      WHERE o.value ->> 'lane' = d.lane AND o.value ->> 'state' = 'success'
    )
  )"""

DISABLE_UNSUBSCRIBE = f"""
DELETE FROM subscriptions WHERE ?2 IS NOT NULL AND (tenant, pattern, lane) IN (
  SELECT t.tenant, t.pattern, t.lane
  FROM (
    SELECT DISTINCT p.tenant AS tenant, p.lane AS lane, p.settings AS settings
    {_WILL_APPLY} {_NEVER_AGAIN}
  ) AS g
  CROSS JOIN json_each(g.settings, '$.event_types') AS w
  CROSS JOIN subscriptions AS t ON t.tenant = g.tenant AND t.pattern = w.value AND t.lane = g.lane
)
"""

# What a notice says of the delivery that brought it about; NULL of one of which nothing is told. Of
# several in one settle the greatest text counts, so a 410 before failures.
_EVENT = "LEFT JOIN events AS e ON e.tenant = d.tenant AND e.key = d.key"


def _cause(reason: str) -> str:
    return f"""iif(s.value ->> 'quiet', NULL, json_object(
      'reason', {reason}, 'key', d.key, 'event_id', coalesce(e.id, 'evt_' || d.key),
      'event_type', e.type, 'error_kind', s.value -> 'attempt' ->> 'error_kind',
      'attempts', d.attempts_made + (s.value ->> 'attempt' IS NOT NULL)
    ))"""


# As the two above; D1 takes numbers as floats. The trigger endpoints_notice notes the transition.
DISABLE = f"""
UPDATE endpoints SET
  status = 'error', revision = revision + 1, updated_at = ?2,
  transitions = transitions + 1,
  transition = iif(g.cause IS NULL, NULL, json_object(
    'type', '{OperationalEventType.ENDPOINT_DISABLED.value}', 'at', CAST(?2 AS INTEGER),
    'cause', json(g.cause)
  ))
FROM (
  SELECT p.lane AS lane, max({
    _cause(f"iif(s.value ->> 'disable_endpoint', '{GONE_REASON}', '{FAILING_REASON}')")
}) AS cause
  {_WILL_APPLY} {_EVENT} {_NEVER_AGAIN}
  GROUP BY p.lane
) AS g
WHERE endpoints.lane = g.lane
RETURNING lane || ':' || transitions AS id, lane, tenant, transition AS body,
  settings ->> 'url' AS url
"""

# ?1 as above, ?2 now. Failures in a row, and the circuit: at FAILURES_MAX of them nothing is sent
# for a while, which doubles with each probe that fails. What fails while it is open began before
# and does not count, so that many attempts at once open it once. When it opens, the endpoint is
# paced by its last good rate, worked out of the deliveries before the one that failed; of one that
# was still paced, its pace may have made it less than it was.
_FAILURES = f"iif(failures < {FAILURES_MAX}, min(failures + f.count, {FAILURES_MAX}), failures + 1)"
_GOOD_RATE = f"""max({GOOD_RATE_MIN}, iif(paced_since IS NULL, 0, good_rate), coalesce((
      SELECT (count(*) - 1) * 1000.0 / max({GOOD_RATE_MS_MIN}, max(at) - min(at))
      FROM (
        SELECT completed_at AS at, max(completed_at) OVER () AS last_at
        FROM (
          SELECT state, completed_at FROM deliveries
          WHERE lane = f.lane AND key < f.key ORDER BY key DESC LIMIT {GOOD_RATE_ROWS_MAX}
        )
        WHERE state = 'success'
      )
      WHERE at >= last_at - {GOOD_RATE_MS}
    ), 0))"""
_OPENS = f"failures < {FAILURES_MAX} AND {_FAILURES} >= {FAILURES_MAX}"
COUNT_FAILURES = f"""
UPDATE endpoints SET
  failures = {_FAILURES},
  failing_since = coalesce(failing_since, ?2),
  open_until = iif(
    {_FAILURES} < {FAILURES_MAX}, NULL,
    ?2 + min({CIRCUIT_MS_MAX}, {CIRCUIT_MS} << min(
      {_FAILURES} - {FAILURES_MAX}, {CIRCUIT_DOUBLINGS_MAX}
    ))
  ),
  good_rate = iif({_OPENS}, {_GOOD_RATE}, good_rate),
  paced_since = iif({_OPENS}, coalesce(paced_since, ?2), paced_since)
FROM (
  SELECT d.lane AS lane, count(*) AS count, max(d.key) AS key
  {_WILL_APPLY}
  WHERE s.value ->> 'failed_at' IS NOT NULL
  GROUP BY d.lane
) AS f
WHERE endpoints.lane = f.lane AND NOT (
  coalesce(open_until, 0) > ?2 AND open_until <= ?2 + {CIRCUIT_MS_MAX + CLOCK_SLIP_MS}
)
"""

# ?1 as above, ?2: [lane] of those that succeeded. A success ends a row of failures; where there was
# none, nothing is written, and nothing read but the endpoint. endpoints_notice notes that a circuit
# closed. The endpoint stays paced until nothing of it is ready. Its rate doubles each so many ms,
# until it is as great as any that can be measured.
_SUCCESS_OF = "WHERE d.lane = p.lane AND s.value ->> 'state' = 'success'"
_SUCCEEDED_AT = f"(SELECT max(s.value ->> 'completed_at') {_APPLIED} {_SUCCESS_OF})"
_DRAINED = """NOT EXISTS (
    SELECT 1 FROM deliveries AS r INDEXED BY deliveries_ready
    WHERE r.state = 'ready' AND r.lane = p.lane
  )"""
_DOUBLES = f"(abs({_SUCCEEDED_AT} - p.paced_since) >= {PACE_DOUBLING_MS})"
FORGET_FAILURES = f"""
UPDATE endpoints AS p SET
  failures = 0, failing_since = NULL, open_until = NULL,
  paced_since = CASE
    WHEN {_DRAINED} THEN NULL
    WHEN p.failures >= {FAILURES_MAX} THEN {_SUCCEEDED_AT}
    WHEN {_DOUBLES} THEN iif(p.good_rate >= {GOOD_RATE_MAX}, NULL, {_SUCCEEDED_AT})
    ELSE p.paced_since
  END,
  good_rate = p.good_rate * iif(p.failures < {FAILURES_MAX} AND {_DOUBLES}, 2, 1),
  transitions = p.transitions + (p.failures >= {FAILURES_MAX}),
  transition = iif(p.failures < {FAILURES_MAX}, NULL, (
    SELECT json_object(
      'type', '{OperationalEventType.ENDPOINT_RECOVERED.value}', 'at', at, 'cause', json(cause)
    )
    FROM (
      SELECT max(s.value ->> 'completed_at') AS at, max({_cause(f"'{SUCCESS_REASON}'")}) AS cause
      {_APPLIED} {_EVENT} {_SUCCESS_OF}
    )
    WHERE cause IS NOT NULL
  ))
WHERE p.lane IN (SELECT value FROM json_each(?2)) AND p.status = 'active'
  AND (p.failures > 0 OR p.paced_since IS NOT NULL AND ({_DRAINED} OR {_DOUBLES}))
  AND EXISTS (SELECT 1 {_APPLIED} {_SUCCESS_OF})
RETURNING lane || ':' || transitions AS id, lane, tenant, transition AS body,
  settings ->> 'url' AS url
"""

# ?1 as above. Dead letters that SETTLE, just after, will make.
NOTE_EXHAUSTED = f"""
INSERT INTO notices (id, lane, tenant, body)
SELECT
  lane || ':' || key || ':' || claim, lane, tenant, json_object(
    'type', '{OperationalEventType.DELIVERY_EXHAUSTED.value}', 'at', at, 'cause', json(cause)
  )
FROM (
  SELECT
    d.lane AS lane, d.key AS key, d.claim AS claim, d.tenant AS tenant,
    s.value ->> 'completed_at' AS at, {_cause("s.value ->> 'reason'")} AS cause
  {_APPLIED} {_EVENT}
  WHERE s.value ->> 'state' = 'exhausted'
)
WHERE cause IS NOT NULL
ON CONFLICT (id) DO NOTHING
RETURNING id, lane, tenant, body,
  (SELECT p.settings ->> 'url' FROM endpoints AS p WHERE p.lane = notices.lane) AS url
"""

# ?1 how many: what is noted and not told yet.
NOTICES = """
SELECT n.id, n.lane, n.tenant, n.body, p.settings ->> 'url' AS url
FROM (SELECT id, lane, tenant, body FROM notices ORDER BY id LIMIT ?1) AS n
LEFT JOIN endpoints AS p ON p.lane = n.lane
"""

# ?1: [id]
NOTICES_FORGET = "DELETE FROM notices WHERE id IN (SELECT value FROM json_each(?1))"
