"""The schema on a real D1: two isolates at once, and the statements for whoever wants them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from workers import env

from webhook.adapters.cloudflare import (
    build_webhook_schema_sql,
    create_d1_webhook_persistence,
    initialize_webhook_schema,
)
from webhook.adapters.cloudflare.d1 import D1Database
from webhook.adapters.sql.migrate import pending

OURS = "name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_cf%' ESCAPE '\\'"


@pytest.fixture(autouse=True)
async def emptied() -> AsyncIterator[None]:
    """Begin with nothing; leave the whole schema to the tests that follow."""
    await drop_all()
    yield
    await drop_all()
    await initialize_webhook_schema(env.DB)


async def drop_all() -> None:
    [tables] = await D1Database(env.DB).read(
        [(f"SELECT name FROM sqlite_master WHERE type = 'table' AND {OURS}", ())]
    )
    if tables:
        await env.DB.batch([env.DB.prepare(f'DROP TABLE "{row["name"]}"') for row in tables])


async def schema() -> dict[str, str]:
    [rows] = await D1Database(env.DB).read(
        [(f"SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND {OURS}", ())]
    )
    return {row["name"]: re.sub(r"\s+", "", row["sql"]) for row in rows}


async def records() -> list[str]:
    [rows] = await D1Database(env.DB).read([("SELECT name FROM d1_migrations ORDER BY id", ())])
    return [row["name"] for row in rows]


async def test_the_schema_is_made_once_however_many_want_it_at_once() -> None:
    applied = await asyncio.gather(*(initialize_webhook_schema(env.DB) for _ in range(5)))
    names = [name for one in applied for name in one]
    assert names == sorted(set(names))
    assert await records() == names
    assert await initialize_webhook_schema(env.DB) == []


async def test_two_services_that_start_at_once_find_one_schema() -> None:
    stores = [create_d1_webhook_persistence(env.DB) for _ in range(2)]
    await asyncio.gather(*(store.init() for store in stores if store.init is not None))
    assert await pending(D1Database(env.DB)) == []


async def test_the_statements_make_what_the_migrations_make_and_leave_nothing_to_do() -> None:
    await initialize_webhook_schema(env.DB)
    migrated, recorded = await schema(), await records()
    await drop_all()
    await env.DB.batch([env.DB.prepare(sql) for sql in build_webhook_schema_sql()])
    assert await schema() == migrated
    assert await records() == recorded
    assert await initialize_webhook_schema(env.DB) == []


async def test_a_store_told_not_to_leaves_the_schema_alone() -> None:
    store = create_d1_webhook_persistence(env.DB, initialize_schema=False)
    if store.init is not None:
        await store.init()
    assert await schema() == {}
