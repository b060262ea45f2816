"""Whoever migrates, wrangler or the Worker or two of them at once: one schema, and nothing left."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.worker.conftest import scratch_folder
from tests.worker.harness import LOCAL, Api, database_files, until
from tools import ROOT
from tools.d1 import apply_migrations, execute_file
from tools.dev_worker import DevWorker
from webhook.adapters.cloudflare import build_webhook_schema_sql
from webhook.adapters.sql.migrations import MIGRATIONS

_MASTER = """
SELECT type, name, sql FROM sqlite_master
WHERE name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_cf%' ESCAPE '\\' AND sql IS NOT NULL
"""
NAMES = [name for name, _ in MIGRATIONS]
Schema = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def by_wrangler() -> Iterator[Path]:
    """A state that ``wrangler d1 migrations apply`` has made of nothing."""
    with scratch_folder() as state:
        applied = apply_migrations(state)
        assert all(name in applied for name in NAMES)
        yield state


@pytest.fixture(scope="module")
def by_workers() -> Iterator[tuple[Path, list[int]]]:
    """A state that two Workers have made of nothing, at once, and what they answered meanwhile."""
    with scratch_folder() as state, ExitStack() as stack:
        workers = [
            DevWorker(state_dir=state, env=LOCAL, migrate=False, ready_path="/no-such-path")
            for _ in range(2)
        ]
        # Workers end with the thread that starts them, so the threads stay until all is over.
        pool = stack.enter_context(ThreadPoolExecutor(max_workers=16))
        for started in [pool.submit(worker.start) for worker in workers]:
            stack.callback(started.result().stop)
        assert database_files(state) == []
        asked = [pool.submit(_statuses, Api(workers[n % 2])) for n in range(16)]
        yield state, [status for statuses in asked for status in statuses.result()]


def _statuses(api: Api) -> list[int]:
    """Ask until all is well, and return each status."""
    statuses: list[int] = []

    def well() -> bool:
        statuses.append(api.send("GET", "/health").status)
        return statuses[-1] == 200

    until(well)
    return statuses


def schema_of(database: sqlite3.Connection) -> Schema:
    """Return each table and index of a database, spaces aside."""
    rows = database.execute(_MASTER).fetchall()
    return {(kind, name): re.sub(r"\s+", "", sql) for kind, name, sql in rows}


def schema_in(state: Path) -> Schema:
    """Return the schema of a state, which a Worker may have open."""
    [file] = database_files(state)
    with scratch_folder() as folder:
        for part in file.parent.glob(f"{file.name}*"):
            shutil.copy(part, folder)
        with closing(sqlite3.connect(folder / file.name)) as database:
            return schema_of(database)


def records(state: Path) -> list[tuple[int, str, str]]:
    """Return what is recorded of the migrations."""
    [file] = database_files(state)
    with closing(sqlite3.connect(file)) as database:
        return database.execute("SELECT * FROM d1_migrations ORDER BY id").fetchall()


def test_what_wrangler_migrated_leaves_the_worker_nothing_to_do(by_wrangler: Path) -> None:
    before = records(by_wrangler)
    assert [name for _, name, _ in before] == NAMES
    with DevWorker(state_dir=by_wrangler, env=LOCAL, migrate=False) as worker:
        api = Api(worker)
        assert api.send("GET", "/health").status == 200
        assert api.emit()["delivery_count"] == 0
    assert records(by_wrangler) == before


def test_two_workers_that_migrate_at_once_do_no_harm(by_workers: tuple[Path, list[int]]) -> None:
    state, statuses = by_workers
    assert statuses.count(200) == 16
    # SQLite lets one process in at a time; D1 as a service has none of that.
    assert set(statuses) <= {200, 503}
    assert [name for _, name, _ in records(state)] == NAMES


def test_what_the_worker_migrated_leaves_wrangler_nothing_to_do(
    by_workers: tuple[Path, list[int]],
) -> None:
    state, _ = by_workers
    assert "No migrations to apply" in apply_migrations(state)


def test_schema_sql_goes_through_wrangler_and_leaves_nothing_to_do(scratch: Path) -> None:
    assert all(result["success"] for result in execute_file(scratch, ROOT / "schema.sql"))
    assert "No migrations to apply" in apply_migrations(scratch)
    assert schema_in(scratch) == built_schema()


def test_migrations_worker_and_function_give_the_same_schema(
    by_wrangler: Path, by_workers: tuple[Path, list[int]]
) -> None:
    built = built_schema()
    assert {name for _, name in built} >= {"deliveries", "endpoints", "events", "d1_migrations"}
    assert schema_in(by_wrangler) == built
    assert schema_in(by_workers[0]) == built


def built_schema() -> Schema:
    """Return the schema that ``build_webhook_schema_sql`` makes of an empty SQLite."""
    with closing(sqlite3.connect(":memory:")) as database:
        for statement in build_webhook_schema_sql():
            database.execute(statement)
        return schema_of(database)
