"""However many wait behind the first of a line, every call costs what it costs without them.

Counted in steps of SQLite's own machine, as in test_query_scale.py.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.unit.test_query_scale import (
    MATCHING,
    NOW,
    TIME,
    Counting,
    Kind,
    claim,
    fill,
    filling,
    new_events,
)
from webhook.adapters.sql.deliveries import SqlDeliveryStore
from webhook.domain.ids import DeliveryRef, endpoint_of_lane
from webhook.domain.lifecycle import decide
from webhook.domain.model import DeliveryState, NewEvent, Outcome
from webhook.domain.retry import RetryPolicy
from webhook.ports import NO_FIRST_ATTEMPTS, Overdue

LINE = "conversation-1"
LANE = f"{0:016d}{TIME}"
FEW, MANY = 10, 100_000


def make_line(path: Path, waiting: int) -> None:
    """Make endpoints with work, and at one of them a line: the first is ready, the others wait."""
    with filling(path) as connection:
        fill(connection, 20, Kind("ready", 5, NOW))
        connection.execute(
            """
            WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
            INSERT INTO deliveries (
              lane, key, tenant, state, due_at, size, ordering_key, ordering_number
            )
            SELECT ?2, ?3 || printf('%016d', 100000000 + i), 'default',
              iif(i = 0, 'ready', 'scheduled'), iif(i = 0, ?4, NULL), 2, ?5, i + 1
            FROM n
            """,
            (waiting, LANE, TIME, NOW, LINE),
        )
        connection.execute(
            """
            INSERT INTO events (tenant, key, id, name, type, targets, payload, ordering_key)
            SELECT 'default', key, NULL, NULL, 'message.sent', json_array(lane), '{}', ordering_key
            FROM deliveries WHERE ordering_key IS NOT NULL
            """
        )


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("lines")
    made = {waiting: folder / f"{waiting}.db" for waiting in (FEW, MANY)}
    for waiting, path in made.items():
        make_line(path, waiting)
    return made


def in_line(event: NewEvent) -> NewEvent:
    return msgspec.structs.replace(event, ordering_key=LINE)


async def costs(path: Path) -> dict[str, int]:
    database = Counting(path, "OFF")
    store = SqlDeliveryStore(database, joint=True)
    await store.get_event("default", "x")  # opens the database
    found: dict[str, int] = {}
    plain, ordered = new_events(10), [in_line(event) for event in new_events(10)]
    found["accept"], _ = await database.cost(lambda: store.accept(plain, NO_FIRST_ATTEMPTS, NOW))
    found["accept in line"], made = await database.cost(
        lambda: store.accept(ordered, NO_FIRST_ATTEMPTS, NOW)
    )
    assert [event.delivery_count for event in made.events] == [MATCHING] * 10
    found["claim"], taken = await claim(database)
    [first] = [c.delivery for c in taken.claimed if c.delivery.key.endswith(f"{10**8:016d}")]
    next_ref = DeliveryRef(first.endpoint_id, f"{TIME}{10**8 + 1:016d}")
    found["claim again"], again = await claim(database)
    assert next_ref not in [c.delivery.ref for c in again.claimed]
    outcome = Outcome(started_at=NOW, latency_ms=1, status_code=200)
    settlement = decide(first, outcome, RetryPolicy(), NOW, 0.5)
    found["settle"], settled = await database.cost(lambda: store.settle([settlement]))
    assert settled.applied == [first.ref]
    found["get"], waiting = await database.cost(lambda: store.get_delivery(None, next_ref))
    assert waiting is not None
    assert waiting.state is DeliveryState.READY
    last_ref = DeliveryRef(first.endpoint_id, f"{TIME}{10**8 + FEW:016d}")
    found["cancel"], canceled = await database.cost(
        lambda: store.cancel(None, last_ref, NOW, "not needed")
    )
    assert canceled is not None
    assert canceled.state is DeliveryState.CANCELED
    overdue = Overdue(NOW - 1_000, "too long")
    found["sweep"], report = await database.cost(lambda: store.sweep(NOW, 0, 500, overdue))
    assert report.canceled == 0
    await database.close()
    return found


async def test_100_000_that_wait_behind_the_first_slow_down_nothing(
    paths: dict[int, Path],
) -> None:
    few, many = [await costs(paths[waiting]) for waiting in (FEW, MANY)]
    print("steps with 10 and with 100,000 in line:", few, many)
    for call, steps in few.items():
        assert many[call] == pytest.approx(steps, rel=0.1), call


async def test_an_empty_claim_costs_as_little_as_without_a_line(tmp_path: Path) -> None:
    path = tmp_path / "webhook.db"
    make_line(path, MANY)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM deliveries WHERE ordering_key IS NULL")
    database = Counting(path)
    [first] = (await claim(database))[1].claimed
    assert first.delivery.endpoint_id == endpoint_of_lane(LANE)
    steps, found = await claim(database)
    assert (found.claimed, found.more) == ([], False)
    assert steps < 700
    await database.close()
