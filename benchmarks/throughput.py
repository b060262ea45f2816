"""Deliveries per second of the whole service, against a bare sender in the same run.

The service is ``webhook serve`` on a SQLite file with synchronous=FULL: from the first byte of the
first POST /v1/events until the last outcome is settled. 100 events a request come over 4
connections, each as soon as no more than 400 events are on their way; each event has one endpoint
(of 100) and 1 KiB of payload. The log is set to warnings: no line for each delivery. The bare
sender is aiohttp in a process of its own, which posts the same bytes under the same headers to the
same receiver over as many connections as the service has slots (64), with the same deadline, and
stores nothing. Both are measured in turns; what counts is the median of the pairs' ratios.

The receiver and the generator of the load are processes of their own, nothing is pinned to a core.
What each could do at most is measured in the same run, twice what was asked of it at least. One
event a request, over 32 connections, stands beside it without a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.caller import Caller
from benchmarks.common.processes import Server, at_once, child, first_line, receiving, serving
from benchmarks.common.report import arguments, run, table, verdict

BOUND = 0.5
HEADROOM = 2.0
ENDPOINTS = 100
CONNECTIONS = 64
CALLERS, SINGLE_CALLERS = 4, 32
ON_THEIR_WAY = 400
PAYLOAD_BYTES = 1024
# As long as what stands around the data in a payload.
_AROUND = (
    '{"id":"evt_01kav9ft000000000000000000","type":"bench.t00","timestamp":'
    '"2026-01-31T12:00:00.000Z","data":{"text":""},"metadata":{},"version":"1.0"}'
)
TEXT = "x" * (PAYLOAD_BYTES - len(_AROUND))
PAYLOAD = _AROUND.replace('""', f'"{TEXT}"')
HEADERS = {
    "content-type": "application/json",
    "user-agent": "webhook/0.1",
    "webhook-id": "evt_01kav9ft000000000000000000",
    "webhook-timestamp": "1764000000",
    "webhook-signature": "v1," + "A" * 43 + "=",
    "webhook-event-type": "bench.t00",
    "webhook-delivery-id": "dlv_" + "0" * 52,
    "webhook-attempt": "1",
    "accept-encoding": "identity",
}
_READY = "SELECT 1 FROM deliveries WHERE state = 'ready'"
_UNDER_WAY = "SELECT 1 FROM deliveries WHERE state IN ('scheduled', 'leased') AND due_at > 0"


def event(number: int) -> dict[str, Any]:
    """Return an event that one endpoint wants."""
    return {"type": f"bench.t{number % ENDPOINTS:02}", "data": {"text": TEXT}}


class Bench:
    """The service, the bare sender and what both send to."""

    def __init__(
        self, server: Server, bare: asyncio.subprocess.Process, receiver: Caller, port: int
    ) -> None:
        self._server = server
        self._bare = bare
        self._receiver = receiver
        self._receivers = [Caller(port) for _ in range(CALLERS)]
        self._port = port
        self._rows = sqlite3.connect(server.database, isolation_level=None)
        self._callers = [server.caller() for _ in range(SINGLE_CALLERS)]
        caller = self._callers[0]
        batch = {"events": [event(number) for number in range(100)]}
        self._batch = caller.request("POST", "/v1/events", json.dumps(batch).encode())
        self._singles = [
            caller.request("POST", "/v1/events", json.dumps(event(number)).encode())
            for number in range(ENDPOINTS)
        ]

    async def add_endpoints(self) -> None:
        """Subscribe one endpoint to each type."""
        for number in range(ENDPOINTS):
            url = f"http://127.0.0.1:{self._port}/{number}"
            endpoint = {"url": url, "event_types": [f"bench.t{number:02}"]}
            await self._callers[0].post("/v1/endpoints", endpoint)

    async def service(self, count: int, *, batches: bool = True) -> float:
        """Return the deliveries per second of the service."""
        requests: Iterator[bytes] = itertools.cycle([self._batch] if batches else self._singles)
        requests = itertools.islice(requests, count // 100 if batches else count)
        before = await self._count()
        began = time.perf_counter()
        if batches:
            await self._post_paced(requests, before)
        else:
            await post_all(self._callers, requests)
        await self._reached(before + count)
        await self._settled()
        return count / (time.perf_counter() - began)

    async def _settled(self) -> None:
        while True:
            if not any(self._rows.execute(query).fetchone() for query in (_READY, _UNDER_WAY)):
                return
            await asyncio.sleep(0.001)

    async def bare(self, count: int) -> float:
        """Return the deliveries per second of the bare sender."""
        assert self._bare.stdin is not None
        self._bare.stdin.write(b"%d\n" % count)
        return count / float(await first_line(self._bare))

    async def generator_most(self, count: int) -> float:
        """Return how many events per second the generator could post, if nothing slowed it down."""
        callers = [Caller(self._port) for _ in range(CALLERS)]
        began = time.perf_counter()
        await post_all(callers, itertools.repeat(self._batch, count // 100))
        return count / (time.perf_counter() - began)

    async def receiver_most(self, count: int) -> float:
        """Return how many deliveries per second the receiver could take."""
        callers = [Caller(self._port) for _ in range(CONNECTIONS)]
        request = callers[0].request("POST", "/", PAYLOAD.encode())
        began = time.perf_counter()
        await post_all(callers, itertools.repeat(request, count))
        return count / (time.perf_counter() - began)

    async def _post_paced(self, requests: Iterator[bytes], before: int) -> None:
        """Post batches, each when no more than ``ON_THEIR_WAY`` events are."""
        places = iter(range(CALLERS))
        sent = before

        async def work() -> None:
            nonlocal sent
            place = next(places)
            for request in requests:
                sent += 100
                await self._reached(sent - ON_THEIR_WAY, place)
                await self._callers[place].send(request)

        await at_once(CALLERS, work)

    async def _reached(self, count: int, place: int = 0) -> None:
        await self._receivers[place].get(f"/reached/{count}")

    async def _count(self) -> int:
        return int((await self._receiver.get("/seen"))["count"])


async def post_all(callers: Sequence[Caller], requests: Iterator[bytes]) -> None:
    """Post all requests, each caller the next one as soon as it is free."""
    free = iter(callers)

    async def work() -> None:
        caller = next(free)
        for request in requests:
            await caller.send(request)

    await at_once(len(callers), work)


@contextlib.asynccontextmanager
async def everything(folder: Path) -> AsyncIterator[Bench]:
    """Start all the processes."""
    file = folder / "bare.json"
    file.write_text(json.dumps({"headers": HEADERS, "body": PAYLOAD}), "utf-8")
    async with receiving() as port, serving(folder, "--log-level", "warning") as server:
        url = f"http://127.0.0.1:{port}/"
        command = ("-m", "benchmarks.common.bare_sender", url, str(CONNECTIONS), str(file))
        async with child(*command) as bare:
            await first_line(bare)
            bench = Bench(server, bare, Caller(port), port)
            await bench.add_endpoints()
            yield bench


async def measure(folder: Path, pairs: int, count: int) -> bool:
    """Measure and print."""
    async with everything(folder) as bench:
        await bench.service(1_000)
        await bench.bare(1_000)
        ours, theirs, singles = [], [], []
        for _ in range(pairs):
            ours.append(await bench.service(count))
            theirs.append(await bench.bare(count))
            singles.append(await bench.service(count // 5, batches=False))
        generator = await bench.generator_most(20_000)
        receiver = await bench.receiver_most(10_000)
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    print(f"Deliveries per second, {count} at a time, 1 KiB each, SQLite with synchronous=FULL")
    numbers = [str(number + 1) for number in range(pairs)]
    table(
        ("pair", *numbers, "median"),
        [
            (name, *(f"{value:{form}}" for value in (*values, statistics.median(values))))
            for name, values, form in (
                ("webhook serve, 100 events a request", ours, ".0f"),
                ("bare aiohttp", theirs, ".0f"),
                ("ratio", ratios, ".2f"),
                ("webhook serve, 1 event a request", singles, ".0f"),
            )
        ],
    )
    kept = verdict("ratio, median", statistics.median(ratios), least=BOUND)
    print(f"the receiver can take {receiver:.0f}/s, the generator make {generator:.0f}/s")
    most = max(*ours, *theirs)
    kept &= verdict("headroom of the receiver", receiver / most, least=HEADROOM)
    return kept & verdict("headroom of the generator", generator / max(ours), least=HEADROOM)


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__)
    parser.add_argument("--pairs", type=int, help="5, quick: 3")
    parser.add_argument("--count", type=int, help="deliveries at a time: 10000, quick: 3000")
    given = parser.parse_args()
    pairs = given.pairs or (3 if given.quick else 5)
    count = given.count or (3_000 if given.quick else 10_000)
    run(lambda folder: measure(folder, pairs, count // 500 * 500))


if __name__ == "__main__":
    main()
