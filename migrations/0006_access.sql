-- Who may do what, and who did it. A token writes 1 row when it is made and 1 in an hour in which it
-- is used; each change and each secret that is read writes 2 rows of the audit log. Events, claims
-- and settles write no row more.

-- id: "tok_" and a key, time first; it stands inside the token. hash: SHA-256 of the whole token,
-- which itself is kept nowhere. tenant: NULL is all of them. scopes: JSON.
CREATE TABLE api_tokens (
  id TEXT NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL,
  name TEXT NOT NULL,
  tenant TEXT,
  scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  last_used_at INTEGER
) STRICT, WITHOUT ROWID;

-- id: "aud_" and a key, time first. tenant: whose thing it was, "" where it concerned them all.
CREATE TABLE audit_log (
  id TEXT NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  action TEXT NOT NULL,
  actor TEXT NOT NULL,
  target TEXT,
  detail TEXT,
  source TEXT,
  request_id TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_log_list ON audit_log (tenant, id);

-- What was written stays as it is, until its retention is over.
CREATE TRIGGER audit_log_append_only BEFORE UPDATE ON audit_log
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;
