"""An entry of the audit log goes in the very transaction of its change, and stays as it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from webhook.adapters.sql.access import AuditedDatabase, SqlAccessStore
from webhook.adapters.sql.database import ConstraintFailed, Row, Statement
from webhook.adapters.sql.migrate import migrate
from webhook.adapters.sqlite.database import SqliteDatabase
from webhook.domain.access import AuditEntry
from webhook.domain.errors import StoreUnavailable
from webhook.ports import AuditQuery

ENTRY = AuditEntry(id="aud_01kav9ft0049jvk1h1090508xx", action="x", actor="cli", tenant="a")
PAUSE: Statement = ("INSERT INTO switches (name, since) VALUES ('x', 1)", ())


class Counting(SqliteDatabase):
    """SQLite that keeps what it was asked, and does not answer while it is ``away``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "OFF")
        self.batches: list[int] = []
        self.away = False

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        self.batches.append(len(statements))
        if self.away:
            raise StoreUnavailable
        return await super().batch(statements)


@pytest.fixture
async def stores(tmp_path: Path) -> tuple[Counting, AuditedDatabase, SqlAccessStore]:
    database = Counting(tmp_path / "webhook.db")
    await migrate(database)
    database.batches.clear()
    audited = AuditedDatabase(database)
    return database, audited, SqlAccessStore(audited)


type Stores = tuple[Counting, AuditedDatabase, SqlAccessStore]


async def test_change_and_entry_are_one_batch(stores: Stores) -> None:
    database, audited, store = stores
    async with store.beside([ENTRY]):
        assert await audited.batch([PAUSE, ("SELECT since FROM switches", ())])
        await audited.batch([("DELETE FROM switches", ())])
    assert database.batches == [3, 1]
    assert (await store.list_audit(AuditQuery())).items == [ENTRY]
    await database.close()


async def test_the_caller_sees_the_answers_to_its_own_statements(stores: Stores) -> None:
    database, audited, store = stores
    async with store.beside([ENTRY]):
        answers = await audited.batch([PAUSE, ("SELECT since FROM switches", ())])
    assert [len(rows) for rows in answers] == [0, 1]
    await database.close()


async def test_a_database_that_is_away_gets_neither_and_the_repeat_brings_both(
    stores: Stores,
) -> None:
    database, audited, store = stores
    database.away = True
    async with store.beside([ENTRY]):
        with pytest.raises(StoreUnavailable):
            await audited.batch([PAUSE])
        database.away = False
        await audited.batch([PAUSE])
    assert database.batches == [2, 2]
    assert (await store.list_audit(AuditQuery())).items == [ENTRY]
    await database.close()


async def test_a_change_to_another_database_takes_nothing_along(
    stores: Stores, tmp_path: Path
) -> None:
    database, _, store = stores
    elsewhere = Counting(tmp_path / "other.db")
    await migrate(elsewhere)
    elsewhere.batches.clear()
    async with store.beside([ENTRY]):
        await AuditedDatabase(elsewhere).batch([PAUSE])
    assert elsewhere.batches == [1]
    assert database.batches == [1]
    assert (await store.list_audit(AuditQuery())).items == [ENTRY]
    await database.close()
    await elsewhere.close()


async def test_an_entry_cannot_be_changed_in_sql_either(stores: Stores, tmp_path: Path) -> None:
    database, audited, store = stores
    async with store.beside([ENTRY]):
        pass
    with pytest.raises(ConstraintFailed, match="append-only"):
        await audited.batch([("UPDATE audit_log SET actor = 'nobody'", ())])
    await database.close()
    with sqlite3.connect(tmp_path / "webhook.db") as connection:
        for statement in (
            "UPDATE audit_log SET id = 'x'",
            "UPDATE OR IGNORE audit_log SET actor = 1",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    connection.close()
