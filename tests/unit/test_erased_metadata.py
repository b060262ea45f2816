"""An event that is erased between a recovery's two reads has no metadata to be compared."""

from __future__ import annotations

import sqlite3

from webhook.adapters.sql.migrate import build_webhook_schema_sql
from webhook.adapters.sql.recovery_statements import EVENTS_METADATA


def test_what_was_erased_since_the_scan_is_left_out() -> None:
    database = sqlite3.connect(":memory:")
    for statement in build_webhook_schema_sql():
        database.execute(statement)
    database.executemany(
        "INSERT INTO events (tenant, key, type, targets, payload) VALUES ('t', ?, 'a', '[]', ?)",
        [("k1", ""), ("k2", '{"metadata":{"a":1}}')],
    )
    found = database.execute(EVENTS_METADATA, ("t", '["k1","k2"]')).fetchall()
    database.close()
    assert found == [("k2", '{"a":1}')]
