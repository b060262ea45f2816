"""The migrations, made by `make schema`."""

MIGRATIONS: tuple[tuple[str, str], ...] = (
    (
        "0001_initial.sql",
        """-- The tables of the other stores, in PostgreSQL's words. Names and keys are compared byte by byte
-- (COLLATE "C"), whatever the database's language: walks and cursors depend on it. Payloads and logs
-- are JSON that is kept as text, so that it stays as it came.

CREATE TABLE endpoints (
  lane text COLLATE "C" PRIMARY KEY,
  id text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  external_id text COLLATE "C",
  status text NOT NULL CHECK (status IN ('active', 'inactive', 'suspended', 'error', 'removed')),
  timeout_ms bigint,
  settings text NOT NULL,
  headers text NOT NULL,
  secrets text NOT NULL,
  revision bigint NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  concurrency_max bigint,
  rate_limit_per_second double precision,
  rate_last_at bigint NOT NULL DEFAULT 0,
  failures bigint NOT NULL DEFAULT 0,
  failing_since bigint,
  open_until bigint,
  transitions bigint NOT NULL DEFAULT 0,
  transition text,
  key_id text COLLATE "C" DEFAULT '',
  -- The pace of one that comes back; rate is what its limit and its pace give.
  good_rate double precision NOT NULL DEFAULT 1,
  paced_since bigint,
  rate double precision GENERATED ALWAYS AS (CASE
    WHEN paced_since IS NULL THEN rate_limit_per_second
    ELSE least(coalesce(rate_limit_per_second, 2 * good_rate), 2 * good_rate)
  END) STORED
);
CREATE INDEX endpoints_list ON endpoints (tenant, id) WHERE status <> 'removed';
CREATE UNIQUE INDEX endpoints_external ON endpoints (tenant, external_id)
  WHERE external_id IS NOT NULL AND status <> 'removed';
CREATE INDEX endpoints_removed ON endpoints (updated_at) WHERE status = 'removed';
CREATE INDEX endpoints_key ON endpoints (key_id, lane) WHERE key_id IS NOT NULL;

CREATE TABLE subscriptions (
  tenant text COLLATE "C" NOT NULL,
  pattern text COLLATE "C" NOT NULL,
  lane text COLLATE "C" NOT NULL,
  filters text,
  PRIMARY KEY (tenant, pattern, lane)
);

CREATE TABLE events (
  tenant text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  id text COLLATE "C",
  name text COLLATE "C",
  type text COLLATE "C" NOT NULL,
  targets text NOT NULL,
  payload text NOT NULL,
  ordering_key text COLLATE "C",
  late_targets bigint NOT NULL DEFAULT 0,
  held boolean,
  PRIMARY KEY (tenant, key)
);
CREATE INDEX events_held ON events (key) WHERE held;
CREATE INDEX events_erased ON events (tenant, key) WHERE payload = '';

CREATE TABLE names (
  tenant text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  content_hash text NOT NULL,
  PRIMARY KEY (tenant, name),
  CONSTRAINT name_conflict CHECK (content_hash <> '')
);

-- What is written often leaves dead rows behind, which a claim has to pass: they are tidied away
-- before they are many.
CREATE TABLE deliveries (
  lane text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  state text NOT NULL CHECK (
    state IN ('ready', 'scheduled', 'leased', 'success', 'failed', 'exhausted', 'canceled')
  ),
  due_at bigint,
  claim bigint NOT NULL DEFAULT 0,
  attempts_made bigint NOT NULL DEFAULT 0,
  run_start bigint NOT NULL DEFAULT 0,
  interruptions bigint NOT NULL DEFAULT 0,
  size bigint NOT NULL,
  reason text,
  completed_at bigint,
  log text NOT NULL DEFAULT '[]',
  run_started_at bigint,
  gated boolean,
  start_at bigint,
  ordering_key text COLLATE "C",
  ordering_number bigint,
  PRIMARY KEY (lane, key)
) WITH (
  fillfactor = 85, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000,
  autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1
);
CREATE INDEX deliveries_ready ON deliveries (lane, key) INCLUDE (size) WHERE state = 'ready';
CREATE INDEX deliveries_waiting ON deliveries (due_at)
  WHERE state IN ('scheduled', 'leased') AND due_at IS NOT NULL;
CREATE INDEX deliveries_blocked ON deliveries (lane, key)
  WHERE state = 'scheduled' AND due_at IS NULL;
CREATE INDEX deliveries_dead ON deliveries (tenant, key, lane)
  WHERE state IN ('failed', 'exhausted');
CREATE INDEX deliveries_gated ON deliveries (lane, due_at) WHERE state = 'leased' AND gated;
CREATE INDEX deliveries_ordered ON deliveries (lane, ordering_key, ordering_number)
  WHERE ordering_number IS NOT NULL;
CREATE INDEX deliveries_stopping ON deliveries (lane, key)
  WHERE ordering_number IS NOT NULL AND state IN ('failed', 'exhausted');

-- Up to which key the payloads of a tenant were erased, or their events marked as held.
CREATE TABLE payload_horizons (
  tenant text COLLATE "C" PRIMARY KEY,
  key text COLLATE "C" NOT NULL
);

CREATE TABLE switches (
  name text PRIMARY KEY,
  since bigint NOT NULL
);

CREATE TABLE notices (
  id text COLLATE "C" PRIMARY KEY,
  lane text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  body text NOT NULL
);

CREATE TABLE recoveries (
  id text COLLATE "C" PRIMARY KEY,
  tenant text COLLATE "C" NOT NULL,
  kind text NOT NULL CHECK (kind IN ('failed', 'missed', 'all', 'filter')),
  range text NOT NULL,
  fingerprint text NOT NULL,
  status text NOT NULL CHECK (status IN ('running', 'done', 'canceled')),
  cursor text NOT NULL,
  scanned bigint NOT NULL,
  replayed bigint NOT NULL,
  made bigint NOT NULL,
  reason text,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL
);
CREATE INDEX recoveries_list ON recoveries (tenant, id);
CREATE UNIQUE INDEX recoveries_once ON recoveries (tenant, fingerprint) WHERE status = 'running';
CREATE INDEX recoveries_turn ON recoveries (updated_at) WHERE status = 'running';

CREATE TABLE api_tokens (
  id text COLLATE "C" PRIMARY KEY,
  hash text NOT NULL,
  name text NOT NULL,
  tenant text COLLATE "C",
  scopes text NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint,
  last_used_at bigint
);

CREATE TABLE audit_log (
  id text COLLATE "C" PRIMARY KEY,
  tenant text COLLATE "C" NOT NULL,
  action text NOT NULL,
  actor text NOT NULL,
  target text,
  detail text,
  source text,
  request_id text
);
CREATE INDEX audit_log_list ON audit_log (tenant, id);

-- What a line of an ordering key is locked by: whoever looks at its end, or lets the next one go on,
-- must be alone with it until the commit.
CREATE FUNCTION line_of(lane text, ordering_key text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtextextended(lane || ' ' || ordering_key, 0) $$;

-- An endpoint as it is now, locked, and how many deliveries of it are under way at that time. No row
-- if somebody else has locked it: who claims passes it by. A function's statements see what has been
-- committed until then, so that no two claimers count the same room.
CREATE FUNCTION gate_of(of_lane text, at bigint)
RETURNS TABLE (endpoint endpoints, under_way bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE found_endpoint endpoints;
BEGIN
  SELECT * INTO found_endpoint FROM endpoints AS p WHERE p.lane = of_lane
  FOR NO KEY UPDATE SKIP LOCKED;
  IF FOUND THEN
    RETURN QUERY SELECT found_endpoint, (
      SELECT count(*) FROM deliveries AS d
      WHERE d.state = 'leased' AND d.gated AND d.lane = of_lane AND d.due_at > at
    );
  END IF;
END $$;

-- What ends leaves its line, unless it is to stop it.
CREATE FUNCTION deliveries_leave() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.ordering_number := NULL;
  RETURN NEW;
END $$;
CREATE TRIGGER deliveries_leave BEFORE UPDATE OF state ON deliveries FOR EACH ROW
WHEN (NEW.ordering_number IS NOT NULL AND NEW.state IN ('success', 'canceled'))
EXECUTE FUNCTION deliveries_leave();

-- Who leaves a line lets the next one go on, if that one is blocked.
CREATE FUNCTION deliveries_next() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(line_of(NEW.lane, NEW.ordering_key));
  UPDATE deliveries AS d SET
    state = 'ready',
    due_at = greatest(
      coalesce(NEW.completed_at, 0),
      coalesce((SELECT p.updated_at FROM endpoints AS p WHERE p.lane = NEW.lane), 0)
    )
  WHERE d.lane = NEW.lane AND d.state = 'scheduled' AND d.due_at IS NULL AND d.key = (
    SELECT o.key FROM deliveries AS o
    WHERE o.lane = NEW.lane AND o.ordering_key = NEW.ordering_key AND o.ordering_number IS NOT NULL
    ORDER BY o.ordering_number LIMIT 1
  );
  RETURN NULL;
END $$;
CREATE TRIGGER deliveries_next AFTER UPDATE ON deliveries FOR EACH ROW
WHEN (OLD.ordering_number IS NOT NULL AND NEW.ordering_number IS NULL)
EXECUTE FUNCTION deliveries_next();

-- A start that was given is taken from the rate, in the same write. One that lies far ahead was
-- given before the clock was set back.
CREATE FUNCTION deliveries_rate() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  UPDATE endpoints AS p SET rate_last_at = CASE
    WHEN p.rate_last_at > NEW.start_at + 60000 THEN NEW.start_at
    ELSE greatest(p.rate_last_at, NEW.start_at)
  END
  WHERE p.lane = NEW.lane;
  RETURN NULL;
END $$;
CREATE TRIGGER deliveries_rate AFTER UPDATE OF start_at ON deliveries FOR EACH ROW
WHEN (NEW.start_at IS NOT NULL)
EXECUTE FUNCTION deliveries_rate();

CREATE FUNCTION endpoints_notice() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  INSERT INTO notices (id, lane, tenant, body)
  VALUES (NEW.lane || ':' || NEW.transitions, NEW.lane, NEW.tenant, NEW.transition);
  RETURN NULL;
END $$;
CREATE TRIGGER endpoints_notice AFTER UPDATE OF transitions ON endpoints FOR EACH ROW
WHEN (NEW.transitions > OLD.transitions AND NEW.transition IS NOT NULL)
EXECUTE FUNCTION endpoints_notice();

CREATE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE ON audit_log FOR EACH ROW
EXECUTE FUNCTION audit_log_append_only();

-- A tenant that is being deleted: since when, and from when on that may end. Nothing new of it comes
-- in, which each statement that adds looks at once.
CREATE TABLE tenant_deletions (
  tenant text COLLATE "C" PRIMARY KEY,
  since bigint NOT NULL,
  ends_from bigint NOT NULL DEFAULT 0
);
CREATE INDEX endpoints_gone ON endpoints (tenant) WHERE status = 'removed';

CREATE FUNCTION tenant_refused() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM tenant_deletions AS t JOIN added AS a ON a.tenant = t.tenant) THEN
    RAISE EXCEPTION 'the tenant is being deleted' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER endpoints_refused AFTER INSERT ON endpoints
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION tenant_refused();
CREATE TRIGGER events_refused AFTER INSERT ON events
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION tenant_refused();
-- Before, since a name that is there already is refused as well.
CREATE FUNCTION name_refused() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM tenant_deletions AS t WHERE t.tenant = NEW.tenant) THEN
    RAISE EXCEPTION 'the tenant is being deleted' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER names_refused BEFORE INSERT ON names FOR EACH ROW EXECUTE FUNCTION name_refused();
CREATE TRIGGER recoveries_refused AFTER INSERT ON recoveries
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION tenant_refused();
CREATE TRIGGER api_tokens_refused AFTER INSERT ON api_tokens
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION tenant_refused();

-- A deletion ends only where nothing is left. Deliveries are found by their endpoints, whose rows go
-- after them.
CREATE FUNCTION tenant_deletions_proof() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM endpoints WHERE tenant = OLD.tenant AND status <> 'removed')
    OR EXISTS (SELECT 1 FROM endpoints WHERE tenant = OLD.tenant AND status = 'removed')
    OR EXISTS (SELECT 1 FROM subscriptions WHERE tenant = OLD.tenant)
    OR EXISTS (SELECT 1 FROM events WHERE tenant = OLD.tenant)
    OR EXISTS (SELECT 1 FROM names WHERE tenant = OLD.tenant)
    OR EXISTS (SELECT 1 FROM payload_horizons WHERE tenant = OLD.tenant)
    OR EXISTS (SELECT 1 FROM recoveries WHERE tenant = OLD.tenant)
    OR EXISTS (SELECT 1 FROM notices WHERE id > '' AND tenant = OLD.tenant)
    OR EXISTS (SELECT 1 FROM api_tokens WHERE id > '' AND tenant = OLD.tenant)
    OR EXISTS (SELECT 1 FROM audit_log WHERE tenant = OLD.tenant)
  THEN
    RAISE EXCEPTION 'the tenant is not deleted yet'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN OLD;
END $$;
CREATE TRIGGER tenant_deletions_proof BEFORE DELETE ON tenant_deletions FOR EACH ROW
EXECUTE FUNCTION tenant_deletions_proof();
""",
    ),
)
