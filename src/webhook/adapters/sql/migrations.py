"""The migrations as statements, made by `make schema`."""

MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "0001_initial.sql",
        (
            """CREATE TABLE endpoints (
  lane TEXT NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  external_id TEXT,
  status TEXT NOT NULL CHECK (status IN ('active', 'inactive', 'suspended', 'error', 'removed')),
  timeout_ms INTEGER,
  settings TEXT NOT NULL,
  headers TEXT NOT NULL,
  secrets TEXT NOT NULL,
  revision INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
            """CREATE INDEX endpoints_list ON endpoints (tenant, id) WHERE status <> 'removed'""",
            """CREATE UNIQUE INDEX endpoints_external ON endpoints (tenant, external_id)
  WHERE external_id IS NOT NULL AND status <> 'removed'""",
            """CREATE INDEX endpoints_removed ON endpoints (updated_at) WHERE status = 'removed'""",
            """CREATE TABLE subscriptions (
  tenant TEXT NOT NULL,
  pattern TEXT NOT NULL,
  lane TEXT NOT NULL,
  filters TEXT,
  PRIMARY KEY (tenant, pattern, lane)
) STRICT, WITHOUT ROWID""",
            """CREATE TABLE events (
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  id TEXT,
  name TEXT,
  type TEXT NOT NULL,
  targets TEXT NOT NULL,
  payload TEXT NOT NULL,
  PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID""",
            """CREATE TABLE names (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  key TEXT NOT NULL,
  content_hash TEXT NOT NULL,
  PRIMARY KEY (tenant, name),
  CONSTRAINT name_conflict CHECK (content_hash <> '')
) STRICT, WITHOUT ROWID""",
            """CREATE TABLE deliveries (
  lane TEXT NOT NULL,
  key TEXT NOT NULL,
  tenant TEXT NOT NULL,
  state TEXT NOT NULL CHECK (
    state IN ('ready', 'scheduled', 'leased', 'success', 'failed', 'exhausted', 'canceled')
  ),
  due_at INTEGER,
  claim INTEGER NOT NULL DEFAULT 0,
  attempts_made INTEGER NOT NULL DEFAULT 0,
  run_start INTEGER NOT NULL DEFAULT 0,
  interruptions INTEGER NOT NULL DEFAULT 0,
  size INTEGER NOT NULL,
  reason TEXT,
  completed_at INTEGER,
  log TEXT NOT NULL DEFAULT '[]',
  PRIMARY KEY (lane, key)
) STRICT, WITHOUT ROWID""",
            """CREATE INDEX deliveries_ready ON deliveries (lane, key, size) WHERE state = 'ready'""",
            """CREATE INDEX deliveries_waiting ON deliveries (due_at) WHERE state IN ('scheduled', 'leased')""",
            """CREATE INDEX deliveries_dead ON deliveries (tenant, key) WHERE state IN ('failed', 'exhausted')""",
        ),
    ),
    (
        "0002_recoveries.sql",
        (
            """ALTER TABLE deliveries ADD COLUMN run_started_at INTEGER""",
            """CREATE TABLE recoveries (
  id TEXT NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('failed', 'missed', 'all', 'filter')),
  range TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('running', 'done', 'canceled')),
  cursor TEXT NOT NULL,
  scanned INTEGER NOT NULL,
  replayed INTEGER NOT NULL,
  made INTEGER NOT NULL,
  reason TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
            """CREATE INDEX recoveries_list ON recoveries (tenant, id)""",
            """CREATE UNIQUE INDEX recoveries_once ON recoveries (tenant, fingerprint) WHERE status = 'running'""",
            """CREATE INDEX recoveries_turn ON recoveries (updated_at) WHERE status = 'running'""",
        ),
    ),
    (
        "0003_limits.sql",
        (
            """ALTER TABLE endpoints ADD COLUMN concurrency_max INTEGER""",
            """ALTER TABLE endpoints ADD COLUMN rate_limit_per_second REAL""",
            """ALTER TABLE endpoints ADD COLUMN rate_last_at INTEGER NOT NULL DEFAULT 0""",
            """ALTER TABLE endpoints ADD COLUMN failures INTEGER NOT NULL DEFAULT 0""",
            """ALTER TABLE endpoints ADD COLUMN failing_since INTEGER""",
            """ALTER TABLE endpoints ADD COLUMN open_until INTEGER""",
            """ALTER TABLE deliveries ADD COLUMN gated INTEGER""",
            """ALTER TABLE deliveries ADD COLUMN start_at INTEGER""",
            """CREATE INDEX deliveries_gated ON deliveries (lane, due_at) WHERE state = 'leased' AND gated = 1""",
            """CREATE TRIGGER deliveries_rate AFTER UPDATE OF start_at ON deliveries
WHEN NEW.start_at IS NOT NULL
BEGIN
  UPDATE endpoints
  SET rate_last_at = iif(
    rate_last_at > NEW.start_at + 60000, NEW.start_at, max(rate_last_at, NEW.start_at)
  )
  WHERE lane = NEW.lane;
END""",
            """CREATE TABLE switches (
  name TEXT NOT NULL PRIMARY KEY,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
        ),
    ),
    (
        "0004_ordering.sql",
        (
            """ALTER TABLE events ADD COLUMN ordering_key TEXT""",
            """ALTER TABLE deliveries ADD COLUMN ordering_key TEXT""",
            """ALTER TABLE deliveries ADD COLUMN ordering_number INTEGER""",
            """CREATE INDEX deliveries_ordered ON deliveries (lane, ordering_key, ordering_number)
  WHERE ordering_number IS NOT NULL""",
            """CREATE INDEX deliveries_stopping ON deliveries (lane, key)
  WHERE ordering_number IS NOT NULL AND state IN ('failed', 'exhausted')""",
            """CREATE TRIGGER deliveries_leave AFTER UPDATE OF state ON deliveries
WHEN NEW.ordering_number IS NOT NULL AND NEW.state IN ('success', 'canceled')
BEGIN
  UPDATE deliveries SET ordering_number = NULL WHERE lane = NEW.lane AND key = NEW.key;
END""",
            """CREATE TRIGGER deliveries_next AFTER UPDATE OF ordering_number ON deliveries
WHEN OLD.ordering_number IS NOT NULL AND NEW.ordering_number IS NULL
BEGIN
  UPDATE deliveries SET
    state = 'ready',
    due_at = max(
      coalesce(NEW.completed_at, 0),
      coalesce((SELECT updated_at FROM endpoints WHERE lane = NEW.lane), 0)
    )
  WHERE lane = NEW.lane AND state = 'scheduled' AND due_at IS NULL AND key = (
    SELECT key FROM deliveries
    WHERE lane = NEW.lane AND ordering_key = NEW.ordering_key AND ordering_number IS NOT NULL
    ORDER BY ordering_number LIMIT 1
  );
END""",
        ),
    ),
    (
        "0005_operational_events.sql",
        (
            """ALTER TABLE endpoints ADD COLUMN transitions INTEGER NOT NULL DEFAULT 0""",
            """ALTER TABLE endpoints ADD COLUMN transition TEXT""",
            """CREATE TABLE notices (
  id TEXT NOT NULL PRIMARY KEY,
  lane TEXT NOT NULL,
  tenant TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID""",
            """CREATE TRIGGER endpoints_notice AFTER UPDATE OF transitions ON endpoints
WHEN NEW.transitions > OLD.transitions AND NEW.transition IS NOT NULL
BEGIN
  INSERT INTO notices (id, lane, tenant, body)
  VALUES (NEW.lane || ':' || NEW.transitions, NEW.lane, NEW.tenant, NEW.transition);
END""",
        ),
    ),
    (
        "0006_access.sql",
        (
            """CREATE TABLE api_tokens (
  id TEXT NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL,
  name TEXT NOT NULL,
  tenant TEXT,
  scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  last_used_at INTEGER
) STRICT, WITHOUT ROWID""",
            """CREATE TABLE audit_log (
  id TEXT NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  action TEXT NOT NULL,
  actor TEXT NOT NULL,
  target TEXT,
  detail TEXT,
  source TEXT,
  request_id TEXT
) STRICT, WITHOUT ROWID""",
            """CREATE INDEX audit_log_list ON audit_log (tenant, id)""",
            """CREATE TRIGGER audit_log_append_only BEFORE UPDATE ON audit_log
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END""",
        ),
    ),
    (
        "0007_encryption.sql",
        (
            """ALTER TABLE endpoints ADD COLUMN key_id TEXT DEFAULT ''""",
            """CREATE INDEX endpoints_key ON endpoints (key_id, lane) WHERE key_id IS NOT NULL""",
            """INSERT INTO switches (name, since) SELECT 'plaintext_stored', 0 WHERE EXISTS (SELECT 1 FROM endpoints)""",
        ),
    ),
    (
        "0008_late_targets.sql",
        ("""ALTER TABLE events ADD COLUMN late_targets INTEGER NOT NULL DEFAULT 0""",),
    ),
    (
        "0009_payloads.sql",
        ("""CREATE INDEX events_erased ON events (tenant, key) WHERE payload = ''""",),
    ),
    (
        "0010_pace.sql",
        (
            """ALTER TABLE endpoints ADD COLUMN good_rate REAL NOT NULL DEFAULT 1""",
            """ALTER TABLE endpoints ADD COLUMN paced_since INTEGER""",
            """ALTER TABLE endpoints ADD COLUMN rate REAL AS (iif(
  paced_since IS NULL, rate_limit_per_second,
  min(coalesce(rate_limit_per_second, 2 * good_rate), 2 * good_rate)
)) VIRTUAL""",
        ),
    ),
    (
        "0011_payload_days.sql",
        (
            """CREATE TABLE payload_horizons (
  tenant TEXT NOT NULL PRIMARY KEY,
  key TEXT NOT NULL
) STRICT, WITHOUT ROWID""",
            """ALTER TABLE events ADD COLUMN held INTEGER""",
            """CREATE INDEX events_held ON events (key) WHERE held = 1""",
        ),
    ),
    (
        "0012_tenants.sql",
        (
            """CREATE TABLE tenant_deletions (
  tenant TEXT NOT NULL PRIMARY KEY,
  since INTEGER NOT NULL,
  ends_from INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID""",
            """CREATE INDEX endpoints_gone ON endpoints (tenant) WHERE status = 'removed'""",
            """CREATE TRIGGER endpoints_refused BEFORE INSERT ON endpoints
WHEN EXISTS (SELECT 1 FROM tenant_deletions WHERE tenant = NEW.tenant)
BEGIN
  SELECT RAISE(ABORT, 'the tenant is being deleted');
END""",
            """CREATE TRIGGER events_refused BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM tenant_deletions WHERE tenant = NEW.tenant)
BEGIN
  SELECT RAISE(ABORT, 'the tenant is being deleted');
END""",
            """CREATE TRIGGER names_refused BEFORE INSERT ON names
WHEN EXISTS (SELECT 1 FROM tenant_deletions WHERE tenant = NEW.tenant)
BEGIN
  SELECT RAISE(ABORT, 'the tenant is being deleted');
END""",
            """CREATE TRIGGER recoveries_refused BEFORE INSERT ON recoveries
WHEN EXISTS (SELECT 1 FROM tenant_deletions WHERE tenant = NEW.tenant)
BEGIN
  SELECT RAISE(ABORT, 'the tenant is being deleted');
END""",
            """CREATE TRIGGER api_tokens_refused BEFORE INSERT ON api_tokens
WHEN EXISTS (SELECT 1 FROM tenant_deletions WHERE tenant = NEW.tenant)
BEGIN
  SELECT RAISE(ABORT, 'the tenant is being deleted');
END""",
            """CREATE TRIGGER tenant_deletions_proof BEFORE DELETE ON tenant_deletions
WHEN EXISTS (SELECT 1 FROM endpoints WHERE tenant = OLD.tenant AND status <> 'removed')
  OR EXISTS (SELECT 1 FROM endpoints WHERE tenant = OLD.tenant AND status = 'removed')
  OR EXISTS (SELECT 1 FROM subscriptions WHERE tenant = OLD.tenant)
  OR EXISTS (SELECT 1 FROM events WHERE tenant = OLD.tenant)
  OR EXISTS (SELECT 1 FROM names WHERE tenant = OLD.tenant)
  OR EXISTS (SELECT 1 FROM payload_horizons WHERE tenant = OLD.tenant)
  OR EXISTS (SELECT 1 FROM recoveries WHERE tenant = OLD.tenant)
  OR EXISTS (SELECT 1 FROM notices WHERE id > '' AND tenant = OLD.tenant)
  OR EXISTS (SELECT 1 FROM api_tokens WHERE id > '' AND tenant = OLD.tenant)
  OR EXISTS (SELECT 1 FROM audit_log WHERE tenant = OLD.tenant)
BEGIN
  SELECT RAISE(ABORT, 'the tenant is not deleted yet');
END""",
        ),
    ),
)
