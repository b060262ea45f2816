"""Connections that no event can be accepted over: what is wrong is said, and nothing is written."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from tests.outbox.programs import PostgresProgram, Program, SqliteProgram
from tests.outbox.test_outbox import events_of, sent
from webhook import (
    InvalidInput,
    NotSupported,
    StoreUnavailable,
    WebhookRuntimeService,
    create_in_memory_webhook_persistence,
)
from webhook.adapters.sqlite import create_sqlite_webhook_persistence


async def refused(service: WebhookRuntimeService, connection: object, says: str) -> None:
    with pytest.raises(InvalidInput, match=f"(?s)^/connection: .*{says}") as error:
        await service.emit(sent(id="refused"), connection=connection)
    assert [each.pointer for each in error.value.errors] == ["/connection"]


ON_SQLITE = pytest.mark.parametrize("program", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("program", ["postgres"], indirect=True)


async def test_one_of_another_kind(program: Program, service: WebhookRuntimeService) -> None:
    if isinstance(program, SqliteProgram):
        await refused(service, object(), "builtins.object.*give a sqlite3.Connection")
    else:
        other = sqlite3.connect(":memory:")
        await refused(service, other, "sqlite3.Connection, and .* give asyncpg's connection")
        other.close()


async def test_one_that_is_in_no_transaction(
    program: Program, service: WebhookRuntimeService
) -> None:
    await refused(service, program.connection, "in no transaction")
    assert await events_of(service) == []


async def test_one_that_is_closed(program: Program, service: WebhookRuntimeService) -> None:
    other = type(program)(program.place)
    await other.open()
    await other.begin()
    await other.close()
    await refused(service, other.connection, "cannot be used here|in no transaction")


async def test_a_service_that_is_not_open(program: Program) -> None:
    """To open it might wait for the caller's own locks."""
    service = WebhookRuntimeService(persistence=program.persistence(), auto_start=False)
    connection = await program.begin()
    await refused(service, connection, r"call initialize\(\) before your transaction")
    await program.rollback()
    await service.shutdown()


@pytest.mark.parametrize("kind", ["memory", "sqlite in memory"])
async def test_a_store_that_cannot(kind: str) -> None:
    made = create_in_memory_webhook_persistence()
    if kind != "memory":
        made = create_sqlite_webhook_persistence(None)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("BEGIN")
    async with WebhookRuntimeService(persistence=made, auto_start=False) as service:
        with pytest.raises(NotSupported, match=r"^connection: .* leave connection out"):
            await service.emit(sent(), connection=connection)
    connection.close()


@ON_SQLITE
async def test_another_file(
    program: Program, service: WebhookRuntimeService, tmp_path: Path
) -> None:
    for place, says in ((":memory:", "in memory"), (str(tmp_path / "other.db"), "other.db")):
        connection = sqlite3.connect(place, isolation_level=None)
        connection.execute("ATTACH ? AS store", (str(tmp_path / "shop.db"),))
        connection.execute("BEGIN")
        await refused(service, connection, f"{says}.*shop.db: one commit cannot be of two files")
        connection.close()


