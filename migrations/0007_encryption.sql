-- Encryption at rest of an endpoint's headers and secrets: these columns then hold a JSON string in
-- place of an object and an array; see adapters/sql/sealing.py. A row more is written for each
-- endpoint that is made.

-- With which key they are encrypted: '' with none, NULL when there is nothing in them.
ALTER TABLE endpoints ADD COLUMN key_id TEXT DEFAULT '';

-- Which keys are in use, and what is to be encrypted anew.
CREATE INDEX endpoints_key ON endpoints (key_id, lane) WHERE key_id IS NOT NULL;

-- That secrets have been stored in the clear, so that free pages of the file may still hold some.
INSERT INTO switches (name, since) SELECT 'plaintext_stored', 0 WHERE EXISTS (SELECT 1 FROM endpoints);
