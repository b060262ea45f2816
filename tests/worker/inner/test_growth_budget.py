"""D1 reads as many rows for a call whatever waits beside it: ``benchmarks.growth``, in rows."""

from __future__ import annotations

import os

import pytest
from workers import env

from tests.worker.inner.test_budget import Bench, clock, figures

FEW = 10
# A million, by hand; the plans are the same, and so are the rows.
MANY = int(os.environ.get("WEBHOOK_TEST_MANY", "5000"))
HOUR_MS = 3_600_000
STEP = 100_000
ORDERED = "ordered behind one under way"
# What holds back an endpoint, as its row says it.
HELD_BACK = {
    "paused": "status = 'inactive'",
    ORDERED: None,
    "its concurrency used up": "concurrency_max = 1",
    "its rate used up": "rate_limit_per_second = 0.01, rate_last_at = :now + 50000",
    "its circuit open": "failures = 10, failing_since = :now, open_until = :now + 600000",
}

NUMBERS = """
WITH RECURSIVE n(i) AS (SELECT :start UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :end)
"""
DUE = """
INSERT INTO deliveries (lane, key, tenant, state, due_at, size, ordering_key, ordering_number)
SELECT e.lane, printf('0000000000%016d', i), 'default', :state, 1, :line
FROM n CROSS JOIN endpoints AS e
"""
ENDPOINTS = """
INSERT INTO endpoints
  (lane, id, tenant, status, settings, headers, secrets, revision, created_at, updated_at)
SELECT printf('z%025d', i), printf('ep_0%025d', i), 'default', 'active',
  '{"url":"https://example.com","event_types":["other.type"]}', '{}', '[]', 1, 1, 1
FROM n
"""
RETRIES = """
INSERT INTO deliveries (lane, key, tenant, state, due_at, size)
SELECT printf('z%025d', i), printf('0000000000%016d', i), 'default', 'scheduled', :due, 1 FROM n
"""


async def run(sql: str, **given: int | str) -> None:
    """Run one statement; ``:name`` is taken from what is given, which is all ours."""
    for name, value in given.items():
        sql = sql.replace(f":{name}", f"{value}")
    await env.DB.prepare(sql).run()


async def add_due(bench: Bench, how: str, count: int) -> None:
    """Add an endpoint that has this many due, the first of them under way, and hold it back."""
    await bench.add_endpoints(1, "other.type")
    now = clock.now_ms()
    ordered = how == ORDERED
    for start in range(0, count, STEP):
        await run(
            NUMBERS + DUE,
            start=start,
            end=min(count, start + STEP),
            state="'scheduled', NULL" if ordered else f"'ready', {now}",
            line="'k', i + 1" if ordered else "NULL, NULL",
        )
    await run(
        "UPDATE deliveries SET state = 'leased', gated = 1, due_at = :lease"
        " WHERE key = printf('0000000000%016d', 0)",
        lease=now + HOUR_MS,
    )
    if (held_back := HELD_BACK[how]) is not None:
        await run(f"UPDATE endpoints SET {held_back}", now=now)


async def add_waiting(count: int) -> None:
    """Add endpoints that have nothing but a retry in an hour."""
    for start in range(0, count, STEP):
        for sql in (ENDPOINTS, RETRIES):
            await run(
                NUMBERS + sql,
                start=start,
                end=min(count, start + STEP),
                due=clock.now_ms() + HOUR_MS,
            )


async def rows_read(how: str, count: int) -> dict[str, int]:
    """Count what an accept, a claim and a settle of 50 deliveries read beside that."""
    bench = await Bench().clean()
    if how in HELD_BACK:
        await add_due(bench, how, count)
    else:
        await add_waiting(count)
    await bench.add_endpoints(5)
    return await figures(bench)


@pytest.mark.parametrize("how", [*HELD_BACK, "endpoints that wait for a retry"])
async def test_rows_read_are_the_same_whatever_waits_beside(how: str) -> None:
    few, many = await rows_read(how, FEW), await rows_read(how, MANY)
    await Bench().clean()
    print(f"rows read beside {FEW} and {MANY:,}, {how}:", few, many)
    for name, rows in few.items():
        assert many[name] <= rows * 1.1, (few, many)
