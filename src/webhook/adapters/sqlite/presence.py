"""Tells whether other processes are at work on a file, by a lock that ends with its process.

All who work on a database share the lock of the file beside it; who can have it alone is the only
one, and whatever others had claimed was claimed by processes that are dead. SQLite's own locks are
no use for this: they are held for a transaction. Never the database itself is locked, since closing
any handle of it would drop SQLite's locks too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path

from webhook.domain.errors import StoreUnavailable

_log = logging.getLogger("webhook.store")
_LOOK_EVERY_S = 0.02
_LOOKS = 1_500


class Presence:
    """One process's presence on the database at ``path``, from ``enter`` until ``leave``."""

    def __init__(self, path: Path) -> None:
        # SQLite follows links too, so that every name of a database leads to one lock.
        self._file = Path(f"{os.path.realpath(path)}.lock")
        self._handle: int | None = None

    async def enter(self) -> bool:
        """Return whether nobody else is there; until ``share`` then nobody else can enter.

        False as well where that cannot be told, and when this one is there already. Raises
        ``StoreUnavailable`` when somebody else keeps the lock to itself for long.
        """
        if self._handle is not None or sys.platform == "win32":
            return False
        try:
            self._handle = os.open(self._file, os.O_RDONLY | os.O_CREAT, 0o644)
            return self._lock(alone=True) or await self._share()
        except OSError as error:
            self.leave()
            _log.warning("%s cannot be locked, leases end by their time: %s", self._file, error)
            return False
        except BaseException:
            self.leave()
            raise

    async def share(self) -> None:
        """Let others enter."""
        if self._handle is not None:
            await self._share()

    def leave(self) -> None:
        """Be gone; the file stays, since somebody else may be about to lock it."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(OSError):
                os.close(handle)

    async def _share(self) -> bool:
        for _ in range(_LOOKS):
            if self._lock(alone=False):
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
        raise StoreUnavailable(f"Another process that starts holds {self._file}.")

    def _lock(self, *, alone: bool) -> bool:
        if sys.platform == "win32" or self._handle is None:
            return False
        import fcntl  # noqa: PLC0415 - not everywhere

        how = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        try:
            fcntl.flock(self._handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
