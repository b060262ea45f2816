-- Operational events: what became of an endpoint or a delivery is noted in the write that made it
-- so, and told to the tenant's subscribers afterwards; then the note goes.

-- transitions: how often an endpoint was disabled or has recovered. transition: what is to be told of
-- the last time, NULL where that is nothing.
ALTER TABLE endpoints ADD COLUMN transitions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoints ADD COLUMN transition TEXT;

-- What is still to be told. id: the endpoint's lane and the transition's number, or the lane, the
-- event's key and the claim's number.
CREATE TABLE notices (
  id TEXT NOT NULL PRIMARY KEY,
  lane TEXT NOT NULL,
  tenant TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER endpoints_notice AFTER UPDATE OF transitions ON endpoints
WHEN NEW.transitions > OLD.transitions AND NEW.transition IS NOT NULL
BEGIN
  INSERT INTO notices (id, lane, tenant, body)
  VALUES (NEW.lane || ':' || NEW.transitions, NEW.lane, NEW.tenant, NEW.transition);
END;
