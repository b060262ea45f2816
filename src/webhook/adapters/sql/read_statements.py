"""The statements of endpoints, lists and replay. Same dialect and habits as statements.py.

A list scans at most ``SCAN_ROWS_MAX`` rows in an index's order and filters what it scanned, so its
cost has a bound; the scan's order is the list's, so that the limit of the page ends it (an ORDER BY
outside would read and sort all that it may scan). A cursor is a key and, within it, a lane or a
position; it is compared column by column, since row values would read the whole index.
"""

from __future__ import annotations

from webhook.adapters.sql.ordering_statements import IN_LINE
from webhook.adapters.sql.payload_statements import is_erased
from webhook.adapters.sql.statements import FILTERS_MATCH, NOW
from webhook.domain.event_types import OperationalEventType
from webhook.domain.notice import ACTIVATED_REASON
from webhook.ports import SCAN_ROWS_MAX

# --- endpoints ------------------------------------------------------------------------------------

ENDPOINT_COLUMNS = """p.id, p.tenant, p.external_id, p.status, p.timeout_ms, p.settings, p.headers,
  p.secrets, p.revision, p.created_at, p.updated_at, p.concurrency_max, p.rate_limit_per_second,
  p.failures, p.failing_since, p.open_until, p.good_rate, p.paced_since"""

# A row whose tenant has too many gets no id, which undoes all: the count is in the transaction.
# Only a tenant's first row of the call counts. ?2 null is no limit.
_TOO_MANY = """
  ?2 IS NOT NULL
  AND NOT EXISTS (
    SELECT 1 FROM json_each(?1) AS n
    WHERE n.key < j.key AND n.value ->> 'tenant' = j.value ->> 'tenant'
  )
  AND (
    SELECT count(*) FROM (
      SELECT 1 FROM endpoints AS c
      WHERE c.tenant = j.value ->> 'tenant' AND c.status <> 'removed'
      LIMIT ?2 + 1
    )
  ) + (
    SELECT count(*) FROM json_each(?1) AS n WHERE n.value ->> 'tenant' = j.value ->> 'tenant'
  ) > ?2
"""
# ?1: [endpoint row]. One that is there already is our own repeat. ?2: see above.
ENDPOINT_ADD = f"""
INSERT INTO endpoints (
  lane, id, tenant, external_id, status, timeout_ms, settings, headers, secrets, revision,
  created_at, updated_at, concurrency_max, rate_limit_per_second, key_id
)
SELECT
  j.value ->> 'lane', CASE WHEN {_TOO_MANY} THEN NULL ELSE j.value ->> 'id' END,
  j.value ->> 'tenant', j.value ->> 'external_id',
  j.value ->> 'status', j.value ->> 'timeout_ms', j.value ->> 'settings', j.value ->> 'headers',
  j.value ->> 'secrets', j.value ->> 'revision', j.value ->> 'created_at', j.value ->> 'updated_at',
  j.value ->> 'concurrency_max', j.value ->> 'rate_limit_per_second', j.value ->> 'key_id'
FROM json_each(?1) AS j
WHERE NOT EXISTS (SELECT 1 FROM endpoints AS p WHERE p.lane = j.value ->> 'lane')
"""

# ?1: [{tenant}], ?2: the most. Positions of those whose tenant has too many.
TENANTS_FULL = f"""
SELECT j.key AS position FROM json_each(?1) AS j WHERE {_TOO_MANY} ORDER BY j.key
"""

# ?1: [{tenant, external_id}]. Positions of those that are taken.
ENDPOINT_TAKEN = """
SELECT j.key AS position
FROM json_each(?1) AS j
CROSS JOIN endpoints AS p
  ON p.tenant = j.value ->> 'tenant' AND p.external_id = j.value ->> 'external_id'
WHERE p.external_id IS NOT NULL AND p.status <> 'removed'
ORDER BY j.key
"""

# ?1 lane, ?2 the revision that must be stored, ?3 tenant: runs before the endpoint is changed.
UNSUBSCRIBE = """
DELETE FROM subscriptions WHERE (tenant, pattern, lane) IN (
  SELECT p.tenant, t.value, p.lane
  FROM endpoints AS p CROSS JOIN json_each(p.settings, '$.event_types') AS t
  WHERE p.lane = ?1 AND p.status <> 'removed' AND p.revision = ?2 AND p.tenant = ?3
)
"""

