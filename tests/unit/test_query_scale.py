"""What a call costs depends on what it takes, not on what lies around it.

Cost is counted in steps of SQLite's own machine, so that no clock and no busy neighbour decides.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from webhook.adapters.sql.deliveries import SqlDeliveryStore
from webhook.adapters.sql.endpoints import SqlEndpointStore
from webhook.adapters.sql.migrate import build_webhook_schema_sql
from webhook.adapters.sqlite.database import SqliteDatabase
from webhook.domain.ids import endpoint_of_lane
from webhook.domain.lifecycle import decide
from webhook.domain.model import DeliveryStatus, ErrorKind, NewEvent, Outcome
from webhook.domain.retry import RetryPolicy
from webhook.ports import (
    Claim,
    ClaimRequest,
    DeliveryQuery,
    EndpointQuery,
    EventQuery,
    FirstAttempts,
)

NOW = 1_764_000_000_000
LATER = NOW + 3_600_000
TIME = "01kav9ft00"  # the first ten characters of every id and key here
SMALL, LARGE = 1_000, 300_000
LANES = 20
READY_EACH = 20
MATCHING = 10  # of the lanes, for the type that the events here have
# Steps for a row that a list reads and leaves out, joins and JSON included.
STEPS_A_ROW = 150


class Counting(SqliteDatabase):
    """Counts the steps of all its statements."""

    steps = 0

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.set_progress_handler(self._count, 1)
        return connection

    def _count(self) -> int:
        self.steps += 1
        return 0

    async def cost[T](self, call: Callable[[], Awaitable[T]]) -> tuple[int, T]:
        self.steps = 0
        result = await call()
        return self.steps, result


class Kind(NamedTuple):
    """So many deliveries of one state to each of some endpoints."""

    state: str
    each: int
    due_at: int | None = None


def fill(
    connection: sqlite3.Connection,
    endpoints: int,
    *kinds: Kind,
    first: int = 0,
    status: str = "active",
) -> None:
    """Add endpoints and their deliveries; SQL makes the rows, since there are many."""
    connection.execute(
        """
        WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1 + ?2)
        INSERT INTO endpoints (lane, id, tenant, external_id, status, timeout_ms, settings, headers,
          secrets, revision, created_at, updated_at)
        SELECT printf('%016d', i) || ?3, 'ep_' || ?3 || printf('%016d', i), 'default', NULL, ?4,
          NULL, '{"url":"https://a.example","event_types":["other.*"]}', '{}', '[]', 1, ?5, ?5
        FROM n
        """,
        (first, endpoints, TIME, status, NOW),
    )
    connection.execute(
        """
        INSERT INTO subscriptions
        SELECT 'default', iif(lane < ?1, 'message.*', 'other.*'), lane, NULL FROM endpoints
        WHERE true ON CONFLICT DO NOTHING
        """,
        (f"{MATCHING:016d}",),
    )
    place = first * 1_000_000
    for kind in kinds:
        count = endpoints * kind.each
        connection.execute(
            """
            CREATE TEMP TABLE made AS
            WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
            SELECT printf('%016d', ?2 + i % ?3) || ?4 AS lane, ?4 || printf('%016d', ?5 + i) AS key
            FROM n
            """,
            (count, first, endpoints, TIME, place),
        )
        connection.execute(
            """
            INSERT INTO events (tenant, key, id, name, type, targets, payload)
            SELECT 'default', key, NULL, NULL, 'message.sent', json_array(lane), '{}' FROM made
            """
        )
        connection.execute(
            """
            INSERT INTO deliveries (lane, key, tenant, state, due_at, size)
            SELECT lane, key, 'default', ?1, ?2, 2 FROM made
            """,
            (kind.state, kind.due_at),
        )
        connection.execute("DROP TABLE made")
        place += count


@contextmanager
def filling(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for statement in build_webhook_schema_sql():
            connection.execute(statement)
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")


def make_busy(path: Path, deliveries: int) -> None:
    """Make one with the same work due in it, and so many deliveries around it and elsewhere."""
    mine = deliveries // 2 // LANES - READY_EACH
    with filling(path) as connection:
        fill(
            connection,
            LANES,
            Kind("ready", READY_EACH, NOW),
            Kind("success", mine // 2),
            Kind("scheduled", mine - mine // 2, LATER),
        )
        others = max(1, deliveries // 500)
        fill(
            connection,
            others,
            Kind("success", 125),
            Kind("exhausted", 125),
            first=LANES,
        )
        fill(connection, deliveries // 15, first=LANES + others)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("scale")
    made = {size: folder / f"{size}.db" for size in (SMALL, LARGE)}
    for size, path in made.items():
        make_busy(path, size)
    return made


_numbers = itertools.count()


def new_events(count: int) -> list[NewEvent]:
    return [
        NewEvent(
            key=f"{TIME}{10**15 + next(_numbers):016d}",
            tenant="default",
            type="message.sent",
            payload="{}",
            size=2,
            patterns=["message.sent", "message.*", "*"],
            facets=[],
        )
        for _ in range(count)
    ]


async def claim(database: Counting, *, limit: int = 100, start: str = "") -> tuple[int, Claim]:
    request = ClaimRequest(now=NOW, lease_ms=45_000, limit=limit, per_endpoint=10, start=start)
    return await database.cost(lambda: SqlDeliveryStore(database, joint=True).claim(request))


async def costs(path: Path) -> dict[str, int]:
    """Return what the hot calls cost in a database."""
    database = Counting(path, "OFF")
    store = SqlDeliveryStore(database, joint=True)
    first = FirstAttempts(limit=5, lease_ms=45_000, timeout_ms_max=20_000, timeout_ms_default=1)
    await store.get_event("default", "x")  # opens the database
    events = new_events(10)
    accept, accepted = await database.cost(lambda: store.accept(events, first, NOW))
    assert [event.delivery_count for event in accepted.events] == [MATCHING] * 10
    assert len(accepted.claimed) == 5
    claiming, claimed = await claim(database)
    assert len(claimed.claimed) == 100
    outcome = Outcome(started_at=NOW, latency_ms=1, status_code=500, error_kind=ErrorKind.TLS)
    settlements = [
        decide(each.delivery, outcome, RetryPolicy(), NOW, 0.5) for each in claimed.claimed
    ]
    settle, settled = await database.cost(lambda: store.settle(settlements))
    assert len(settled.applied) == 100
    await database.close()
    return {"accept": accept, "claim": claiming, "settle": settle}


async def test_accept_claim_and_settle_cost_the_same_among_300_times_as_many_deliveries(
    paths: dict[int, Path],
) -> None:
    small, large = [await costs(paths[size]) for size in (SMALL, LARGE)]
    for call, steps in small.items():
        assert large[call] == pytest.approx(steps, rel=0.1), call


async def test_an_empty_claim_costs_nothing_though_10_000_endpoints_wait_for_a_retry(
    tmp_path: Path,
) -> None:
    with filling(tmp_path / "webhook.db") as connection:
        fill(connection, 10_000, Kind("scheduled", 2, LATER))
    database = Counting(tmp_path / "webhook.db")
    await claim(database)
    steps, found = await claim(database)
    assert (found.claimed, found.more, found.next_due_at) == ([], False, LATER)
    assert steps < 700
    await database.close()


async def test_a_claim_past_2_000_paused_endpoints_costs_a_bounded_walk_at_a_time(
    tmp_path: Path,
) -> None:
    with filling(tmp_path / "webhook.db") as connection:
        fill(connection, 2_000, Kind("ready", 5, NOW), status="inactive")
        fill(connection, 1, Kind("ready", 5, NOW), first=2_000)
    database = Counting(tmp_path / "webhook.db")
    start, walks, most = "", 0, 0
    while True:
        steps, found = await claim(database, limit=10, start=start)
        most, walks = max(most, steps), walks + 1
        if found.claimed:
            break
        assert found.next_start > start
        start = found.next_start
    assert len(found.claimed) == 5
    assert walks <= 2_000 // 50
    assert most < 30_000
    await database.close()


# What holds an endpoint's due deliveries back, and the first of them is leased already.
HELD_BACK = {
    "limited": "concurrency_max = 1",
    "rated": f"rate_limit_per_second = 0.1, rate_last_at = {NOW}",
    "failing": f"failures = 10, failing_since = {NOW}, open_until = {NOW + 5_000}",
    "probed": f"failures = 10, failing_since = {NOW}, open_until = {NOW}",
    "paused": "status = 'inactive'",
}


@pytest.fixture(scope="module")
def backlogs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A database with a few due deliveries to each of some endpoints, and many to one more."""
    folder = tmp_path_factory.mktemp("backlogs")
    made = {size: folder / f"{size}.db" for size in (SMALL, LARGE)}
    for size, path in made.items():
        with filling(path) as connection:
            fill(connection, LANES, Kind("ready", READY_EACH, NOW))
            fill(connection, 1, Kind("ready", size, NOW), first=LANES)
            connection.execute(
                """
                UPDATE deliveries SET state = 'leased', gated = 1, due_at = ?1 WHERE key = (
                  SELECT min(key) FROM deliveries WHERE lane = ?2
                )
                """,
                (LATER, f"{LANES:016d}{TIME}"),
            )
    return made


