"""SQLite behind threads: commits are shared, failures are not, and accepted means on disk."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from webhook.adapters.sql.database import ConstraintFailed, Row, Statement
from webhook.adapters.sqlite.database import SqliteDatabase
from webhook.domain.errors import StoreFull, StoreUnavailable

TABLE: Statement = ("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, who TEXT)", ())
ALL: Statement = ("SELECT n FROM t ORDER BY n", ())


def insert(number: int, who: str = "") -> Statement:
    return ("INSERT INTO t VALUES (?1, ?2)", (number, who))


async def numbers(database: SqliteDatabase) -> list[int]:
    [rows] = await database.read([ALL])
    return [row["n"] for row in rows]


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    return tmp_path / "webhook.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    made = SqliteDatabase(path)
    await made.batch([TABLE])
    yield made
    await made.close()


class Traced(SqliteDatabase):
    """Notes every statement that its connections run."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path)
        self.statements: list[str] = []

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.set_trace_callback(self.statements.append)
        return connection

    def count(self, statement: str) -> int:
        return self.statements.count(statement)


class Gate:
    """A SQL function that holds the writer until the test lets it go on."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self) -> int:
        self.reached.set()
        assert self.open.wait(30)
        return 1


class Gated(Traced):
    """Lets a test hold the writer in the middle of a job: ``SELECT gate()``."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path)
        self.gate = Gate()

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.create_function("gate", 0, self.gate)
        return connection

    async def hold(self) -> asyncio.Future[list[list[Row]]]:
        """Occupy the writer; whoever comes now has to wait together with the others."""
        held = asyncio.ensure_future(self.batch([("SELECT gate()", ())]))
        await asyncio.to_thread(self.gate.reached.wait, 30)
        return held


@pytest.fixture
async def gated(path: Path) -> AsyncIterator[Gated]:
    made = Gated(path)
    await made.batch([TABLE])
    yield made
    made.gate.open.set()
    await made.close()


