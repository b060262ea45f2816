-- An endpoint that comes back is not flooded with what waited: see domain/health.py.

-- good_rate: successes a second, the last before its circuit opened. paced_since: when that opened
-- or, later, closed; until what waited has been sent. rate: the starts a second that its limit and its pace give.
ALTER TABLE endpoints ADD COLUMN good_rate REAL NOT NULL DEFAULT 1;
ALTER TABLE endpoints ADD COLUMN paced_since INTEGER;
ALTER TABLE endpoints ADD COLUMN rate REAL AS (iif(
  paced_since IS NULL, rate_limit_per_second,
  min(coalesce(rate_limit_per_second, 2 * good_rate), 2 * good_rate)
)) VIRTUAL;
