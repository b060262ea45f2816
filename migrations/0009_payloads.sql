-- Events whose payload was erased, so that lists and recoveries tell them without reading payloads.
-- An accept writes no row more for it.
CREATE INDEX events_erased ON events (tenant, key) WHERE payload = '';