async def cost_of_a_claim(path: Path, *, change: str, limit: int) -> tuple[int, int, bool]:
    """Return the cost of a claim while the one endpoint is so, how much it took, and ``more``."""
    database = Counting(path, "OFF")
    lane = f"{LANES:016d}{TIME}"
    undo = """UPDATE endpoints SET status = 'active', concurrency_max = NULL, failures = 0,
      rate_limit_per_second = NULL, open_until = NULL"""
    await database.batch([(f"UPDATE endpoints SET {change} WHERE lane = ?1", (lane,))])
    steps, found = await claim(database, limit=limit)
    taken = [(each.delivery.endpoint_id, each.delivery.key) for each in found.claimed]
    assert endpoint_of_lane(lane) not in dict(taken)
    again = """UPDATE deliveries SET state = 'ready', due_at = ?1, gated = NULL
      WHERE state = 'leased' AND gated IS NULL"""
    await database.batch([(undo, ()), (again, (NOW,))])
    await database.close()
    return steps, len(taken), found.more


@pytest.mark.parametrize("how", HELD_BACK)
@pytest.mark.parametrize("limit", [50, 400])
async def test_a_claim_costs_the_same_whatever_an_endpoint_that_is_held_back_has_due(
    backlogs: dict[int, Path], how: str, limit: int
) -> None:
    small, large = [
        await cost_of_a_claim(backlogs[size], change=HELD_BACK[how], limit=limit)
        for size in (SMALL, LARGE)
    ]
    # All that the others have due fits within their share of 10 each.
    assert small[1:] == large[1:] == (min(limit, LANES * 10), True)
    assert large[0] == pytest.approx(small[0], rel=0.02)


