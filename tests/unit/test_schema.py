"""However the schema comes into a database, it is the same; and it comes whole or not at all."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from tests.project.source import ROOT
from webhook.adapters.sql import migrate as migrate_module
from webhook.adapters.sql.migrate import build_webhook_schema_sql, pending
from webhook.adapters.sql.migrations import MIGRATIONS
from webhook.adapters.sqlite import create_sqlite_webhook_persistence, initialize_webhook_schema
from webhook.adapters.sqlite.database import SqliteDatabase
from webhook.adapters.sqlite.look import missing_migrations
from webhook.domain.errors import SchemaError, StoreUnavailable, WebhookError

NAMES = [name for name, _ in MIGRATIONS]
FILES = sorted((ROOT / "migrations").glob("*.sql"))
type Shape = tuple[list[tuple[str, str, str]], list[str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "webhook.db"


def shape(path: Path) -> Shape:
    """Return what a database holds: its schema, spaces aside, and the migrations on record."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name")
        schema = [(kind, name, _plain(sql or "")) for kind, name, sql in rows]
        applied = connection.execute("SELECT id, name FROM d1_migrations ORDER BY id")
        return schema, [f"{number} {name}" for number, name in applied]


def _plain(sql: str) -> str:
    without_comments = re.sub(r"--[^\n]*", "", sql)
    text = re.sub(r"\s+", " ", without_comments.replace('"d1_migrations"', "d1_migrations"))
    return re.sub(r" ?([(),]) ?", r"\1", text)


