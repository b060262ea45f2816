"""Endpoints, lists and replay; see ``adapters/sql/read_statements.py`` for what each does."""

from __future__ import annotations

from webhook.adapters.postgres.fragments import LOCK_REVIVAL, NOW, is_erased, rows_of, texts_of
from webhook.adapters.postgres.ordering_statements import IN_LINE
from webhook.adapters.postgres.statements import FILTERS_MATCH
from webhook.domain.event_types import OperationalEventType
from webhook.domain.notice import ACTIVATED_REASON
from webhook.ports import ENDPOINT_REMOVED as REMOVED
from webhook.ports import SCAN_ROWS_MAX

# --- endpoints ------------------------------------------------------------------------------------

_ENDPOINT_COLUMNS = """p.id, p.tenant, p.external_id, p.status, p.timeout_ms, p.settings, p.headers,
  p.secrets, p.revision, p.created_at, p.updated_at, p.concurrency_max, p.rate_limit_per_second,
  p.failures, p.failing_since, p.open_until, p.good_rate, p.paced_since"""
_NEW = """lane, id, tenant, external_id, status, timeout_ms, settings, headers, secrets, revision,
  created_at, updated_at, concurrency_max, rate_limit_per_second, key_id"""
_ENDPOINTS = rows_of(
    "$1",
    "j",
    "lane text, id text, tenant text, external_id text, status text, timeout_ms bigint, "
    "settings text, headers text, secrets text, revision bigint, created_at bigint, "
    "updated_at bigint, concurrency_max bigint, rate_limit_per_second float8, key_id text",
)


def _too_many(rows: str) -> str:
    """Return whether row j is its tenant's first and the tenant gets too many by all of them."""
    return f"""(
  $2::bigint IS NOT NULL
  AND j.place = (SELECT min(n.place) FROM {rows} WHERE n.tenant = j.tenant)
  AND (
    SELECT count(*) FROM (
      SELECT 1 FROM endpoints AS c
      WHERE c.tenant = j.tenant AND c.status <> 'removed' LIMIT $2::bigint + 1
    ) AS present
  ) + (SELECT count(*) FROM {rows} WHERE n.tenant = j.tenant) > $2::bigint
)"""


_TENANTS = rows_of("$1", "n", "tenant text")
# Of two that add to a tenant at once the second counts what the first has added.
_LOCK_TENANTS = f"""
SELECT pg_advisory_xact_lock(tenant) FROM (
  SELECT DISTINCT hashtextextended('webhook endpoints ' || n.tenant, 0) AS tenant FROM {_TENANTS}
  WHERE $2::bigint IS NOT NULL ORDER BY tenant
) AS tenants
"""
_VALUES = ", ".join(
    f"CASE WHEN NOT {_too_many(_TENANTS)} THEN j.id END" if name == "id" else f"j.{name}"
    for name in _NEW.replace("\n ", "").split(", ")
)
ENDPOINT_ADD = (
    _LOCK_TENANTS,
    f"""
INSERT INTO endpoints ({_NEW})
SELECT {_VALUES}
FROM {_ENDPOINTS}
WHERE NOT EXISTS (SELECT 1 FROM endpoints AS p WHERE p.lane = j.lane)
ORDER BY j.place
ON CONFLICT (lane) DO NOTHING
""",
)

TENANTS_FULL = f"""
SELECT j.place - 1 AS position FROM {rows_of("$1", "j", "tenant text")}
WHERE {_too_many(_TENANTS)} ORDER BY j.place
"""

ENDPOINT_TAKEN = f"""
SELECT j.place - 1 AS position
FROM {rows_of("$1", "j", "tenant text, external_id text")}
JOIN endpoints AS p ON p.tenant = j.tenant AND p.external_id = j.external_id
WHERE p.external_id IS NOT NULL AND p.status <> 'removed'
ORDER BY j.place
"""

_LOCK_ENDPOINT = "SELECT 1 FROM endpoints WHERE lane = $1::text FOR UPDATE"


def _unsubscribe(condition: str) -> tuple[str, str]:
    return (
        _LOCK_ENDPOINT,
        f"""
DELETE FROM subscriptions AS s
USING endpoints AS p CROSS JOIN LATERAL {texts_of("(p.settings::json -> 'event_types')", "t")}
WHERE p.lane = $1::text AND {condition}
  AND s.tenant = p.tenant AND s.pattern = t.value AND s.lane = p.lane
""",
    )