def run(*programs: list[str]) -> list[str]:
    """Run Python programs side by side; return what they print, complaints included."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", *program],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for program in programs
    ]
    return [process.communicate()[0].strip() for process in processes]


async def together(
    database: Gated, *batches: list[Statement]
) -> list[list[list[Row]] | BaseException]:
    """Run batches in one commit; return their answers."""
    held = await database.hold()
    waiting = [asyncio.ensure_future(database.batch(batch)) for batch in batches]
    await asyncio.sleep(0)
    database.gate.open.set()
    await held
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_callers_that_wait_share_one_commit(gated: Gated) -> None:
    gated.statements.clear()
    await together(gated, *[[insert(n)] for n in range(100)])
    assert await numbers(gated) == list(range(100))
    # One for whoever held the writer, one for the hundred.
    assert gated.count("COMMIT") - 1 == 2  # and one of the reader
    assert gated.count("BEGIN IMMEDIATE") == 2


async def test_a_lone_caller_has_a_commit_of_its_own(path: Path) -> None:
    database = Traced(path)
    await database.batch([TABLE])
    for number in range(3):
        await database.batch([insert(number)])
    assert database.count("COMMIT") == 4
    await database.close()


async def test_a_constraint_undoes_the_whole_batch_of_its_caller_and_nothing_else(
    gated: Gated,
) -> None:
    answers = await together(
        gated,
        [insert(1)],
        [insert(2), insert(3), insert(1, "again"), insert(4)],
        [insert(5), insert(6)],
        [insert(2, "free again")],
    )
    assert [type(answer) for answer in answers] == [list, ConstraintFailed, list, list]
    assert await numbers(gated) == [1, 2, 5, 6]


@pytest.mark.parametrize(
    "bad",
    [
        ("INSERT INTO missing VALUES (1)", ()),
        ("NOT SQL AT ALL", ()),
        ("INSERT INTO t VALUES (?1, ?2)", (7,)),
        ("INSERT INTO t VALUES (?1, '')", (2**70,)),
        ("INSERT INTO t VALUES (7, ?1)", ("\ud800",)),
        ("INSERT INTO t VALUES (7, zeroblob(2000000000))", ()),
    ],
    ids=["no table", "no SQL", "few parameters", "huge number", "lone surrogate", "huge value"],
)
async def test_a_callers_own_mistake_hurts_nobody_else(gated: Gated, bad: Statement) -> None:
    answers = await together(gated, [insert(1)], [insert(2), bad], [insert(3)])
    assert isinstance(answers[0], list)
    assert isinstance(answers[1], Exception)
    assert isinstance(answers[2], list)
    assert await numbers(gated) == [1, 3]
    # And the writer goes on.
    await gated.batch([insert(4)])
    assert await numbers(gated) == [1, 3, 4]


@pytest.mark.parametrize(
    "bad",
    [
        ("SELECT * FROM missing", ()),
        ("SELECT ?1", (2**70,)),
        ("SELECT ?1", ("\ud800",)),
        ("SELECT ?1, ?2", (1,)),
    ],
    ids=["no table", "huge number", "lone surrogate", "few parameters"],
)
async def test_a_reader_gets_over_a_mistake(database: SqliteDatabase, bad: Statement) -> None:
    with pytest.raises((StoreUnavailable, OverflowError, UnicodeError)):
        await database.read([bad])
    assert await numbers(database) == []
    await database.batch([insert(1)])
    assert await numbers(database) == [1]


async def test_a_batch_is_answered_statement_by_statement(database: SqliteDatabase) -> None:
    answers = await database.batch(
        [insert(1), ("INSERT INTO t VALUES (2, 'x') RETURNING n, who", ()), ALL]
    )
    assert [[tuple(row) for row in rows] for rows in answers] == [[], [(2, "x")], [(1,), (2,)]]


async def test_a_reader_does_not_wait_for_the_writer(gated: Gated) -> None:
    await gated.batch([insert(1)])
    held = await gated.hold()
    assert await numbers(gated) == [1]
    gated.gate.open.set()
    await held


async def test_what_was_written_is_read_at_once(database: SqliteDatabase) -> None:
    for number in range(50):
        await database.batch([insert(number)])
        assert await numbers(database) == list(range(number + 1))


async def test_in_memory_there_is_one_database_for_both() -> None:
    database = SqliteDatabase(None)
    await database.batch([TABLE, insert(1)])
    assert await numbers(database) == [1]
    await database.close()


@pytest.mark.parametrize(("asked", "pragma"), [(None, 2), ("FULL", 2), ("NORMAL", 1), ("OFF", 0)])
async def test_accepted_means_on_disk_unless_told_otherwise(
    path: Path, asked: str | None, pragma: int
) -> None:
    options: Any = {} if asked is None else {"synchronous": asked}
    database = SqliteDatabase(path, **options)
    [[synchronous], [journal]] = await database.batch(
        [("PRAGMA synchronous", ()), ("PRAGMA journal_mode", ())]
    )
    assert dict(synchronous) == {"synchronous": pragma}
    assert dict(journal) == {"journal_mode": "wal"}
    await database.close()


async def test_what_was_answered_is_seen_by_another_process(
    database: SqliteDatabase, path: Path
) -> None:
    await database.batch([insert(7)])
    assert await asyncio.to_thread(run, [READER, str(path)]) == ["(7,)"]


READER = """
import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute("SELECT n FROM t"))
"""
WRITER = """
import asyncio, sys
from webhook.adapters.sqlite.database import SqliteDatabase

async def main(path, first, count):
    database = SqliteDatabase(path, "OFF")
    await database.batch([("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, who TEXT)", ())])
    await asyncio.gather(*(
        database.batch([("INSERT INTO t VALUES (?1, ?2)", (first + n, path))]) for n in range(count)
    ))
    await database.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


async def test_processes_on_one_file_lose_nothing(path: Path) -> None:
    # The file is not there yet, so they also make it at the same time.
    writers = [[WRITER, str(path), str(first), "300"] for first in (0, 300, 600)]
    assert await asyncio.to_thread(run, *writers) == ["", "", ""]
    database = SqliteDatabase(path)
    assert await numbers(database) == list(range(900))
    await database.close()