# ?1 lane, ?2 tenant or NULL: runs before the endpoint is marked as removed.
ENDPOINT_UNSUBSCRIBE = """
DELETE FROM subscriptions WHERE (tenant, pattern, lane) IN (
  SELECT p.tenant, t.value, p.lane
  FROM endpoints AS p CROSS JOIN json_each(p.settings, '$.event_types') AS t
  WHERE p.lane = ?1 AND (?2 IS NULL OR p.tenant = ?2)
)
"""

# ?1: [{tenant, pattern, lane, filters, revision}]. Only where the endpoint has that revision, so an
# edit that lost a race leaves no subscription behind: it runs before the endpoint is changed.
SUBSCRIBE = """
INSERT INTO subscriptions (tenant, pattern, lane, filters)
SELECT j.value ->> 'tenant', j.value ->> 'pattern', j.value ->> 'lane', j.value ->> 'filters'
FROM json_each(?1) AS j
CROSS JOIN endpoints AS p
  ON p.lane = j.value ->> 'lane' AND p.tenant = j.value ->> 'tenant'
    AND p.revision = j.value ->> 'revision' AND p.status <> 'removed'
WHERE true
ON CONFLICT (tenant, pattern, lane) DO UPDATE SET filters = excluded.filters
"""

# ?1: the endpoint's row. Changes nothing unless the stored revision is the one before. An endpoint
# that comes back begins anew with its health, but not with its pace; endpoints_notice
# notes that one in error recovered.
_COMES_BACK = "p.status <> 'active' AND j.value ->> 'status' = 'active'"
_RECOVERS = f"({_COMES_BACK} AND p.status = 'error')"
ENDPOINT_UPDATE = f"""
UPDATE endpoints AS p SET
  external_id = j.value ->> 'external_id', status = j.value ->> 'status',
  timeout_ms = j.value ->> 'timeout_ms', concurrency_max = j.value ->> 'concurrency_max',
  rate_limit_per_second = j.value ->> 'rate_limit_per_second',
  failures = iif({_COMES_BACK}, 0, p.failures),
  failing_since = iif({_COMES_BACK}, NULL, p.failing_since),
  open_until = iif({_COMES_BACK}, NULL, p.open_until),
  paced_since = iif({_COMES_BACK} AND p.paced_since IS NOT NULL,
    j.value ->> 'updated_at', p.paced_since),
  transitions = p.transitions + {_RECOVERS},
  transition = iif({_RECOVERS}, json_object(
    'type', '{OperationalEventType.ENDPOINT_RECOVERED.value}', 'at', j.value ->> 'updated_at',
    'cause', json_object('reason', '{ACTIVATED_REASON}')
  ), NULL),
  settings = j.value ->> 'settings',
  headers = j.value ->> 'headers', secrets = j.value ->> 'secrets',
  key_id = j.value ->> 'key_id', revision = j.value ->> 'revision',
  updated_at = j.value ->> 'updated_at'
FROM json_each(?1) AS j
WHERE p.lane = j.value ->> 'lane' AND p.tenant = j.value ->> 'tenant' AND p.status <> 'removed'
  AND p.revision = (j.value ->> 'revision') - 1
RETURNING lane
"""

# ?1 lane, ?2 tenant or NULL, ?3 now
ENDPOINT_REMOVE = """
UPDATE endpoints
SET status = 'removed', headers = '{}', secrets = '[]', key_id = NULL, updated_at = ?3,
  revision = revision + 1
WHERE lane = ?1 AND status <> 'removed' AND (?2 IS NULL OR tenant = ?2)
RETURNING lane
"""

# ?1: [lane]
ENDPOINTS_GET = f"""
SELECT {ENDPOINT_COLUMNS}
FROM json_each(?1) AS j CROSS JOIN endpoints AS p ON p.lane = j.value
WHERE p.status <> 'removed'
"""

# ?1 tenant, ?2 after id, ?3 status or NULL, ?4 external id or NULL, ?5 limit
ENDPOINTS_LIST = f"""
SELECT {ENDPOINT_COLUMNS}
FROM (
  SELECT * FROM endpoints WHERE tenant = ?1 AND status <> 'removed' AND id > ?2
  ORDER BY id LIMIT {SCAN_ROWS_MAX}
) AS p
WHERE (?3 IS NULL OR p.status = ?3) AND (?4 IS NULL OR p.external_id = ?4)
LIMIT ?5
"""

# As above: how far the scan went, asked for when a page came back short.
ENDPOINTS_SCANNED = f"""
SELECT count(*) AS scanned, max(id) AS last FROM (
  SELECT id FROM endpoints WHERE tenant = ?1 AND status <> 'removed' AND id > ?2
  ORDER BY id LIMIT {SCAN_ROWS_MAX}
)
"""

