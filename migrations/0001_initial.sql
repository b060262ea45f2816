-- Endpoints, events, deliveries and names. A row is money on D1, and so is each entry of an index:
-- one event to one endpoint writes 3 rows at accept (event, delivery, its place in the queue), 1 at
-- settle and 2 at retention.
--
-- "lane" is an endpoint's id turned round: its 16 random characters first, then the 10 of its time,
-- so that a walk over lanes can start anywhere and be fair. Times are epoch milliseconds.

CREATE TABLE endpoints (
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
) STRICT, WITHOUT ROWID;

CREATE INDEX endpoints_list ON endpoints (tenant, id) WHERE status <> 'removed';

CREATE UNIQUE INDEX endpoints_external ON endpoints (tenant, external_id)
  WHERE external_id IS NOT NULL AND status <> 'removed';

-- Removed endpoints stay for as long as their deliveries do.
CREATE INDEX endpoints_removed ON endpoints (updated_at) WHERE status = 'removed';

-- One row per pattern of an active endpoint; filters are groups of facets, see domain/matching.py.
CREATE TABLE subscriptions (
  tenant TEXT NOT NULL,
  pattern TEXT NOT NULL,
  lane TEXT NOT NULL,
  filters TEXT,
  PRIMARY KEY (tenant, pattern, lane)
) STRICT, WITHOUT ROWID;

-- id is the caller's own and NULL when it is "evt_" + key; targets are the lanes it went to.
CREATE TABLE events (
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  id TEXT,
  name TEXT,
  type TEXT NOT NULL,
  targets TEXT NOT NULL,
  payload TEXT NOT NULL,
  PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

-- A caller's own event id ("id:...") or idempotency key ("key:..."). An accept that meets the name
-- with other content empties the hash; the check then undoes the whole accept.
CREATE TABLE names (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  key TEXT NOT NULL,
  content_hash TEXT NOT NULL,
  PRIMARY KEY (tenant, name),
  CONSTRAINT name_conflict CHECK (content_hash <> '')
) STRICT, WITHOUT ROWID;

-- ready -> leased -> success, failed, exhausted, canceled, or scheduled -> ready; see
-- domain/lifecycle.py. due_at: when a ready or scheduled one is due, when the lease of a leased one
-- ends. log: its attempts as JSON.
CREATE TABLE deliveries (
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
) STRICT, WITHOUT ROWID;

-- What the claim walks, lane by lane: only work that is due.
CREATE INDEX deliveries_ready ON deliveries (lane, key, size) WHERE state = 'ready';

-- What becomes ready by itself: retries that fall due and leases that end.
CREATE INDEX deliveries_waiting ON deliveries (due_at) WHERE state IN ('scheduled', 'leased');

-- Dead letters; a row only when it happens.
CREATE INDEX deliveries_dead ON deliveries (tenant, key) WHERE state IN ('failed', 'exhausted');