async def test_a_claim_costs_nothing_while_sending_is_paused(backlogs: dict[int, Path]) -> None:
    database = Counting(backlogs[LARGE], "OFF")
    store = SqlDeliveryStore(database, joint=True)
    await store.pause_sending(NOW)
    steps, found = await claim(database)
    await store.resume_sending()
    assert (found.claimed, found.more) == ([], False)
    assert steps < 5_000
    await database.close()


LISTS: dict[str, Callable[[Counting], Awaitable[object]]] = {
    "events": lambda d: SqlDeliveryStore(d).list_events(EventQuery(tenant="default", limit=50)),
    "deliveries": lambda d: SqlDeliveryStore(d).list_deliveries(
        DeliveryQuery(tenant="default", limit=50)
    ),
    "of an endpoint": lambda d: SqlDeliveryStore(d).list_deliveries(
        DeliveryQuery(tenant="default", limit=50, endpoint_id=endpoint_of_lane(f"{1:016d}{TIME}"))
    ),
    "dead": lambda d: SqlDeliveryStore(d).list_deliveries(
        DeliveryQuery(tenant="default", limit=50, status=DeliveryStatus.EXHAUSTED)
    ),
    "endpoints": lambda d: SqlEndpointStore(d).list(EndpointQuery(tenant="default", limit=50)),
}


@pytest.mark.parametrize("name", LISTS)
async def test_a_page_of_a_list_costs_what_it_shows(paths: dict[int, Path], name: str) -> None:
    database = Counting(paths[LARGE], "OFF")
    await LISTS[name](database)
    steps, _ = await database.cost(lambda: LISTS[name](database))
    # 51 rows are looked at; a query's own beginning and end are small beside them.
    assert steps < 51 * STEPS_A_ROW
    await database.close()


UNFINDABLE: dict[str, Callable[[Counting], Awaitable[object]]] = {
    "events of a type": lambda d: SqlDeliveryStore(d).list_events(
        EventQuery(tenant="default", limit=50, type="no.such")
    ),
    "deliveries of a type": lambda d: SqlDeliveryStore(d).list_deliveries(
        DeliveryQuery(tenant="default", limit=50, event_type="no.such")
    ),
    "deliveries with an error": lambda d: SqlDeliveryStore(d).list_deliveries(
        DeliveryQuery(tenant="default", limit=50, error_kind=ErrorKind.TLS)
    ),
    "dead with an error": lambda d: SqlDeliveryStore(d).list_deliveries(
        DeliveryQuery(
            tenant="default",
            limit=50,
            status=DeliveryStatus.EXHAUSTED,
            error_kind=ErrorKind.REFUSED,
        )
    ),
}


@pytest.mark.parametrize("name", UNFINDABLE)
async def test_a_list_that_finds_nothing_reads_a_bounded_number_of_rows(
    paths: dict[int, Path], name: str
) -> None:
    database = Counting(paths[LARGE], "OFF")
    await database.read([("SELECT 1", ())])
    steps, page = await database.cost(lambda: UNFINDABLE[name](database))
    assert page.items == []  # type: ignore[attr-defined] # a page
    assert page.after is not None  # type: ignore[attr-defined] # a page
    assert steps < 10_000 * STEPS_A_ROW
    await database.close()


async def test_a_sweep_that_finds_nothing_costs_little(paths: dict[int, Path]) -> None:
    database = Counting(paths[LARGE], "OFF")
    store = SqlDeliveryStore(database, joint=True)
    await database.batch([("SELECT 1", ())])
    steps, report = await database.cost(lambda: store.sweep(NOW, 0, 500))
    assert (report.canceled, report.events_removed) == (0, 0)
    assert steps < 20_000
    await database.close()
