"""What callers notice of retention, and of the removal of an endpoint with a long backlog.

``webhook serve`` on a SQLite file with synchronous=FULL gets 100 events a second, and each accept
is timed: half of the usual ones first, then some while the service removes a million events that
are past their retention, and their deliveries, then the other half of the usual ones after what was
left of them has been taken away. What counts is the p99 while it removes against the usual one.
Then an endpoint is removed for which a million deliveries wait: the call is timed, and afterwards
its deliveries must show as canceled.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from benchmarks.common.processes import Server, receiving, serving
from benchmarks.common.report import arguments, run, table, verdict
from benchmarks.common.rows import add_deliveries
from benchmarks.common.steady import PER_SECOND, Percentiles, Steady, add_healthy

RATIO_BOUND = 2.0
REMOVAL_MS_BOUND = 1_000
HEALTHY = 20
ROWS = 1_000_000
OLD_MS = 60 * 86_400_000
SWEEP_BEGINS_S = 90
WARM_UP = 200


async def measure(folder: Path, samples: int) -> bool:
    """Measure and print."""
    async with receiving() as port, serving(folder, "--log-level", "warning") as server:
        await add_healthy(server, HEALTHY, port)
        steady = Steady(server, HEALTHY)
        await steady.post(WARM_UP)
        usual = await steady.post(samples // 2)
        paused = {
            "url": f"http://127.0.0.1:{port}/hang",
            "event_types": ["bench.hang"],
            "active": False,
        }
        endpoint_id = json.loads(await server.caller().post("/v1/endpoints", paused))["id"]
        await asyncio.to_thread(
            add_deliveries, server.database, endpoint_id, ROWS, state="success", age_ms=OLD_MS
        )
        await until_swept(server)
        before = await asyncio.to_thread(old_rows, server)
        while_sweeping = await steady.post(samples)
        after = await asyncio.to_thread(old_rows, server)
        await asyncio.to_thread(take_away, server)
        await steady.post(WARM_UP)
        usual += await steady.post(samples // 2)
        await asyncio.to_thread(
            add_deliveries, server.database, endpoint_id, ROWS, state="ready", age_ms=60_000
        )
        removal_ms = await remove(server, endpoint_id)
    assert after, "the sweep was over too soon"
    found = [Percentiles.of(times) for times in (usual, while_sweeping)]
    rate = (before - after) * PER_SECOND / samples
    print(f"ms for an accept, {samples} samples each; {rate:.0f} old events a second were removed")
    ratios = [f"{b / a:.2f}x" for a, b in zip(*found, strict=True)]
    table(
        ("", "p50", "p90", "p99"),
        [
            ("as usual", *found[0].cells()),
            ("while a million old events go", *found[1].cells()),
            ("ratio", *ratios),
        ],
    )
    kept = verdict("ratio of p99", found[1].p99 / found[0].p99, most=RATIO_BOUND)
    what = "ms to remove an endpoint with a million pending"
    return kept & verdict(what, removal_ms, most=REMOVAL_MS_BOUND)


def old_rows(server: Server) -> int:
    """Count the events that are to go."""
    with closing(sqlite3.connect(server.database)) as connection:
        query = "SELECT count(*) FROM events WHERE type = 'bench.old'"
        return int(connection.execute(query).fetchone()[0])


async def until_swept(server: Server) -> None:
    """Wait until the sweep has begun."""
    first = "SELECT min(key) FROM events WHERE tenant = 'default'"
    with closing(sqlite3.connect(server.database, isolation_level=None)) as connection:
        [begin] = connection.execute(first).fetchone()
        async with asyncio.timeout(SWEEP_BEGINS_S):
            while connection.execute(first).fetchone()[0] == begin:  # noqa: ASYNC110 - other process
                await asyncio.sleep(0.5)


def take_away(server: Server) -> None:
    """Delete the old rows that are left, as one of few."""
    with closing(sqlite3.connect(server.database, timeout=60, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for statement in (
            "DELETE FROM deliveries WHERE key IN (SELECT key FROM events WHERE type = 'bench.old')",
            "DELETE FROM events WHERE type = 'bench.old'",
            "PRAGMA wal_checkpoint(TRUNCATE)",
        ):
            connection.execute(statement)


async def remove(server: Server, endpoint_id: str) -> float:
    """Remove an endpoint; return how many ms that took."""
    caller = server.caller()
    began = time.perf_counter()
    await caller.send(caller.request("DELETE", f"/v1/endpoints/{endpoint_id}", b""))
    took_ms = (time.perf_counter() - began) * 1000
    shown = await caller.get(f"/v1/deliveries?endpoint_id={endpoint_id}&limit=250")
    assert {one["status"] for one in shown["data"]} == {"canceled"}
    return took_ms


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__)
    parser.add_argument("--samples", type=int, help="10000 each, quick: 2000")
    given = parser.parse_args()
    samples = given.samples or (2_000 if given.quick else 10_000)
    run(lambda folder: measure(folder, samples))


if __name__ == "__main__":
    main()