UNSUBSCRIBE = _unsubscribe(
    "p.status <> 'removed' AND p.revision = $2::bigint AND p.tenant = $3::text"
)
ENDPOINT_UNSUBSCRIBE = _unsubscribe("($2::text IS NULL OR p.tenant = $2::text)")

SUBSCRIBE = f"""
INSERT INTO subscriptions (tenant, pattern, lane, filters)
SELECT j.tenant, j.pattern, j.lane, j.filters
FROM {rows_of("$1", "j", "tenant text, pattern text, lane text, filters text, revision bigint")}
JOIN endpoints AS p
  ON p.lane = j.lane AND p.tenant = j.tenant AND p.revision = j.revision AND p.status <> 'removed'
ORDER BY j.tenant, j.pattern, j.lane
ON CONFLICT (tenant, pattern, lane) DO UPDATE SET filters = excluded.filters
"""

_COMES_BACK = "(p.status <> 'active' AND j.status = 'active')"
_RECOVERS = f"({_COMES_BACK} AND p.status = 'error')"
ENDPOINT_UPDATE = f"""
UPDATE endpoints AS p SET
  external_id = j.external_id, status = j.status, timeout_ms = j.timeout_ms,
  concurrency_max = j.concurrency_max, rate_limit_per_second = j.rate_limit_per_second,
  failures = CASE WHEN {_COMES_BACK} THEN 0 ELSE p.failures END,
  failing_since = CASE WHEN NOT {_COMES_BACK} THEN p.failing_since END,
  open_until = CASE WHEN NOT {_COMES_BACK} THEN p.open_until END,
  paced_since = CASE WHEN {_COMES_BACK} AND p.paced_since IS NOT NULL
    THEN j.updated_at ELSE p.paced_since END,
  transitions = p.transitions + {_RECOVERS}::int,
  transition = CASE WHEN {_RECOVERS} THEN json_build_object(
    'type', '{OperationalEventType.ENDPOINT_RECOVERED.value}', 'at', j.updated_at,
    'cause', json_build_object('reason', '{ACTIVATED_REASON}')
  )::text END,
  settings = j.settings, headers = j.headers, secrets = j.secrets, key_id = j.key_id,
  revision = j.revision, updated_at = j.updated_at
FROM {_ENDPOINTS}
WHERE p.lane = j.lane AND p.tenant = j.tenant AND p.status <> 'removed'
  AND p.revision = j.revision - 1
RETURNING p.lane
"""

ENDPOINT_REMOVE = """
UPDATE endpoints
SET status = 'removed', headers = '{}', secrets = '[]', key_id = NULL, updated_at = $3::bigint,
  revision = revision + 1
WHERE lane = $1::text AND status <> 'removed' AND ($2::text IS NULL OR tenant = $2::text)
RETURNING lane
"""

ENDPOINTS_GET = f"""
SELECT {_ENDPOINT_COLUMNS}
FROM {texts_of("$1", "j")} JOIN endpoints AS p ON p.lane = j.value
WHERE p.status <> 'removed'
"""

_ENDPOINTS_SCAN = f"""
  SELECT * FROM endpoints WHERE tenant = $1::text AND status <> 'removed' AND id > $2::text
  ORDER BY id LIMIT {SCAN_ROWS_MAX}"""
ENDPOINTS_LIST = f"""
SELECT {_ENDPOINT_COLUMNS}
FROM ({_ENDPOINTS_SCAN}) AS p
WHERE ($3::text IS NULL OR p.status = $3::text)
  AND ($4::text IS NULL OR p.external_id = $4::text)
LIMIT $5::bigint
"""
ENDPOINTS_SCANNED = f"""
SELECT count(*) AS scanned, max(id) AS last FROM ({_ENDPOINTS_SCAN}) AS p
"""

ENDPOINTS_MATCH = f"""
SELECT DISTINCT e.place - 1 AS position, s.lane AS lane
FROM {rows_of("$1", "e", "tenant text, patterns json, facets json")}
CROSS JOIN LATERAL {texts_of("e.patterns", "p")}
JOIN subscriptions AS s ON s.tenant = e.tenant AND s.pattern = p.value
WHERE {FILTERS_MATCH}
"""

