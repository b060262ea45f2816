-- Ordered delivery. What has no ordering key writes no row more. What has one writes its place in
-- line besides, and is never sent before it was claimed; a row that waited writes two more when its
-- turn comes.

ALTER TABLE events ADD COLUMN ordering_key TEXT;

-- Of one ordering key at one endpoint the deliveries stand in line by their number, which the
-- accept gives: the highest there and one more. Only the first of a line is due. The others are
-- "scheduled" without a time: in deliveries_waiting they stand in front of all times, by lane and
-- key, where nobody comes by who looks for what is due. Who ends loses the number, and thereby its
-- place; a dead letter keeps it where the endpoint wants its key to stop.
ALTER TABLE deliveries ADD COLUMN ordering_key TEXT;
ALTER TABLE deliveries ADD COLUMN ordering_number INTEGER;

CREATE INDEX deliveries_ordered ON deliveries (lane, ordering_key, ordering_number)
  WHERE ordering_number IS NOT NULL;

-- Dead letters that stop their key; a row only when it happens.
CREATE INDEX deliveries_stopping ON deliveries (lane, key)
  WHERE ordering_number IS NOT NULL AND state IN ('failed', 'exhausted');

-- Whatever ends a delivery takes it out of its line.
CREATE TRIGGER deliveries_leave AFTER UPDATE OF state ON deliveries
WHEN NEW.ordering_number IS NOT NULL AND NEW.state IN ('success', 'canceled')
BEGIN
  UPDATE deliveries SET ordering_number = NULL WHERE lane = NEW.lane AND key = NEW.key;
END;

-- Whoever leaves a line lets the one become due that is the first now, in the same write: since the
-- end of the one before it, or since the endpoint was changed so as to let it go.
CREATE TRIGGER deliveries_next AFTER UPDATE OF ordering_number ON deliveries
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
END;
