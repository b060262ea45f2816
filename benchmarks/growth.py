"""What accept, claim and settle cost on SQLite, by how much lies around.

Files with 10 thousand, 100 thousand, 1 and 5 million ended deliveries and their events, over
1,000 endpoints; and files with 10 thousand, and beside them 100,000 endpoints that have only a
retry in an hour, or one endpoint that has a million due and is paused, ordered, limited or failing.
On each, in turns, so that whatever else the machine does meets all alike: an accept of 10 events
for 10 endpoints, a claim of those 100 deliveries and their settle, through the store that ``webhook
serve`` uses, with synchronous=FULL. What counts is the processor time of each, the system's share
included, which a busy machine stretches far less than the time on the wall; that stands beside it.
Medians, against the file with 10 thousand.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common.report import arguments, run, table, verdict
from webhook.adapters.sql.migrate import build_webhook_schema_sql
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.domain.event import WebhookEvent, prepare
from webhook.domain.ids import KeyMaker, key_floor
from webhook.domain.lifecycle import decide
from webhook.domain.model import Outcome
from webhook.domain.retry import RetryPolicy
from webhook.ports import NO_FIRST_ATTEMPTS, ClaimRequest, WebhookPersistence

BOUND = 1.3
ENDPOINTS, MATCHING, EVENTS = 1_000, 10, 10
LEASE_MS = 45_000
HOUR_MS = 3_600_000
CALLS = ("accept", "claim", "settle")
WARM_UP = 5
# A line of deliveries by the end of their keys, which are numbers here.
ORDERED = "ordering_key = 'k', ordering_number = CAST(substr(key, 11) AS INTEGER)"
_STEP = 250_000
_keys = KeyMaker(os.urandom)


class Case(NamedTuple):
    """What lies in a file."""

    name: str
    ended: int
    waiting_endpoints: int = 0
    due: int = 0
    held_back: str | None = None


def cases(*, quick: bool) -> list[Case]:
    """Return what is measured; the first is what the others are compared with."""
    base, many = 10_000, 1_000_000
    sizes = (base, 100_000, many) if quick else (base, 100_000, many, 5_000_000)
    return [
        *(Case(f"{size:,} ended", size) for size in sizes),
        Case("100,000 endpoints wait for a retry", base, waiting_endpoints=100_000),
        *(
            Case(f"{many:,} due, {name}", base, due=many, held_back=held_back)
            for name, held_back in (
                ("paused", "status = 'inactive'"),
                ("ordered behind one under way", ORDERED),
                ("its concurrency used up", "concurrency_max = 1"),
                (
                    "its rate used up",
                    "rate_limit_per_second = 0.01, rate_last_at = :now + 50000",
                ),
                (
                    "its circuit open",
                    "failures = 10, failing_since = :now, open_until = :now + 600000",
                ),
            )
        ),
    ]


def build(path: Path, case: Case) -> None:
    """Make a file, its rows by the set and in the order in which they lie."""
    now = int(time.time() * 1000)
    old = key_floor(now - 24 * HOUR_MS)[:10]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for statement in build_webhook_schema_sql():
            connection.execute(statement)
        connection.execute("BEGIN")
        _add_endpoints(connection, 0, ENDPOINTS, old)
        connection.execute(
            "UPDATE subscriptions SET pattern = 'message.*' WHERE lane < ?",
            (f"{MATCHING:016d}{old}",),
        )
        for start in range(0, case.ended, _STEP):
            count = min(_STEP, case.ended - start)
            _add_deliveries(connection, start, count, case.ended // ENDPOINTS, old)
        if case.waiting_endpoints:
            first = ENDPOINTS
            _add_endpoints(connection, first, case.waiting_endpoints, old)
            state = ("scheduled", now + HOUR_MS)
            count = case.waiting_endpoints
            _add_deliveries(connection, 10**12, count, 1, old, state=state, first=first)
        if case.held_back is not None:
            _add_endpoints(connection, ENDPOINTS, 1, old)
            ordered = case.held_back == ORDERED
            waits = ("scheduled", None) if ordered else ("ready", now)
            _add_deliveries(
                connection, 10**12, case.due, case.due, old, state=waits, first=ENDPOINTS
            )
            lane = f"{ENDPOINTS:016d}{old}"
            table_name = "deliveries" if ordered else "endpoints"
            connection.execute(
                f"UPDATE {table_name} SET {case.held_back} WHERE lane = :lane",  # noqa: S608 - names of ours
                {"lane": lane, "now": now},
            )
            connection.execute(
                "UPDATE deliveries SET state = 'leased', gated = 1, due_at = ?1 WHERE lane = ?2"
                " AND key = (SELECT min(key) FROM deliveries WHERE lane = ?2)",
                (now + HOUR_MS, lane),
            )
        connection.execute("COMMIT")


def _add_endpoints(connection: sqlite3.Connection, first: int, count: int, old: str) -> None:
    connection.execute(
        """
        WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1 + ?2)
        INSERT INTO endpoints (lane, id, tenant, external_id, status, timeout_ms, settings, headers,
          secrets, revision, created_at, updated_at)
        SELECT printf('%016d', i) || ?3, 'ep_' || ?3 || printf('%016d', i), 'default', NULL,
          'active', NULL, '{"url":"https://a.example","event_types":["other.*"]}', '{}', '[]', 1,
          1, 1
        FROM n
        """,
        (first, count, old),
    )
    connection.execute(
        """
        INSERT INTO subscriptions (tenant, pattern, lane)
        SELECT 'default', 'other.*', lane FROM endpoints WHERE lane >= printf('%016d', ?1)
        """,
        (first,),
    )


def _add_deliveries(
    connection: sqlite3.Connection,
    start: int,
    count: int,
    each: int,
    old: str,
    *,
    state: tuple[str, int | None] = ("success", None),
    first: int = 0,
) -> None:
    """Add deliveries and their events, ``each`` to one endpoint after the other."""
    made = """
        WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1 + ?2),
        made (lane, key) AS (
          SELECT printf('%016d', ?5 + (i - ?1 + ?6) / ?3) || ?4, ?4 || printf('%016d', i) FROM n
        )"""
    given = (start, count, each, old, first, start if not first else 0)
    connection.execute(
        f"""
        INSERT INTO events (tenant, key, id, name, type, targets, payload)
        {made}
        SELECT 'default', key, NULL, NULL, 'message.sent', json_array(lane),
          '{{"id":"evt_' || key || '","type":"message.sent","data":{{"text":"{"x" * 150}"}}}}'
        FROM made
        """,  # noqa: S608 - names of ours
        given,
    )
    connection.execute(
        f"""
        INSERT INTO deliveries (lane, key, tenant, state, due_at, claim, attempts_made, size, log)
        {made}
        SELECT lane, key, 'default', ?7, ?8, 1, ?7 = 'success', 230,
          iif(?7 = 'success', '[{{"number":1,"started_at":1,"latency_ms":12,"status_code":200}}]',
            '[]')
        FROM made
        """,  # noqa: S608 - names of ours
        (*given, *state),
    )


class Measured(NamedTuple):
    """A file that is open, and what its calls took so far, in ms: of the processor, on the wall."""

    stores: WebhookPersistence
    times_ms: dict[str, list[tuple[float, float]]]

    async def measure(self) -> None:
        """Accept, claim and settle once."""
        now = int(time.time() * 1000)
        given = WebhookEvent(type="message.sent", data={"text": "x" * 150})
        store = self.stores.delivery_store
        events = [prepare(given, _keys(now), now) for _ in range(EVENTS)]
        accepted = await self._timed("accept", lambda: store.accept(events, NO_FIRST_ATTEMPTS, now))
        assert sum(e.delivery_count for e in accepted.events) == EVENTS * MATCHING
        request = ClaimRequest(
            now=now, lease_ms=LEASE_MS, limit=100, per_endpoint=25, start=os.urandom(8).hex()
        )
        claim = await self._timed("claim", lambda: store.claim(request))
        assert len(claim.claimed) == EVENTS * MATCHING, len(claim.claimed)
        outcome = Outcome(started_at=now, latency_ms=12, status_code=200)
        settled = [decide(c.delivery, outcome, RetryPolicy(), now, 0.5) for c in claim.claimed]
        written = await self._timed("settle", lambda: store.settle(settled))
        assert len(written.applied) == len(settled)

    async def _timed(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - any shape
        began, wall_began = time.process_time(), time.perf_counter()
        result = await call()
        took = (time.process_time() - began, time.perf_counter() - wall_began)
        self.times_ms[name].append((took[0] * 1000, took[1] * 1000))
        return result


async def measure(folder: Path, *, quick: bool, rounds: int) -> bool:
    """Build the files, measure on them in turns, and print."""
    files: dict[str, Measured] = {}
    for number, case in enumerate(cases(quick=quick)):
        path = folder / f"{number}.db"
        began = time.perf_counter()
        await asyncio.to_thread(build, path, case)
        print(f"made {case.name}, {path.stat().st_size >> 20} MB,", end=" ", flush=True)
        print(f"in {time.perf_counter() - began:.0f} s")
        stores = create_sqlite_webhook_persistence(path)
        files[case.name] = Measured(stores, {call: [] for call in CALLS})
    for file in files.values():
        for _ in range(WARM_UP):
            await file.measure()
        for times in file.times_ms.values():
            times.clear()
    for _ in range(rounds):
        for file in files.values():
            await file.measure()
    for file in files.values():
        assert file.stores.close is not None
        await file.stores.close()
    return report(files, rounds)


def report(files: dict[str, Measured], rounds: int) -> bool:
    """Print the medians, and how often what the first took."""
    print(f"ms for 100 deliveries, the median of {rounds}, and how often that of the first")
    worst = {}
    for place, kind in enumerate(("of the processor", "on the wall")):
        medians = {
            name: [statistics.median(ms[place] for ms in file.times_ms[call]) for call in CALLS]
            for name, file in files.items()
        }
        base = next(iter(medians.values()))
        rows, ratios = [], []
        for name, found in medians.items():
            ratios += [ms / first for ms, first in zip(found, base, strict=True)]
            cells = zip(found, ratios[-len(CALLS) :], strict=True)
            rows.append((name, *(f"{ms:.2f} {ratio:.2f}x" for ms, ratio in cells)))
        table((kind, *CALLS), rows)
        worst[kind] = max(ratios)
    return verdict(
        "the most that any grew by, of the processor", worst["of the processor"], most=BOUND
    )


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, help="200, quick: 60")
    given = parser.parse_args()
    rounds = given.rounds or (60 if given.quick else 200)
    run(lambda folder: measure(folder, quick=given.quick, rounds=rounds))


if __name__ == "__main__":
    main()