# --- events ---------------------------------------------------------------------------------------

_EVENT_COLUMNS = "e.tenant, e.key, e.id, e.type, e.ordering_key, e.targets, e.payload"

EVENT_GET = f"""
SELECT {_EVENT_COLUMNS}
FROM names AS n JOIN events AS e ON e.tenant = n.tenant AND e.key = n.key
WHERE n.tenant = $1::text AND n.name = $2::text
UNION ALL
SELECT {_EVENT_COLUMNS}
FROM events AS e WHERE e.tenant = $1::text AND e.key = $3::text AND e.id IS NULL
"""

_EVENTS_SCAN = f"""
  WHERE e.tenant = $1::text AND e.key < $2::text AND e.key >= $3::text
  ORDER BY e.key DESC LIMIT {SCAN_ROWS_MAX}"""
EVENTS_LIST = f"""
SELECT * FROM (SELECT {_EVENT_COLUMNS} FROM events AS e {_EVENTS_SCAN}) AS s
WHERE $4::text IS NULL OR type = $4::text
LIMIT $5::bigint
"""
EVENTS_SCANNED = f"""
SELECT count(*) AS scanned, min(key) AS last FROM (
  SELECT e.key FROM events AS e {_EVENTS_SCAN}
) AS s
"""

# --- deliveries -----------------------------------------------------------------------------------

# As c has them: looked up one after the other, so that c's order stays.
_IN_ORDER = """CROSS JOIN LATERAL (
  SELECT * FROM deliveries AS x WHERE x.lane = c.lane AND x.key = c.key OFFSET 0
) AS d"""
_IS_CANCELED = "(p.status = 'removed' AND d.state IN ('ready', 'scheduled', 'leased'))"
_STATE = f"(CASE WHEN {_IS_CANCELED} THEN 'canceled' ELSE d.state END)"
_DELIVERY = f"""
  d.lane, d.key, d.tenant, {_STATE} AS state, d.claim,
  CASE WHEN {_STATE} = d.state THEN d.due_at END AS due_at, d.attempts_made, d.run_start,
  d.run_started_at, d.interruptions,
  CASE WHEN {_STATE} = d.state THEN d.reason ELSE '{REMOVED}' END AS reason,
  CASE WHEN {_STATE} = d.state THEN d.completed_at ELSE p.updated_at END AS completed_at, d.log,
  e.id AS event_id, e.type AS event_type, d.ordering_key, {IN_LINE},
  {is_erased("d.tenant", "d.key")} AS payload_erased"""
_BESIDE = """
LEFT JOIN events AS e ON e.tenant = d.tenant AND e.key = d.key
LEFT JOIN endpoints AS p ON p.lane = d.lane"""

_WANTED = f"""($5::json IS NULL OR {_STATE} IN (SELECT json_array_elements_text($5::json)))
  AND ($6::text IS NULL OR e.type = $6::text)
  AND ($7::text IS NULL OR d.log::json -> -1 ->> 'error_kind' = $7::text)"""

DELIVERY_GET = f"""
SELECT {_DELIVERY}
FROM deliveries AS d {_BESIDE}
WHERE d.lane = $1::text AND d.key = $2::text AND ($3::text IS NULL OR d.tenant = $3::text)
"""

_BY_ENDPOINT = f"""
  SELECT lane, key, '' AS place FROM deliveries
  WHERE lane = $1::text AND key < $2::text AND key >= $4::text AND tenant = $9::text
  ORDER BY key DESC LIMIT {SCAN_ROWS_MAX}"""
_BY_DEATH = f"""
  SELECT lane, key, lane AS place FROM deliveries
  WHERE state IN ('failed', 'exhausted') AND tenant = $1::text AND $9::text = $1::text
    AND key <= $2::text AND key >= $4::text AND NOT (key = $2::text AND lane >= $3::text)
  ORDER BY key DESC, lane DESC LIMIT {SCAN_ROWS_MAX}"""