@ON_SQLITE
async def test_another_name_of_the_same_file(
    service: WebhookRuntimeService, tmp_path: Path
) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "shop.db")
    connection = sqlite3.connect(tmp_path / "link.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    await service.emit(sent(id="linked"), connection=connection)
    connection.execute("COMMIT")
    connection.close()
    assert await events_of(service) == ["linked"]


@ON_SQLITE
async def test_a_temporary_table_in_front_of_the_stores(
    program: Program, service: WebhookRuntimeService
) -> None:
    program.connection.execute("CREATE TEMP TABLE Events (tenant, key, payload)")
    await refused(service, await program.begin(), r"hide the store's \(Events\)")
    await program.rollback()


@ON_SQLITE
async def test_one_of_another_thread(program: Program, service: WebhookRuntimeService) -> None:
    def begun() -> sqlite3.Connection:
        connection = sqlite3.connect(program.place, isolation_level=None)
        connection.execute("BEGIN")
        return connection

    with ThreadPoolExecutor(1) as thread:
        connection = await asyncio.wrap_future(thread.submit(begun))
        await refused(service, connection, "cannot be used here: .*thread")
        thread.submit(connection.close)


@ON_SQLITE
async def test_a_snapshot_that_is_too_old_to_write(
    program: Program, service: WebhookRuntimeService
) -> None:
    program.connection.execute("BEGIN")
    await program.orders()
    await service.emit(sent(id="meanwhile"))
    with pytest.raises(StoreUnavailable, match="begin it with BEGIN IMMEDIATE"):
        await service.emit(sent(id="late"), connection=program.connection)
    await program.rollback()
    assert await events_of(service) == ["meanwhile"]


@ON_POSTGRES
async def test_another_database(program: PostgresProgram, service: WebhookRuntimeService) -> None:
    name = f"other_{program.session()}"
    await program.connection.execute(f"CREATE DATABASE {name}")
    other = await asyncpg.connect(program.place.partition("&schema")[0], database=name)
    async with other.transaction():
        await refused(service, other, "another database than the store's")
    await other.close()
    await program.connection.execute(f"DROP DATABASE {name}")


@ON_POSTGRES
@pytest.mark.parametrize(
    ("begin", "says"),
    [
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", "is serializable: begin one that is READ COMMITTED"),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ", "is repeatable read"),
        ("BEGIN READ ONLY", "only reads"),
    ],
)
async def test_a_transaction_that_will_not_do(
    program: PostgresProgram, service: WebhookRuntimeService, begin: str, says: str
) -> None:
    await program.connection.execute(begin)
    await refused(service, program.connection, says)
    await program.rollback()


@ON_POSTGRES
async def test_a_transaction_that_has_failed(
    program: PostgresProgram, service: WebhookRuntimeService
) -> None:
    connection = await program.begin()
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.execute("SELECT * FROM nowhere")
    await refused(service, connection, "roll it back and begin anew")
    await program.rollback()


@ON_POSTGRES
async def test_a_role_that_may_not(
    program: PostgresProgram, service: WebhookRuntimeService
) -> None:
    """It is told what to grant, and with that granted it goes."""
    role = f"shop_{program.session()}"
    schema = program.place.rpartition("schema=")[2]
    await program.connection.execute(f"CREATE ROLE {role}")
    for granted in (False, True):
        connection = await program.begin()
        await connection.execute(f"SET LOCAL ROLE {role}")
        if granted:
            await service.emit(sent(id="granted"), connection=connection)
            await program.commit()
        else:
            await refused(service, connection, f"GRANT USAGE ON SCHEMA {schema}, and SELECT")
            await program.rollback()
            await connection.execute(
                f"GRANT USAGE ON SCHEMA {schema} TO {role};"
                f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO {role}"
            )
    assert await events_of(service) == ["granted"]
    await program.connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


@ON_POSTGRES
async def test_functions_that_were_removed_are_made_again(
    program: PostgresProgram, service: WebhookRuntimeService
) -> None:
    schema = program.place.rpartition("schema=")[2]
    await service.emit(sent(id="before"), connection=await program.begin())
    await program.commit()
    names = await program.connection.fetch(
        "SELECT proname FROM pg_proc WHERE proname LIKE 'batch%' "
        "AND pronamespace = $1::regnamespace",
        schema,
    )
    for row in names:
        await program.connection.execute(f"DROP FUNCTION {schema}.{row['proname']}")
    assert names
    with pytest.raises(StoreUnavailable, match="begin anew"):
        await service.emit(sent(id="refused"), connection=await program.begin())
    await program.rollback()
    await service.emit(sent(id="after"), connection=await program.begin())
    await program.commit()
    assert sorted(await events_of(service)) == ["after", "before"]
