"""Rows made in SQL, by the set, for a service that is to find them there."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from webhook.domain.ids import key_floor, lane_of

_STEP = 100_000


def add_deliveries(
    database: Path, endpoint_id: str, count: int, *, state: str, age_ms: int
) -> None:
    """Give an endpoint so many deliveries, each of an event of its own that is as old as this."""
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        now = int(time.time() * 1000)
        lane, old = lane_of(endpoint_id), key_floor(now - age_ms)[:10]
        due_at = now if state == "ready" else None
        for start in range(0, count, _STEP):
            given = (start, min(count, start + _STEP), lane, old, state, due_at)
            connection.execute("BEGIN")
            connection.execute(_EVENTS, given[:4])
            connection.execute(_DELIVERIES, given)
            connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # Else the service's next fsync would have to write all of it.
    with database.open("rb+") as file:
        os.fsync(file.fileno())


_MADE = """
WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2),
made (key) AS (SELECT ?4 || printf('%016d', i) FROM n)"""

_EVENTS = f"""
INSERT INTO events (tenant, key, id, name, type, targets, payload)
{_MADE}
SELECT 'default', key, NULL, NULL, 'bench.old', json_array(?3),
  '{{"id":"evt_' || key || '","type":"bench.old","data":{{"text":"{"x" * 150}"}}}}'
FROM made
"""  # noqa: S608 - all of it is ours
_DELIVERIES = f"""
INSERT INTO deliveries (lane, key, tenant, state, due_at, attempts_made, size, log)
{_MADE}
SELECT ?3, key, 'default', ?5, ?6, ?5 = 'success', 230,
  iif(?5 = 'success', '[{{"number":1,"started_at":1,"latency_ms":12,"status_code":200}}]', '[]')
FROM made
"""  # noqa: S608 - as above