_PLACE = "lpad((t.place - 1)::text, 8, '0') COLLATE \"C\""
_BY_EVENT = f"""
  SELECT t.value AS lane, e.key AS key, {_PLACE} AS place
  FROM events AS e
  CROSS JOIN LATERAL {texts_of("e.targets", "t")}
  WHERE e.tenant = $1::text AND $9::text = $1::text
    AND e.key <= $2::text AND e.key >= $4::text
    AND NOT (e.key = $2::text AND {_PLACE} <= $3::text)
  ORDER BY e.key DESC, t.place LIMIT {SCAN_ROWS_MAX}"""


def _list(source: str) -> str:
    return f"""
SELECT {_DELIVERY}, c.place AS place
FROM ({source}
) AS c
{_IN_ORDER} {_BESIDE}
WHERE {_WANTED}
LIMIT $8::bigint"""


def _scanned(source: str, direction: str) -> str:
    return f"""
SELECT count(*) OVER () AS scanned, c.key AS key, c.place AS place
FROM ({source}
) AS c
ORDER BY c.key ASC, c.place {direction} LIMIT 1"""


DELIVERIES_BY_ENDPOINT = _list(_BY_ENDPOINT)
DELIVERIES_BY_DEATH = _list(_BY_DEATH)
DELIVERIES_BY_EVENT = _list(_BY_EVENT)
SCANNED_BY_ENDPOINT = _scanned(_BY_ENDPOINT, "DESC")
SCANNED_BY_DEATH = _scanned(_BY_DEATH, "ASC")
SCANNED_BY_EVENT = _scanned(_BY_EVENT, "DESC")


def _scan(source: str, direction: str) -> str:
    source = source.replace(f"LIMIT {SCAN_ROWS_MAX}", "LIMIT $8::bigint")
    return f"""
SELECT lane, key, key || '.' || place AS place, nth, wanted FROM (
  SELECT
    c.lane, c.key, c.place, c.nth, c.goes_on,
    coalesce(p.status, '') <> 'removed' AND ({_WANTED})
      AND NOT {is_erased("d.tenant", "d.key")} AS wanted
  FROM (
    SELECT lane, key, place, row_number() OVER w AS nth, lead(1) OVER w AS goes_on
    FROM ({source}
    ) AS found
    WINDOW w AS (ORDER BY key DESC, place {direction})
  ) AS c
  {_IN_ORDER} {_BESIDE}
) AS looked
WHERE wanted OR goes_on IS NULL"""


SCAN_BY_ENDPOINT = _scan(_BY_ENDPOINT, "ASC")
SCAN_BY_DEATH = _scan(_BY_DEATH, "DESC")
SCAN_BY_EVENT = _scan(_BY_EVENT, "ASC")

# The event's row: whoever erases its payload holds it.
_LOCK_EVENT = """
SELECT 1 FROM deliveries AS d JOIN events AS e ON e.tenant = d.tenant AND e.key = d.key
WHERE d.lane = $2::text AND d.key = $3::text FOR SHARE OF e
"""
REPLAY = (
    LOCK_REVIVAL,
    _LOCK_EVENT,
    f"""
UPDATE deliveries AS d SET
  state = 'ready', due_at = {NOW}, run_start = d.attempts_made, run_started_at = {NOW},
  interruptions = 0, reason = NULL, completed_at = NULL
WHERE d.lane = $2::text AND d.key = $3::text AND ($4::text IS NULL OR d.tenant = $4::text)
  AND d.state IN ('success', 'failed', 'exhausted', 'canceled')
  AND NOT EXISTS (SELECT 1 FROM endpoints AS p WHERE p.lane = $2::text AND p.status = 'removed')
  AND NOT {is_erased("d.tenant", "d.key")}
""",
)

ENDPOINT_REMOVED = "SELECT 1 AS found FROM endpoints WHERE lane = $1::text AND status = 'removed'"

# --- the operator's switch ------------------------------------------------------------------------

SENDING_PAUSE = """
INSERT INTO switches (name, since) VALUES ('sending_paused', $1::bigint)
ON CONFLICT (name) DO NOTHING
"""
SENDING_RESUME = "DELETE FROM switches WHERE name = 'sending_paused'"
SENDING_PAUSED = "SELECT since FROM switches WHERE name = 'sending_paused'"
