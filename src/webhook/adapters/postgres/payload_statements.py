"""Erasing an event's payload; see ``adapters/sql/payload_statements.py``."""

from __future__ import annotations

from webhook.adapters.postgres.fragments import texts_of
from webhook.ports import ENDPOINT_REMOVED

_LOCK_EVENT = "SELECT 1 FROM events WHERE tenant = $1::text AND key = $2::text FOR UPDATE"
_TARGETS = texts_of("(SELECT targets FROM events WHERE tenant = $1::text AND key = $2::text)", "t")
_REMOVED_AT = (
    "(SELECT p.updated_at FROM endpoints AS p WHERE p.lane = d.lane AND p.status = 'removed')"
)

ERASE_CANCEL = (
    _LOCK_EVENT,
    f"""
UPDATE deliveries AS d SET
  state = 'canceled', due_at = NULL,
  reason = CASE WHEN {_REMOVED_AT} IS NULL THEN $4::text ELSE '{ENDPOINT_REMOVED}' END,
  completed_at = coalesce({_REMOVED_AT}, $3::bigint)
FROM {_TARGETS}
WHERE d.lane = t.value AND d.key = $2::text
  AND (
    d.state IN ('ready', 'scheduled', 'leased')
    OR (
      d.state IN ('failed', 'exhausted') AND d.ordering_number IS NOT NULL
        AND {_REMOVED_AT} IS NULL
    )
  )
""",
)

HAS_RESPONSES = "position('\"response\":' IN d.log) > 0"
WITHOUT_RESPONSES = """(
  SELECT '[' || string_agg((
    SELECT '{' || string_agg(to_json(f.key) || ':' || f.value, ',') || '}'
    FROM json_each(a.value) AS f WHERE f.key <> 'response'
  ), ',' ORDER BY a.nth) || ']'
  FROM json_array_elements(d.log::json) WITH ORDINALITY AS a (value, nth)
)"""

ERASE_RESPONSES = f"""
UPDATE deliveries AS d SET log = {WITHOUT_RESPONSES}
FROM {_TARGETS}
WHERE d.lane = t.value AND d.key = $2::text AND {HAS_RESPONSES}
"""

ERASE_PAYLOAD = """
UPDATE events SET payload = '' WHERE tenant = $1::text AND key = $2::text RETURNING key
"""
