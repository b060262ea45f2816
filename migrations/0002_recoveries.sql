-- Recoveries: many deliveries made again, piece by piece. One writes 4 rows at its start, 4 a piece
-- (its own row twice and its two places among those that run), 2 for each new run and 3 for each
-- delivery that it makes of an event that was missed. What was there before writes no row more.

-- When the present run began, if a replay or a recovery began it: what "pending for so long" counts
-- from. NULL is the accept, whose time is the key's.
ALTER TABLE deliveries ADD COLUMN run_started_at INTEGER;

-- id: "rcv_" and a key, time first. range: what it looks at, as JSON; cursor: how far it has come.
-- fingerprint: the same for the same wish.
CREATE TABLE recoveries (
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
) STRICT, WITHOUT ROWID;

CREATE INDEX recoveries_list ON recoveries (tenant, id);

-- One of a kind at a time, however often somebody clicks.
CREATE UNIQUE INDEX recoveries_once ON recoveries (tenant, fingerprint) WHERE status = 'running';

-- Which one to go on with: they take turns.
CREATE INDEX recoveries_turn ON recoveries (updated_at) WHERE status = 'running';
