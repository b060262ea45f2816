-- A tenant is deleted whole, in pieces, and nothing new of it comes in meanwhile. Events, claims and
-- settles write no row more; an accept looks once more at a table that is empty all but always.

-- since: when it began. ends_from: not before that may it end, since tokens that were revoked are
-- known for a while.
CREATE TABLE tenant_deletions (
  tenant TEXT NOT NULL PRIMARY KEY,
  since INTEGER NOT NULL,
  ends_from INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX endpoints_gone ON endpoints (tenant) WHERE status = 'removed';

CREATE TRIGGER endpoints_refused BEFORE INSERT ON endpoints
WHEN EXISTS (SELECT 1 FROM tenant_deletions WHERE tenant = NEW.tenant)
BEGIN
  SELECT RAISE(ABORT, 'the tenant is being deleted');
END;

CREATE TRIGGER events_refused BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM tenant_deletions WHERE tenant = NEW.tenant)
BEGIN
  SELECT RAISE(ABORT, 'the tenant is being deleted');
END;

CREATE TRIGGER names_refused BEFORE INSERT ON names
WHEN EXISTS (SELECT 1 FROM tenant_deletions WHERE tenant = NEW.tenant)
BEGIN
  SELECT RAISE(ABORT, 'the tenant is being deleted');
END;

CREATE TRIGGER recoveries_refused BEFORE INSERT ON recoveries
WHEN EXISTS (SELECT 1 FROM tenant_deletions WHERE tenant = NEW.tenant)
BEGIN
  SELECT RAISE(ABORT, 'the tenant is being deleted');
END;

CREATE TRIGGER api_tokens_refused BEFORE INSERT ON api_tokens
WHEN EXISTS (SELECT 1 FROM tenant_deletions WHERE tenant = NEW.tenant)
BEGIN
  SELECT RAISE(ABORT, 'the tenant is being deleted');
END;

-- A deletion ends only where nothing is left. Deliveries are found by their endpoints, whose rows
-- go after them.
CREATE TRIGGER tenant_deletions_proof BEFORE DELETE ON tenant_deletions
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
END;