# ?1: [{tenant, patterns, facets}]. For stores that are used apart: one row per match.
ENDPOINTS_MATCH = f"""
SELECT DISTINCT e.key AS position, s.lane AS lane
FROM json_each(?1) AS e
CROSS JOIN json_each(e.value, '$.patterns') AS p
CROSS JOIN subscriptions AS s ON s.tenant = e.value ->> 'tenant' AND s.pattern = p.value
WHERE {FILTERS_MATCH}
"""

# --- events ---------------------------------------------------------------------------------------

# ?1 tenant, ?2 "id:" + id, ?3 the key inside the id, or NULL
EVENT_GET = """
SELECT e.tenant, e.key, e.id, e.type, e.ordering_key, e.targets, e.payload
FROM names AS n CROSS JOIN events AS e ON e.tenant = n.tenant AND e.key = n.key
WHERE n.tenant = ?1 AND n.name = ?2
UNION ALL
SELECT e.tenant, e.key, e.id, e.type, e.ordering_key, e.targets, e.payload
FROM events AS e WHERE e.tenant = ?1 AND e.key = ?3 AND e.id IS NULL
"""

# ?1 tenant, ?2 keys below, ?3 keys from, ?4 type or NULL, ?5 limit
EVENTS_LIST = f"""
SELECT * FROM (
  SELECT e.tenant, e.key, e.id, e.type, e.ordering_key, e.targets, e.payload FROM events AS e
  WHERE e.tenant = ?1 AND e.key < ?2 AND e.key >= ?3
  ORDER BY e.key DESC LIMIT {SCAN_ROWS_MAX}
)
WHERE ?4 IS NULL OR type = ?4
LIMIT ?5
"""

# As above: how far the scan went, asked for when a page came back short.
EVENTS_SCANNED = f"""
SELECT count(*) AS scanned, min(key) AS last FROM (
  SELECT key FROM events WHERE tenant = ?1 AND key < ?2 AND key >= ?3
  ORDER BY key DESC LIMIT {SCAN_ROWS_MAX}
)
"""

# --- deliveries -----------------------------------------------------------------------------------

# What waited for a removed endpoint reads as canceled before the sweep has written it.
_STATE = """iif(p.status = 'removed' AND d.state IN ('ready', 'scheduled', 'leased'), 'canceled',
  d.state)"""
_DELIVERY = f"""
  d.lane, d.key, d.tenant, {_STATE} AS state, d.claim,
  iif({_STATE} = d.state, d.due_at, NULL) AS due_at, d.attempts_made, d.run_start,
  d.run_started_at, d.interruptions,
  iif({_STATE} = d.state, d.reason, 'the endpoint was removed') AS reason,
  iif({_STATE} = d.state, d.completed_at, p.updated_at) AS completed_at, d.log,
  e.id AS event_id, e.type AS event_type, d.ordering_key, {IN_LINE},
  {is_erased("d.tenant", "d.key")} AS payload_erased"""

# ?5: [state] or NULL, ?6 event type or NULL, ?7 error kind of the last attempt or NULL
_WANTED = f"""(?5 IS NULL OR {_STATE} IN (SELECT value FROM json_each(?5)))
  AND (?6 IS NULL OR e.type = ?6)
  AND (?7 IS NULL OR d.log -> '$[#-1]' ->> 'error_kind' = ?7)"""

# ?1 lane, ?2 key, ?3 tenant or NULL
DELIVERY_GET = f"""
SELECT {_DELIVERY}
FROM deliveries AS d
LEFT JOIN events AS e ON e.tenant = d.tenant AND e.key = d.key
LEFT JOIN endpoints AS p ON p.lane = d.lane
WHERE d.lane = ?1 AND d.key = ?2 AND (?3 IS NULL OR d.tenant = ?3)
"""

# The three ways into deliveries share their parameters: ?1 tenant or lane, ?2 key of the cursor and
# ?3 place within it (rows up to there are done), ?4 keys from, ?5 to ?7 above, ?8 limit, ?9 tenant.
_BY_ENDPOINT = f"""
  SELECT lane, key, '' AS place FROM deliveries
  WHERE lane = ?1 AND key < ?2 AND key >= ?4 AND tenant = ?9
  ORDER BY key DESC LIMIT {SCAN_ROWS_MAX}"""
_BY_DEATH = f"""
  SELECT lane, key, lane AS place FROM deliveries
  WHERE state IN ('failed', 'exhausted') AND tenant = ?1 AND ?9 = ?1
    AND key <= ?2 AND key >= ?4 AND NOT (key = ?2 AND lane >= ?3)
  ORDER BY key DESC, lane DESC LIMIT {SCAN_ROWS_MAX}"""
