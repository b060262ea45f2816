"""The statements that erase an event's payload. Same dialect and habits as statements.py."""

from __future__ import annotations


def is_erased(tenant: str, key: str) -> str:
    """Return the condition that an event's payload was erased; it reads no payload."""
    return f"""EXISTS (
    SELECT 1 FROM events AS x INDEXED BY events_erased
    WHERE x.payload = '' AND x.tenant = {tenant} AND x.key = {key}
  )"""


# In all of them ?1 tenant, ?2 key.
_TARGETS = "json_each((SELECT targets FROM events WHERE tenant = ?1 AND key = ?2))"
_REMOVED_AT = (
    "(SELECT p.updated_at FROM endpoints AS p WHERE p.lane = d.lane AND p.status = 'removed')"
)

# ?3 now, ?4 reason. As CANCEL; what waits for a removed endpoint is written down as it reads, lest
# a settle still brings a response.
ERASE_CANCEL = f"""
UPDATE deliveries AS d SET
  state = 'canceled', due_at = NULL,
  reason = iif({_REMOVED_AT} IS NULL, ?4, 'the endpoint was removed'),
  completed_at = coalesce({_REMOVED_AT}, ?3)
FROM {_TARGETS} AS t
WHERE d.lane = t.value AND d.key = ?2
  AND (
    d.state IN ('ready', 'scheduled', 'leased')
    OR (
      d.state IN ('failed', 'exhausted') AND d.ordering_number IS NOT NULL
        AND {_REMOVED_AT} IS NULL
    )
  )
"""

WITHOUT_RESPONSES = """(
  SELECT json_group_array(json_remove(a.value, '$.response')) FROM json_each(log) AS a
)"""

ERASE_RESPONSES = f"""
UPDATE deliveries AS d SET log = {WITHOUT_RESPONSES}
FROM {_TARGETS} AS t
WHERE d.lane = t.value AND d.key = ?2 AND instr(d.log, '"response":')
"""

ERASE_PAYLOAD = "UPDATE events SET payload = '' WHERE tenant = ?1 AND key = ?2 RETURNING key"
