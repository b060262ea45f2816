"""Encrypting anew; see ``adapters/sql/encryption.py``."""

from __future__ import annotations

from webhook.adapters.postgres.fragments import rows_of

KEYS_IN_USE = """
WITH RECURSIVE used (key_id) AS (
  SELECT min(key_id) FROM endpoints WHERE key_id IS NOT NULL
  UNION ALL
  SELECT (
    SELECT min(p.key_id) FROM endpoints AS p WHERE p.key_id IS NOT NULL AND p.key_id > u.key_id
  )
  FROM used AS u WHERE u.key_id IS NOT NULL
)
SELECT key_id FROM used WHERE key_id IS NOT NULL
"""

ROWS_OF_KEY = """
SELECT lane, id, tenant, headers, secrets FROM endpoints
WHERE key_id IS NOT NULL AND key_id = $1::text AND lane > $2::text
ORDER BY lane LIMIT $3::bigint
"""

_ROWS = rows_of(
    "$1",
    "j",
    "lane text, headers text, secrets text, key_id text, headers_before text, secrets_before text",
)
ENCRYPT_ROWS = f"""
UPDATE endpoints AS p SET headers = j.headers, secrets = j.secrets, key_id = j.key_id
FROM {_ROWS}
WHERE p.lane = j.lane AND p.headers = j.headers_before AND p.secrets = j.secrets_before
RETURNING p.lane
"""

MARK_PLAINTEXT = """
INSERT INTO switches (name, since) VALUES ('plaintext_stored', $1::bigint)
ON CONFLICT (name) DO NOTHING
"""
UNMARK_PLAINTEXT = "DELETE FROM switches WHERE name = 'plaintext_stored'"
IS_MARKED = "SELECT 1 AS found FROM switches WHERE name = 'plaintext_stored'"