def execute(path: Path, statements: Iterable[str]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def execute_script(path: Path, script: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script.read_text("utf-8"))


async def migrated(path: Path) -> list[str]:
    return await initialize_webhook_schema(path)


# What wrangler does for each file that its table does not name.
WRANGLERS_TABLE = """CREATE TABLE IF NOT EXISTS "d1_migrations"(
\t\tid         INTEGER PRIMARY KEY AUTOINCREMENT,
\t\tname       TEXT UNIQUE,
\t\tapplied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
);"""


def as_wrangler_does(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(WRANGLERS_TABLE)
        for file in FILES:
            record = f"\nINSERT INTO d1_migrations (name) values ('{file.name}');"
            connection.executescript(file.read_text("utf-8") + record)


async def test_all_ways_give_the_same_database(tmp_path: Path) -> None:
    ways = {name: tmp_path / f"{name}.db" for name in ("ours", "wrangler", "file", "statements")}
    assert await migrated(ways["ours"]) == NAMES
    as_wrangler_does(ways["wrangler"])
    execute_script(ways["file"], ROOT / "schema.sql")
    execute(ways["statements"], build_webhook_schema_sql())
    shapes = {name: shape(path) for name, path in ways.items()}
    assert shapes["ours"][1] == [f"{n} {name}" for n, name in enumerate(NAMES, start=1)]
    assert len(shapes["ours"][0]) > 10
    assert shapes == dict.fromkeys(ways, shapes["ours"])


@pytest.mark.parametrize("how", ["ours", "wrangler", "file", "statements"])
async def test_after_any_way_there_is_nothing_left_to_migrate(path: Path, how: str) -> None:
    if how == "ours":
        await migrated(path)
    elif how == "wrangler":
        as_wrangler_does(path)
    elif how == "file":
        execute_script(path, ROOT / "schema.sql")
    else:
        execute(path, build_webhook_schema_sql())
    before = shape(path)
    assert await missing_migrations(path) == []
    assert await migrated(path) == []
    assert shape(path) == before


def test_the_history_that_is_built_in_is_the_folders() -> None:
    assert [file.name for file in FILES] == NAMES


def test_each_statement_is_one_statement_and_within_d1s_limit() -> None:
    for statement in build_webhook_schema_sql():
        assert sqlite3.complete_statement(statement + ";")
        # A trigger has statements of its own within.
        parts = re.sub(r"'[^']*'", "", statement).split(";")
        beginnings = [";".join(parts[:end]) + ";" for end in range(1, len(parts))]
        assert not any(map(sqlite3.complete_statement, beginnings))
        assert len(statement.encode()) < 100_000


def test_the_list_of_statements_is_the_callers_own() -> None:
    build_webhook_schema_sql().clear()
    assert build_webhook_schema_sql()


async def test_a_persistence_migrates_at_its_first_use_and_only_then(path: Path) -> None:
    persistence = create_sqlite_webhook_persistence(path)
    assert list(path.parent.iterdir()) == []
    assert persistence.init is not None
    assert persistence.close is not None
    await persistence.init()
    await persistence.init()
    await persistence.close()
    assert shape(path)[1] == [f"{n} {name}" for n, name in enumerate(NAMES, start=1)]


async def test_without_initialize_schema_nothing_is_made(path: Path) -> None:
    persistence = create_sqlite_webhook_persistence(path, initialize_schema=False)
    assert persistence.init is not None
    assert persistence.close is not None
    await persistence.init()
    with pytest.raises(StoreUnavailable, match="no such table"):
        await persistence.endpoint_store.get(None, "ep_x")
    await persistence.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


async def test_two_connections_that_migrate_at_once_do_no_harm(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"{number}.db"
        results = await asyncio.gather(*(migrated(path) for _ in range(4)))
        assert sorted(name for done in results for name in done) == NAMES
        assert shape(path)[1] == [f"{n} {name}" for n, name in enumerate(NAMES, start=1)]


async def test_threads_with_loops_of_their_own_that_migrate_at_once_do_no_harm(
    tmp_path: Path,
) -> None:
    for number in range(10):
        path = tmp_path / f"{number}.db"

        def run(path: Path = path) -> list[str]:
            return asyncio.run(migrated(path))

        results = await asyncio.gather(*(asyncio.to_thread(run) for _ in range(4)))
        assert sorted(name for done in results for name in done) == NAMES


@pytest.mark.parametrize("at", ["first", "later"])
async def test_a_migration_that_fails_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    bad = (
        "0002_bad.sql",
        ("CREATE TABLE half (n INTEGER)", "INSERT INTO half VALUES (1)", "CREATE TABLE half (n)"),
    )
    history = (bad,) if at == "first" else (*MIGRATIONS, bad)
    monkeypatch.setattr(migrate_module, "MIGRATIONS", history)
    with pytest.raises(StoreUnavailable, match="half already exists"):
        await migrated(path)
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    assert "half" not in names
    if at == "first":
        assert names == []
    else:
        assert shape(path)[1] == [f"{n} {name}" for n, name in enumerate(NAMES, start=1)]
    monkeypatch.undo()
    assert await migrated(path) == (NAMES if at == "first" else [])


async def test_a_migration_that_is_missing_in_between_is_applied(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrated(path)
    history = (*MIGRATIONS, ("0002_more.sql", ("CREATE TABLE more (n INTEGER)",)))
    monkeypatch.setattr(migrate_module, "MIGRATIONS", history)
    assert await missing_migrations(path) == ["0002_more.sql"]
    assert await migrated(path) == ["0002_more.sql"]
    assert await migrated(path) == []


async def test_a_database_ahead_of_the_code_is_refused_with_words(path: Path) -> None:
    await migrated(path)
    execute(path, ["INSERT INTO d1_migrations (name) VALUES ('0099_future.sql')"])
    before = digest(path)
    for refused in (migrated(path), missing_migrations(path)):
        with pytest.raises(SchemaError, match=r"0099_future\.sql.*Upgrade"):
            await refused
    assert digest(path) == before


async def test_one_that_is_ahead_but_compatible_is_accepted(path: Path) -> None:
    await migrated(path)
    execute(path, ["INSERT INTO d1_migrations (name) VALUES ('0099_index_compatible.sql')"])
    assert await migrated(path) == []
    assert await missing_migrations(path) == []


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


async def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(path: Path) -> None:
    await asyncio.to_thread(path.write_bytes, b"no database, but somebody's letters\n" * 200)
    before = digest(path)
    for refused in (migrated(path), missing_migrations(path)):
        with pytest.raises(SchemaError, match="no usable SQLite database"):
            await refused
    assert digest(path) == before
    assert [file.name for file in path.parent.iterdir()] == ["webhook.db"]


async def test_another_programs_database_is_told_and_stays_as_it_is(path: Path) -> None:
    execute(path, ["CREATE TABLE invoices (n INTEGER)", "INSERT INTO invoices VALUES (1)"])
    before = digest(path)
    with pytest.raises(SchemaError, match=r"belongs to another program.*invoices"):
        await missing_migrations(path)
    assert digest(path) == before


async def test_our_tables_stand_beside_those_of_the_program_that_asks_for_it(path: Path) -> None:
    # Who calls the library with the path of its own database wants both in one transaction.
    execute(path, ["CREATE TABLE invoices (n INTEGER)", "INSERT INTO invoices VALUES (1)"])
    assert await migrated(path) == NAMES
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM invoices").fetchall() == [(1,)]


async def test_tables_of_our_names_that_are_not_ours_are_refused_with_words(path: Path) -> None:
    execute(path, ["CREATE TABLE events (title TEXT)", "INSERT INTO events VALUES ('party')"])
    with pytest.raises(SchemaError, match=r"another program under our names \(events\)"):
        await migrated(path)
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
        assert names == ["events"]
        assert connection.execute("SELECT * FROM events").fetchall() == [("party",)]


async def test_other_programs_migrations_are_not_taken_for_a_future_of_ours(path: Path) -> None:
    # Several Workers may keep their migrations in one D1 database, so it is refused, with a name.
    execute(path, [WRANGLERS_TABLE, "INSERT INTO d1_migrations (name) VALUES ('0001_blog.sql')"])
    database = SqliteDatabase(path)
    with pytest.raises(WebhookError, match=r"0001_blog\.sql"):
        await pending(database)
    await database.close()
