"""The statements of API tokens and of the audit log. Same dialect and habits as statements.py."""

from __future__ import annotations

from webhook.domain.access import USE_NOTED_EVERY_MS

_COLUMNS = "t.id, t.hash, t.name, t.tenant, t.scopes, t.created_at, t.expires_at, t.last_used_at"

# ?1 id, ?2 hash, ?3 name, ?4 tenant or NULL, ?5 scopes, ?6 created, ?7 expires or NULL
ACCESS_ADD = """
INSERT INTO api_tokens (id, hash, name, tenant, scopes, created_at, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING
"""

# ?1 id
ACCESS_GET = f"SELECT {_COLUMNS} FROM api_tokens AS t WHERE t.id = ?1"

# ?1 tenant or NULL, ?2 after id, ?3 limit. Made by hand, so there are few of them.
ACCESS_LIST = f"""
SELECT {_COLUMNS} FROM api_tokens AS t
WHERE t.id > ?2 AND (?1 IS NULL OR t.tenant = ?1) ORDER BY t.id LIMIT ?3
"""

# ?1 id, ?2 tenant or NULL
ACCESS_REMOVE = """
DELETE FROM api_tokens WHERE id = ?1 AND (?2 IS NULL OR tenant = ?2) RETURNING id
"""

# ?1 id, ?2 now
ACCESS_USED = f"""
UPDATE api_tokens SET last_used_at = ?2
WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?2 - {USE_NOTED_EVERY_MS})
"""

# ?1: [entry]. One that is there already is our own repeat.
AUDIT_ADD = """
INSERT INTO audit_log (id, tenant, action, actor, target, detail, source, request_id)
SELECT
  value ->> 'id', coalesce(value ->> 'tenant', ''), value ->> 'action', value ->> 'actor',
  value ->> 'target', value ->> 'detail', value ->> 'source', value ->> 'request_id'
FROM json_each(?1)
WHERE true
ON CONFLICT (id) DO NOTHING
"""

_ENTRY = "a.id, a.tenant, a.action, a.actor, a.target, a.detail, a.source, a.request_id"

# ?1 ids below, ?2 ids from, ?3 limit, ?4 tenant. On audit_log_list.
AUDIT_LIST = f"""
SELECT {_ENTRY} FROM audit_log AS a
WHERE a.tenant = ?4 AND a.id < ?1 AND a.id >= ?2 ORDER BY a.id DESC LIMIT ?3
"""

# As above, of all tenants. On the primary key.
AUDIT_LIST_ALL = f"""
SELECT {_ENTRY} FROM audit_log AS a
WHERE a.id < ?1 AND a.id >= ?2 ORDER BY a.id DESC LIMIT ?3
"""

# ?1 ids below, ?2 how many. Ids begin with the time.
AUDIT_REMOVE = """
DELETE FROM audit_log WHERE id IN (
  SELECT id FROM audit_log WHERE id < ?1 ORDER BY id LIMIT ?2
)
RETURNING id
"""
