"""Accepting in the caller's own transaction: the commit delivers, a rollback forgets."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import Any

import asyncpg
import pytest

from tests.outbox.programs import PostgresProgram, Program, SqliteProgram
from tests.receiver import WAIT_S, Receiver
from webhook import (
    Conflict,
    EndpointInput,
    EventQuery,
    InvalidInput,
    WebhookConfig,
    WebhookEvent,
    WebhookRuntimeService,
)

HOUR_MS = 3_600_000


def sent(data: object = None, **options: Any) -> WebhookEvent:
    return WebhookEvent(type="message.sent", data=data, **options)


async def events_of(service: WebhookRuntimeService) -> list[str]:
    return [event.id for event in (await service.list_events(EventQuery())).items]


async def test_a_commit_delivers_once(
    program: Program, service: WebhookRuntimeService, receiver: Receiver
) -> None:
    connection = await program.begin()
    await program.order("a")
    accepted = await service.emit(sent({"order": "a"}), connection=connection)
    assert (accepted.delivery_count, accepted.duplicate) == (1, False)
    await program.commit()
    assert await program.orders() == ["a"]
    await service.flush()
    await service.flush()
    [request] = receiver.requests
    assert request.json()["data"] == {"order": "a"}
    assert request.headers["webhook-id"] == accepted.id


async def test_nothing_is_seen_or_sent_before_the_commit(
    program: Program, service: WebhookRuntimeService, receiver: Receiver
) -> None:
    connection = await program.begin()
    await service.emit(sent(), connection=connection)
    assert await events_of(service) == []
    if isinstance(program, PostgresProgram):  # in SQLite a claim waits for the end
        await service.flush()
    assert receiver.requests == []
    await program.commit()
    assert len(await events_of(service)) == 1


async def test_a_rollback_leaves_neither_event_nor_name(
    program: Program, service: WebhookRuntimeService, receiver: Receiver
) -> None:
    connection = await program.begin()
    await program.order("a")
    await service.emit_many([sent(1, id="a"), sent(1, idempotency_key="a")], connection=connection)
    await program.rollback()
    await service.flush()
    assert (await program.orders(), await events_of(service), receiver.requests) == ([], [], [])
    for again in (sent(2, id="a"), sent(2, idempotency_key="a")):
        assert (await service.emit(again)).duplicate is False


async def test_a_duplicate_is_reported_as_ever(
    program: Program, service: WebhookRuntimeService, receiver: Receiver
) -> None:
    before = await service.emit(sent(1, id="before"))
    connection = await program.begin()
    within = await service.emit(sent(2, id="within"), connection=connection)
    answers = await service.emit_many(
        [sent(1, id="before"), sent(2, id="within"), sent(3)], connection=connection
    )
    await program.commit()
    assert [answer.duplicate for answer in answers] == [True, True, False]
    assert [answer.key for answer in answers[:2]] == [before.key, within.key]
    assert (await service.emit(sent(2, id="within"))).duplicate is True
    await service.flush()
    assert sorted(body["data"] for body in receiver.bodies()) == [1, 2, 3]


async def test_a_conflict_undoes_its_call_alone(
    program: Program, service: WebhookRuntimeService
) -> None:
    connection = await program.begin()
    await program.order("a")
    await service.emit(sent(1, id="taken"), connection=connection)
    with pytest.raises(Conflict, match="/1: This name was used before"):
        await service.emit_many([sent(7, id="free"), sent(2, id="taken")], connection=connection)
    await service.emit(sent(3, id="other"), connection=connection)
    await program.commit()
    assert await program.orders() == ["a"]
    assert sorted(await events_of(service)) == ["other", "taken"]


async def test_lines_keep_the_order_of_the_commits(
    program: Program, service: WebhookRuntimeService, receiver: Receiver
) -> None:
    await service.emit(sent(0, ordering_key="k"))
    connection = await program.begin()
    for number in (1, 2):
        await service.emit(sent(number, ordering_key="k"), connection=connection)
    await program.commit()
    await service.emit(sent(3, ordering_key="k"))
    await service.flush()
    assert [body["data"] for body in receiver.bodies()] == [0, 1, 2, 3]


async def test_what_is_wrong_with_an_event_is_said_without_touching_the_transaction(
    program: Program, service: WebhookRuntimeService
) -> None:
    connection = await program.begin()
    with pytest.raises(InvalidInput, match="/type"):
        await service.emit(WebhookEvent(type="no type!", data=1), connection=connection)
    await program.order("a")
    await program.commit()
    assert await program.orders() == ["a"]


@pytest.mark.parametrize("program", ["postgres"], indirect=True)
async def test_the_commit_tells_whoever_listens_and_a_rollback_nobody(
    program: PostgresProgram, service: WebhookRuntimeService
) -> None:
    dsn, _, schema = program.place.partition("&schema=")
    told: asyncio.Queue[object] = asyncio.Queue()

    def hear(_: object, pid: int, __: str, payload: object) -> None:
        if pid == program.session():
            told.put_nowait(payload)

    listener = await asyncpg.connect(dsn)
    await listener.add_listener(f"{schema}_due", hear)
    for end in (program.rollback, program.commit):
        await service.emit(sent(id="a"), connection=await program.begin())
        assert told.empty()
        await end()
    # Hints come in the order of the commits.
    await program.connection.execute("SELECT pg_notify($1, 'last')", f"{schema}_due")
    async with asyncio.timeout(WAIT_S):
        assert [await told.get(), await told.get()] == ["", "last"]
    await listener.close()


async def test_the_loop_finds_it_after_the_commit(program: Program, receiver: Receiver) -> None:
    poll_ms = 50 if isinstance(program, SqliteProgram) else HOUR_MS
    service = WebhookRuntimeService(
        WebhookConfig(allow_http=True, allow_private_hosts=True, batch_timeout_ms=poll_ms),
        persistence=program.persistence(),
    )
    await service.add_endpoint(EndpointInput(url=receiver.url, event_types=["*"]))
    for count in (1, 2):
        connection = await program.begin()
        await service.emit(sent(count), connection=connection)
        await program.commit()
        await receiver.wait(count)
    assert [body["data"] for body in receiver.bodies()] == [1, 2]
    await service.shutdown()


async def test_what_the_caller_has_made_of_its_connection_stays_so(
    program: Program, service: WebhookRuntimeService
) -> None:
    """Rows, texts and JSON of its own, and on PostgreSQL a search path."""
    connection = program.connection
    if isinstance(connection, sqlite3.Connection):
        connection.text_factory = bytes
        connection.row_factory = lambda _, row: {"row": row}
    else:
        await connection.set_type_codec(
            "json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
        )
        await connection.execute("SET search_path TO pg_temp")
    await program.begin()
    accepted = await service.emit_many([sent("é", id="a"), sent(2)], connection=connection)
    assert [answer.delivery_count for answer in accepted] == [1, 1]
    assert accepted[0].id == "a"
    if isinstance(connection, sqlite3.Connection):
        assert connection.execute("SELECT 'x'").fetchall() == [{"row": (b"x",)}]
    else:
        assert await connection.fetchval("SHOW search_path") == "pg_temp"
    await program.commit()
    assert len(await events_of(service)) == 2


@pytest.mark.parametrize("program", ["postgres"], indirect=True)
async def test_each_way_of_asyncpg_to_begin_will_do(
    program: Program, service: WebhookRuntimeService
) -> None:
    dsn = program.place.partition("&schema")[0]
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection, connection.transaction():
            await service.emit(sent(1), connection=connection)
            inner = connection.transaction()
            await inner.start()
            await service.emit(sent(2, id="undone"), connection=connection)
            await inner.rollback()
        assert len(await events_of(service)) == 1


@pytest.mark.parametrize("program", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["implicit", "autocommit off"])
async def test_each_way_of_sqlite3_to_begin_will_do(
    program: Program, service: WebhookRuntimeService, how: str
) -> None:
    options: dict[str, Any] = {} if how == "implicit" else {"autocommit": False}
    connection = sqlite3.connect(program.place, **options)
    for name in ("undone", "done"):
        connection.execute("INSERT INTO orders VALUES (?)", (name,))
        await service.emit(sent(name, id=name), connection=connection)
        if name == "undone":
            connection.rollback()
        else:
            connection.commit()
    connection.close()
    assert (await program.orders(), await events_of(service)) == (["done"], ["done"])
