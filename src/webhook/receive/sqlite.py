"""``SqliteSeen``: what was handled, in a file that processes share."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from webhook.receive.seen import KEEP_S, State

_SCHEMA = """
CREATE TABLE IF NOT EXISTS webhook_seen (
    scope TEXT NOT NULL, id TEXT NOT NULL, done INTEGER NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (scope, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS webhook_seen_until ON webhook_seen (until);
"""
_BEGIN = """
INSERT INTO webhook_seen (scope, id, done, until) VALUES (?1, ?2, 0, ?3)
ON CONFLICT DO UPDATE SET done = 0, until = excluded.until WHERE until <= ?4
RETURNING 1
"""
_DONE = """
INSERT INTO webhook_seen (scope, id, done, until) VALUES (?1, ?2, 1, ?3)
ON CONFLICT DO UPDATE SET done = 1, until = excluded.until
"""
# A few more than a begin adds, so that the table shrinks, and no begin waits for a long delete.
_FORGET = """
DELETE FROM webhook_seen WHERE (scope, id) IN (
    SELECT scope, id FROM webhook_seen WHERE until <= ?1 AND NOT (scope = ?2 AND id = ?3) LIMIT 10
)
"""


class SqliteSeen:
    """Remembers in an SQLite file, over restarts and for all processes of a machine.

    ``scope`` tells the receivers that share a file apart; give each its own.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        scope: str = "",
        keep_s: float = KEEP_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._scope, self._keep_s, self._clock = path, scope, keep_s, clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._parents: sqlite3.Connection | None = None
        self._process = 0

    def begin(self, message_id: str, ttl: float) -> State:
        """See ``Seen``."""
        with self._lock:
            database, now = self._open(), self._clock()
            with database:
                database.execute("BEGIN IMMEDIATE")
                marked = database.execute(
                    _BEGIN, (self._scope, message_id, now + ttl, now)
                ).fetchall()
                if marked:
                    database.execute(_FORGET, (now, self._scope, message_id))
                    return "new"
                [(done,)] = database.execute(
                    "SELECT done FROM webhook_seen WHERE scope = ? AND id = ?",
                    (self._scope, message_id),
                )
            return "done" if done else "running"

    def done(self, message_id: str) -> None:
        """See ``Seen``."""
        with self._lock:
            until = self._clock() + self._keep_s
            self._open().execute(_DONE, (self._scope, message_id, until))

    def abort(self, message_id: str) -> None:
        """See ``Seen``."""
        with self._lock:
            self._open().execute(
                "DELETE FROM webhook_seen WHERE scope = ? AND id = ? AND NOT done",
                (self._scope, message_id),
            )

    def close(self) -> None:
        """Close the file; another call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        # A connection must not be used after a fork, nor closed: it is the parent's.
        if self._connection is None or self._process != os.getpid():
            self._parents = self._connection
            self._connection = sqlite3.connect(
                self._path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._process = os.getpid()
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(_SCHEMA)
        return self._connection
