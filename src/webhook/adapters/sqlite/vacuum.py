"""Rewrites a file so that nothing is left of rows that were deleted or overwritten."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from webhook.domain.errors import StoreUnavailable

_BUSY_TIMEOUT_S = 30


async def vacuum(path: str | Path) -> None:
    """Rewrite the file and empty its write-ahead log; raises ``StoreUnavailable``.

    Free pages and the unused ends of pages go, and the log, where plaintext may have stood. It
    needs as much room again as the file has, and holds up writes while it runs.
    """
    await asyncio.to_thread(_vacuum, Path(path))


def _vacuum(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)) as file:
            file.execute("PRAGMA secure_delete = ON")
            file.execute("VACUUM")
            [busy, _, _] = file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise StoreUnavailable(f"SQLite: not rewritten: {error}") from error
    if busy:
        raise StoreUnavailable(
            "SQLite: the file was rewritten, but its log not emptied, since somebody reads it."
        )
