"""API tokens and the audit log; see ``adapters/sql/access_statements.py``."""

from __future__ import annotations

from webhook.adapters.postgres.fragments import rows_of
from webhook.domain.access import USE_NOTED_EVERY_MS

_COLUMNS = "t.id, t.hash, t.name, t.tenant, t.scopes, t.created_at, t.expires_at, t.last_used_at"

ACCESS_ADD = """
INSERT INTO api_tokens (id, hash, name, tenant, scopes, created_at, expires_at)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::bigint, $7::bigint)
ON CONFLICT (id) DO NOTHING
"""

ACCESS_GET = f"SELECT {_COLUMNS} FROM api_tokens AS t WHERE t.id = $1::text"

ACCESS_LIST = f"""
SELECT {_COLUMNS} FROM api_tokens AS t
WHERE t.id > $2::text AND ($1::text IS NULL OR t.tenant = $1::text)
ORDER BY t.id LIMIT $3::bigint
"""

ACCESS_REMOVE = """
DELETE FROM api_tokens WHERE id = $1::text AND ($2::text IS NULL OR tenant = $2::text)
RETURNING id
"""

ACCESS_USED = f"""
UPDATE api_tokens SET last_used_at = $2::bigint
WHERE id = $1::text
  AND (last_used_at IS NULL OR last_used_at <= $2::bigint - {USE_NOTED_EVERY_MS})
"""

AUDIT_ADD = f"""
INSERT INTO audit_log (id, tenant, action, actor, target, detail, source, request_id)
SELECT id, coalesce(tenant, ''), action, actor, target, detail, source, request_id
FROM {
    rows_of(
        "$1",
        "j",
        "id text, tenant text, action text, actor text, target text, detail text, source text, "
        "request_id text",
    )
}
ON CONFLICT (id) DO NOTHING
"""

_ENTRY = "a.id, a.tenant, a.action, a.actor, a.target, a.detail, a.source, a.request_id"

AUDIT_LIST = f"""
SELECT {_ENTRY} FROM audit_log AS a
WHERE a.tenant = $4::text AND a.id < $1::text AND a.id >= $2::text
ORDER BY a.id DESC LIMIT $3::bigint
"""

AUDIT_LIST_ALL = f"""
SELECT {_ENTRY} FROM audit_log AS a
WHERE a.id < $1::text AND a.id >= $2::text
ORDER BY a.id DESC LIMIT $3::bigint
"""

AUDIT_REMOVE = """
DELETE FROM audit_log WHERE id IN (
  SELECT id FROM audit_log WHERE id < $1::text ORDER BY id LIMIT $2::bigint
)
RETURNING id
"""
