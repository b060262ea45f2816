-- Limits and health of an endpoint, and the operator's switch. A row more is written for each
-- delivery of an endpoint that has a limit or keeps failing, two where it has a rate.

-- rate_last_at: the last start that the rate gave. failures: how many attempts have failed in a
-- row, the first at failing_since; once they are many, nothing is sent before open_until, and then
-- one at a time.
ALTER TABLE endpoints ADD COLUMN concurrency_max INTEGER;
ALTER TABLE endpoints ADD COLUMN rate_limit_per_second REAL;
ALTER TABLE endpoints ADD COLUMN rate_last_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoints ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoints ADD COLUMN failing_since INTEGER;
ALTER TABLE endpoints ADD COLUMN open_until INTEGER;

-- gated: leased while the endpoint had a limit or kept failing. start_at: the start that the rate
-- gave it.
ALTER TABLE deliveries ADD COLUMN gated INTEGER;
ALTER TABLE deliveries ADD COLUMN start_at INTEGER;

-- What of a gated endpoint is under way.
CREATE INDEX deliveries_gated ON deliveries (lane, due_at) WHERE state = 'leased' AND gated = 1;

-- A start that was given is taken from the rate, in the same write. One that lies far ahead was
-- given before the clock was set back.
CREATE TRIGGER deliveries_rate AFTER UPDATE OF start_at ON deliveries
WHEN NEW.start_at IS NOT NULL
BEGIN
  UPDATE endpoints
  SET rate_last_at = iif(
    rate_last_at > NEW.start_at + 60000, NEW.start_at, max(rate_last_at, NEW.start_at)
  )
  WHERE lane = NEW.lane;
END;

-- Switches of the operator; "sending_paused" is there or not.
CREATE TABLE switches (
  name TEXT NOT NULL PRIMARY KEY,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