async def test_many_connections_open_a_new_file_at_once(tmp_path: Path) -> None:
    for number in range(10):
        databases = [SqliteDatabase(tmp_path / f"{number}.db", "OFF") for _ in range(6)]
        await asyncio.gather(*(d.batch([TABLE, insert(n)]) for n, d in enumerate(databases)))
        assert await numbers(databases[0]) == list(range(6))
        await asyncio.gather(*(d.close() for d in databases))


async def test_a_writer_waits_for_the_lock_of_another_process(
    database: SqliteDatabase, path: Path
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.ensure_future(database.batch([insert(1)]))
    assert await numbers(database) == []
    assert not writing.done()
    other.execute("COMMIT")
    other.close()
    await writing
    assert await numbers(database) == [1]


async def test_closing_waits_for_what_was_asked_for(gated: Gated, path: Path) -> None:
    folder = path.parent
    held = await gated.hold()
    writing = [asyncio.ensure_future(gated.batch([insert(n)])) for n in range(20)]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(gated.close())
    await asyncio.sleep(0)
    gated.gate.open.set()
    await closing
    await asyncio.gather(held, *writing)
    assert [file.name for file in folder.iterdir()] == ["webhook.db"]
    assert await numbers(gated) == list(range(20))


async def test_closing_twice_or_unopened_does_no_harm(path: Path) -> None:
    database = SqliteDatabase(path)
    await database.close()
    assert list(path.parent.iterdir()) == []
    await database.batch([TABLE])
    await asyncio.gather(database.close(), database.close())
    await database.close()


async def test_a_caller_that_goes_away_takes_nothing_along(gated: Gated) -> None:
    held = await gated.hold()
    callers = [asyncio.ensure_future(gated.batch([insert(n)])) for n in range(4)]
    await asyncio.sleep(0)
    callers[1].cancel()
    callers[2].cancel()
    gated.gate.open.set()
    results = await asyncio.gather(held, *callers, return_exceptions=True)
    assert [type(result) for result in results[1:]] == [
        list,
        asyncio.CancelledError,
        asyncio.CancelledError,
        list,
    ]
    # What had been asked for is done; only nobody hears of it.
    assert await numbers(gated) == [0, 1, 2, 3]


async def test_a_caller_whose_loop_has_ended_hurts_nobody(gated: Gated) -> None:
    held = await gated.hold()

    def ask_and_leave() -> None:
        async def ask() -> None:
            asking = asyncio.ensure_future(gated.batch([insert(1)]))
            await asyncio.sleep(0)
            asking.cancel()

        asyncio.run(ask())

    await asyncio.to_thread(ask_and_leave)
    mine = asyncio.ensure_future(gated.batch([insert(2)]))
    await asyncio.sleep(0)
    gated.gate.open.set()
    await asyncio.gather(held, mine)
    assert await numbers(gated) == [1, 2]


async def test_several_event_loops_use_one_database(database: SqliteDatabase) -> None:
    def write(first: int) -> None:
        async def writing() -> None:
            await asyncio.gather(*(database.batch([insert(first + n)]) for n in range(50)))

        asyncio.run(writing())

    await asyncio.gather(*(asyncio.to_thread(write, first) for first in (0, 50, 100)))
    assert await numbers(database) == list(range(150))


async def test_a_folder_that_is_missing_is_told_and_made_good_later(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    database = SqliteDatabase(folder / "webhook.db")
    with pytest.raises(StoreUnavailable):
        await database.batch([TABLE])
    folder.mkdir()
    await database.batch([TABLE, insert(1)])
    assert await numbers(database) == [1]
    await database.close()


async def test_a_disk_that_is_full_is_told_to_all_and_gone_when_there_is_room(
    gated: Gated,
) -> None:
    await gated.batch([("PRAGMA max_page_count = 3", ())])
    answers = await together(gated, [insert(1, "x" * 100_000)], [insert(2, "y" * 100_000)])
    assert [type(answer) for answer in answers] == [StoreFull] * 2
    await gated.batch([("PRAGMA max_page_count = 1000000", ())])
    await gated.batch([insert(3)])
    assert await numbers(gated) == [3]