_BY_EVENT = f"""
  SELECT t.value AS lane, e.key AS key, printf('%08d', t.key) AS place
  FROM events AS e CROSS JOIN json_each(e.targets) AS t
  WHERE e.tenant = ?1 AND ?9 = ?1
    AND e.key <= ?2 AND e.key >= ?4 AND NOT (e.key = ?2 AND printf('%08d', t.key) <= ?3)
  ORDER BY e.key DESC, t.key LIMIT {SCAN_ROWS_MAX}"""


def _list(source: str) -> str:
    return f"""
SELECT {_DELIVERY}, c.place AS place
FROM ({source}
) AS c
CROSS JOIN deliveries AS d ON d.lane = c.lane AND d.key = c.key
LEFT JOIN events AS e ON e.tenant = d.tenant AND e.key = d.key
LEFT JOIN endpoints AS p ON p.lane = d.lane
WHERE {_WANTED}
LIMIT ?8"""


def _scanned(source: str, direction: str) -> str:
    return f"""
SELECT count(*) OVER () AS scanned, c.key AS key, c.place AS place
FROM ({source}
) AS c
ORDER BY c.key ASC, c.place {direction} LIMIT 1"""


DELIVERIES_BY_ENDPOINT = _list(_BY_ENDPOINT)
DELIVERIES_BY_DEATH = _list(_BY_DEATH)
DELIVERIES_BY_EVENT = _list(_BY_EVENT)
# How far the scan went, asked for when a page came back short.
SCANNED_BY_ENDPOINT = _scanned(_BY_ENDPOINT, "DESC")
SCANNED_BY_DEATH = _scanned(_BY_DEATH, "ASC")
SCANNED_BY_EVENT = _scanned(_BY_EVENT, "DESC")


def _scan(source: str, direction: str) -> str:
    """Return the scan of a recovery by filter: wanted rows, and the last of ?8 looked at."""
    source = source.replace(f"LIMIT {SCAN_ROWS_MAX}", "LIMIT ?8")
    return f"""
SELECT lane, key, key || '.' || place AS place, nth, wanted FROM (
  SELECT
    c.lane AS lane, c.key AS key, c.place AS place, c.nth AS nth, c.goes_on AS goes_on,
    coalesce(p.status, '') <> 'removed' AND ({_WANTED})
      AND NOT {is_erased("d.tenant", "d.key")} AS wanted
  FROM (
    SELECT lane, key, place, row_number() OVER w AS nth, lead(1) OVER w AS goes_on
    FROM ({source}
    )
    WINDOW w AS (ORDER BY key DESC, place {direction})
  ) AS c
  CROSS JOIN deliveries AS d ON d.lane = c.lane AND d.key = c.key
  LEFT JOIN events AS e ON e.tenant = d.tenant AND e.key = d.key
  LEFT JOIN endpoints AS p ON p.lane = d.lane
)
WHERE wanted OR goes_on IS NULL"""


SCAN_BY_ENDPOINT = _scan(_BY_ENDPOINT, "ASC")
SCAN_BY_DEATH = _scan(_BY_DEATH, "DESC")
SCAN_BY_EVENT = _scan(_BY_EVENT, "ASC")

# ?1 now, ?2 lane, ?3 key, ?4 tenant or NULL. Only of a finished delivery whose endpoint and payload
# are there.
REPLAY = f"""
UPDATE deliveries SET
  state = 'ready', due_at = {NOW}, run_start = attempts_made, run_started_at = {NOW},
  interruptions = 0, reason = NULL, completed_at = NULL
WHERE lane = ?2 AND key = ?3 AND (?4 IS NULL OR tenant = ?4)
  AND state IN ('success', 'failed', 'exhausted', 'canceled')
  AND NOT EXISTS (SELECT 1 FROM endpoints AS p WHERE p.lane = ?2 AND p.status = 'removed')
  AND NOT {is_erased("deliveries.tenant", "?3")}
"""

# ?1 lane: whether the endpoint was removed.
ENDPOINT_REMOVED = "SELECT 1 FROM endpoints WHERE lane = ?1 AND status = 'removed'"

# --- the operator's switch ------------------------------------------------------------------------

# ?1 since
SENDING_PAUSE = """
INSERT INTO switches (name, since) VALUES ('sending_paused', ?1) ON CONFLICT (name) DO NOTHING
"""
SENDING_RESUME = "DELETE FROM switches WHERE name = 'sending_paused'"
SENDING_PAUSED = "SELECT since FROM switches WHERE name = 'sending_paused'"
