"""SQLite behind threads: one writer that commits concurrent callers' writes together, one reader.

Accepted means on disk: ``synchronous=FULL``, and a batch is answered after its commit. Callers that
come while a commit is under way share the next one, so that the disk's pace bounds the commits and
not the writes. A second process on the same file waits its turn (``busy_timeout``).
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from webhook.adapters.sql.database import ConstraintFailed, Row, Statement
from webhook.domain.errors import SchemaError, StoreFull, StoreUnavailable

Rows = list[list[Row]]
Synchronous = Literal["OFF", "NORMAL", "FULL", "EXTRA"]
BUSY_TIMEOUT_MS = 30_000
_TOGETHER_MAX = 256
# The second: there was no room for the index of the write-ahead log to grow.
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
_SWITCH_AGAIN_S = 0.01


class _Job(NamedTuple):
    statements: Sequence[Statement]
    future: asyncio.Future[Rows]
    loop: asyncio.AbstractEventLoop


class _Worker:
    """A thread with a connection of its own that runs jobs in the order they came."""

    def __init__(
        self, name: str, connect: Callable[[], sqlite3.Connection], *, writes: bool
    ) -> None:
        self._connect = connect
        self._writes = writes
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, statements: Sequence[Statement]) -> Rows:
        loop = asyncio.get_running_loop()
        job = _Job(statements, loop.create_future(), loop)
        self._jobs.put(job)
        return await job.future

    def stop(self) -> None:
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        while True:
            jobs = self._next_jobs()
            stopping = None in jobs
            work = [job for job in jobs if job is not None]
            try:
                connection = connection or self._connect()
                answers = self._answers(connection, work) if work else []
            except Exception as error:  # noqa: BLE001 - a thread that ends answers nobody any more
                answers = [told(error) for _ in work]
                if connection is not None and connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        connection.rollback()
            _reply(work, answers)
            if stopping:
                if connection is not None:
                    connection.close()
                self._turn_away()
                return

    def _turn_away(self) -> None:
        """Answer who came from another thread while the worker stopped."""
        with contextlib.suppress(queue.Empty):
            while True:
                late = self._jobs.get_nowait()
                if late is not None:
                    _reply([late], [StoreUnavailable("SQLite: the database was closed.")])

    def _next_jobs(self) -> list[_Job | None]:
        jobs = [self._jobs.get()]
        while self._writes and len(jobs) < _TOGETHER_MAX and jobs[-1] is not None:
            try:
                jobs.append(self._jobs.get_nowait())
            except queue.Empty:
                break
        return jobs

    def _answers(self, connection: sqlite3.Connection, jobs: list[_Job]) -> list[Rows | Exception]:
        if not self._writes:
            connection.execute("BEGIN")
            answers: list[Rows | Exception] = [_execute(connection, job.statements) for job in jobs]
            connection.execute("COMMIT")
            return answers
        connection.execute("BEGIN IMMEDIATE")
        if len(jobs) == 1:
            answers = [_execute(connection, jobs[0].statements)]
        else:
            answers = [_in_savepoint(connection, job.statements) for job in jobs]
        connection.execute("COMMIT")
        return answers


def _execute(connection: sqlite3.Connection, statements: Sequence[Statement]) -> Rows:
    return [connection.execute(sql, parameters).fetchall() for sql, parameters in statements]


def _in_savepoint(
    connection: sqlite3.Connection, statements: Sequence[Statement]
) -> Rows | Exception:
    """Run one caller's batch so that its failure undoes only its own writes."""
    connection.execute("SAVEPOINT caller")
    try:
        answer: Rows | Exception = _execute(connection, statements)
    except Exception as error:
        if not connection.in_transaction:
            raise  # SQLite has undone everybody's writes: the disk is full, or failed
        connection.execute("ROLLBACK TO caller")
        answer = told(error)
    connection.execute("RELEASE caller")
    return answer


def told(error: Exception) -> Exception:
    """Return an error in the words of the port; a caller's own mistake is raised as it is."""
    if isinstance(error, sqlite3.IntegrityError):
        return ConstraintFailed(str(error))
    if not isinstance(error, sqlite3.Error):
        return error
    # What the module itself raises has no code of SQLite's.
    if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return SchemaError(f"The file is no usable SQLite database: {error}. It was not touched.")
    failure = StoreUnavailable(f"SQLite: {error}")
    if getattr(error, "sqlite_errorcode", None) in _FULL:
        failure = StoreFull(f"SQLite: the disk is full ({error}).")
    failure.__cause__ = error
    return failure


def _reply(jobs: list[_Job], answers: list[Rows | Exception]) -> None:
    """Hand the answers to the callers, one call into each event loop."""
    by_loop: dict[
        asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Rows], Rows | Exception]]
    ] = {}
    for job, answer in zip(jobs, answers, strict=True):
        by_loop.setdefault(job.loop, []).append((job.future, answer))
    for loop, replies in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(_resolve, replies)


def _resolve(replies: list[tuple[asyncio.Future[Rows], Rows | Exception]]) -> None:
    for future, answer in replies:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Use a write-ahead log from now on.

    Of several that switch a new file at once SQLite refuses all but one, and does not let them
    wait as it does elsewhere.
    """
    end = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= end:
                raise
            time.sleep(_SWITCH_AGAIN_S)
        else:
            return


class SqliteDatabase:
    """``Database`` over one SQLite file, or in memory when ``path`` is None.

    Nothing is opened before the first call. Raises ``SchemaError`` for a file that is not a
    database, ``StoreUnavailable`` when it cannot be read or written.
    """

    own_clock = False

    def __init__(self, path: str | Path | None, synchronous: Synchronous = "FULL") -> None:
        self._path = None if path is None else Path(path)
        self._synchronous = synchronous
        self._writer: _Worker | None = None
        self._reader: _Worker | None = None

    async def batch(self, statements: Sequence[Statement]) -> Rows:
        """Run statements in one transaction; see ``Database``."""
        if self._writer is None:
            self._writer = _Worker("webhook-sqlite-writer", self._connect, writes=True)
        return await self._writer.run(statements)

    async def read(self, statements: Sequence[Statement]) -> Rows:
        """Run statements that only read; beside the writer, except in memory."""
        if self._path is None:
            return await self.batch(statements)
        if self._reader is None:
            self._reader = _Worker("webhook-sqlite-reader", self._connect, writes=False)
        return await self._reader.run(statements)

    async def close(self) -> None:
        """Finish what was asked for and close; a later call opens anew."""
        workers = [worker for worker in (self._writer, self._reader) if worker is not None]
        self._writer = self._reader = None
        for worker in workers:
            await asyncio.to_thread(worker.stop)

    def _connect(self) -> sqlite3.Connection:
        target = ":memory:" if self._path is None else str(self._path)
        connection = sqlite3.connect(
            target,
            timeout=BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        connection.row_factory = sqlite3.Row
        try:
            _switch_to_wal(connection)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute("PRAGMA mmap_size = 268435456")
        except sqlite3.Error:
            connection.close()
            raise
        return connection
