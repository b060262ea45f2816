-- Payloads that are kept for less long than their events. Nothing is written for it unless
-- payload_days is set; then 2 rows for each payload that is erased, 1 for each delivery that has kept
-- a response, 1 for each tenant in a piece that finds any, and 2 for each event that must wait.

-- Up to which key the payloads of a tenant were erased, or marked as held.
CREATE TABLE payload_horizons (
  tenant TEXT NOT NULL PRIMARY KEY,
  key TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- held: something of the event was pending when the others of its age lost their payloads, or
-- stopped an ordering key; it loses its own once that has ended.
ALTER TABLE events ADD COLUMN held INTEGER;
CREATE INDEX events_held ON events (key) WHERE held = 1;
