-- How many of an event's targets a recovery added at their end: its name is answered as the first
-- time, with the deliveries of then. No row more is written for it.
ALTER TABLE events ADD COLUMN late_targets INTEGER NOT NULL DEFAULT 0;
