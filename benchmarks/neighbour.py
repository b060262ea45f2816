"""Whether one endpoint that hangs slows down the others.

Two ``webhook serve`` on SQLite files with synchronous=FULL, each with 100 healthy endpoints. One of
them has another endpoint, which takes requests and never answers until its timeout of 15 s, and
100,000 deliveries that are due to it. 100 events a second go to the healthy endpoints together, to
one server and the other in turns of a thousand events; from when an event is posted until its first
byte is at the receiver its time is taken. 10,000 samples each, whose p99 counts.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from benchmarks.common.caller import Caller
from benchmarks.common.processes import receiving, serving
from benchmarks.common.report import arguments, run, table, verdict
from benchmarks.common.rows import add_deliveries
from benchmarks.common.steady import Percentiles, Steady, add_healthy

BOUND = 1.5
HEALTHY = 100
DUE = 100_000
TURN = 1_000
WARM_UP = 200
# By then the loop has looked for due work, and the endpoint hangs.
HANGS_S = 8


async def measure(folder: Path, samples: int) -> bool:
    """Measure and print."""
    folders = [folder / name for name in ("without", "with")]
    for one in folders:
        one.mkdir()
    log_level = ("--log-level", "warning")
    async with (
        receiving() as port,
        serving(folders[0], *log_level) as without,
        serving(folders[1], *log_level) as noisy,
    ):
        receiver = Caller(port)
        for server in (without, noisy):
            await add_healthy(server, HEALTHY, port)
        hanging = {"url": f"http://127.0.0.1:{port}/hang", "event_types": ["bench.hang"]}
        endpoint = json.loads(await noisy.caller().post("/v1/endpoints", hanging))
        await asyncio.to_thread(
            add_deliveries, noisy.database, endpoint["id"], DUE, state="ready", age_ms=60_000
        )
        await asyncio.sleep(HANGS_S)
        steady = [Steady(server, HEALTHY) for server in (without, noisy)]
        times_ms: list[list[float]] = [[], []]
        sent = 0
        for turn in range(-1, samples // TURN):
            for place in (0, 1) if turn % 2 else (1, 0):
                count = WARM_UP if turn < 0 else TURN
                await steady[place].post(count)
                sent += count
                await receiver.get(f"/reached/{sent}")
                seen = (await receiver.get("/seen"))["latencies_ms"]
                if turn >= 0:
                    times_ms[place].extend(seen)
        left = await noisy.caller().get(f"/v1/deliveries?endpoint_id={endpoint['id']}&limit=1")
        assert left["data"][0]["status"] == "pending"
    found = [Percentiles.of(times) for times in times_ms]
    print(f"ms from POST to first byte, {len(times_ms[0])} samples each")
    ratios = [f"{w / wo:.2f}x" for wo, w in zip(*found, strict=True)]
    table(
        ("", "p50", "p90", "p99"),
        [
            ("100 healthy endpoints", *found[0].cells()),
            ("and one that hangs", *found[1].cells()),
            ("ratio", *ratios),
        ],
    )
    return verdict("ratio of p99", found[1].p99 / found[0].p99, most=BOUND)


def main() -> None:
    """Read the arguments and run."""
    parser = arguments(__doc__)
    parser.add_argument("--samples", type=int, help="10000 each, quick: 2000")
    given = parser.parse_args()
    samples = given.samples or (2 * TURN if given.quick else 10_000)
    run(lambda folder: measure(folder, samples))


if __name__ == "__main__":
    main()
