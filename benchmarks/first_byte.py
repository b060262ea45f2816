"""The time from POST /v1/events until the receiver sees the request, when nothing else goes on.

``webhook serve`` runs on a SQLite file with synchronous=FULL; the receiver is another process, and
both go by the machine's monotonic clock. The same caller also posts to the same receiver directly:
a machine that is slow at that is slow, not the service. One event after the other, with a pause
before each; the p50 has a bound.
"""

from __future__ import annotations

import asyncio
import functools
import time
from pathlib import Path

from benchmarks.common.caller import Caller
from benchmarks.common.processes import receiving, serving
from benchmarks.common.report import arguments, run, table, verdict
from benchmarks.common.steady import Percentiles

BOUND_MS = 10.0
WARM_UP = 20


class Bench:
    """What posts, and what is asked when the post was seen."""

    def __init__(self, receiver: Caller, pause_s: float) -> None:
        self._receiver = receiver
        self._pause_s = pause_s
        self._seen = 0

    async def measure(self, caller: Caller, path: str, count: int) -> Percentiles:
        """Post one event after the other; the receiver has seen each before the next."""
        for number in range(WARM_UP + count):
            if number == WARM_UP:
                await self._receiver.get("/seen")
            await asyncio.sleep(self._pause_s)
            data = {"at": time.monotonic_ns(), "text": "hello"}
            await caller.send(caller.json_request(path, {"type": "message.sent", "data": data}))
            self._seen += 1
            await self._receiver.get(f"/reached/{self._seen}")
        return Percentiles.of((await self._receiver.get("/seen"))["latencies_ms"])


async def measure(folder: Path, count: int, pause_s: float) -> bool:
    """Measure and print."""
    async with receiving() as port, serving(folder) as server:
        caller = server.caller()
        endpoint = {"url": f"http://127.0.0.1:{port}/", "event_types": ["*"]}
        await caller.post("/v1/endpoints", endpoint)
        bench = Bench(Caller(port), pause_s)
        delivered = await bench.measure(caller, "/v1/events", count)
        bare = await bench.measure(Caller(port), "/", count)
    print(f"First byte at the receiver in ms, {count} events one by one")
    ratios = [f"{ours / theirs:.1f}x" for ours, theirs in zip(delivered, bare, strict=True)]
    table(
        ("", "p50", "p90", "p99"),
        [
            ("POST /v1/events", *delivered.cells()),
            ("bare POST", *bare.cells()),
            ("ratio", *ratios),
        ],
    )
    return verdict("p50 in ms", delivered.p50, most=BOUND_MS)


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int, help="1000, quick: 200")
    parser.add_argument("--pause", type=float, default=0.03, help="seconds: 0.03")
    given = parser.parse_args()
    count = given.count or (200 if given.quick else 1_000)
    run(functools.partial(measure, count=count, pause_s=given.pause))


if __name__ == "__main__":
    main()
