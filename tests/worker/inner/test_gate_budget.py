"""What limits, health and the switch cost on D1: rows written only where they are used."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from workers import env

from tests.worker.inner.test_budget import FIVE, Bench, clock
from webhook.domain.health import CIRCUIT_MS, FAILURES_MAX
from webhook.domain.model import EndpointStatus
from webhook.ports import EndpointQuery


async def bench_with(**limits: Any) -> Bench:
    """Return a bench with one endpoint that has these limits."""
    bench = await Bench().clean()
    await bench.add_endpoints(1)
    endpoints = bench.stores.endpoint_store
    [endpoint] = (await endpoints.list(EndpointQuery())).items
    changed = msgspec.structs.replace(endpoint, revision=endpoint.revision + 1, **limits)
    await endpoints.update(changed)
    return bench


async def rows_of_a_life(bench: Bench) -> dict[str, int]:
    """Return what one event to one endpoint writes, from accept to settle."""
    written = {}
    result = await bench.accept(1, FIVE)
    written["accept"] = bench.db.rows_written
    claimed = result.claimed
    if not claimed:
        claimed = (await bench.claim()).claimed
        written["claim"] = bench.db.rows_written
    await bench.succeed(claimed)
    written["settle"] = bench.db.rows_written
    return written


async def test_a_limit_costs_a_claim_and_its_entry_among_the_gated() -> None:
    free = await rows_of_a_life(await bench_with())
    assert free == {"accept": 3, "settle": 1}
    limited = await rows_of_a_life(await bench_with(concurrency_max=1))
    rated = await rows_of_a_life(await bench_with(rate_limit_per_second=100.0))
    print("rows written without a limit, with a concurrency, with a rate:", free, limited, rated)
    # It is claimed like whatever is not sent at once, and written into one index more.
    assert limited == {"accept": 3, "claim": 3, "settle": 1}
    # The start is taken from the endpoint's row.
    assert rated == {"accept": 3, "claim": 4, "settle": 1}


async def test_a_failure_writes_its_endpoint_and_a_success_only_after_one() -> None:
    bench = await bench_with()
    first = (await bench.accept(1, FIVE)).claimed
    second = (await bench.accept(1, FIVE)).claimed
    third = (await bench.accept(1, FIVE)).claimed
    await bench.fail([one.delivery for one in first])
    failed = bench.db.rows_written
    assert bench.db.round_trips == 1
    await bench.succeed(second)
    forgot = bench.db.rows_written
    await bench.succeed(third)
    print("rows written by a failure, the success after it, another:", failed, forgot)
    # The delivery, its place among what waits, and its endpoint.
    assert (failed, forgot, bench.db.rows_written) == (3, 2, 1)


async def test_many_failures_of_one_settle_write_their_endpoint_once() -> None:
    bench = await bench_with()
    claimed = (await bench.accept(5, FIVE)).claimed
    await bench.fail([one.delivery for one in claimed])
    assert bench.db.rows_written == 2 * 5 + 1


async def test_an_outage_costs_a_bounded_look_back_and_its_pace_what_a_rate_costs() -> None:
    read, written = [], {}
    for waiting in (1, 20):
        bench = await bench_with()
        await bench.accept(FAILURES_MAX + 1 + waiting)
        claimed = (await bench.claim(limit=FAILURES_MAX)).claimed
        await bench.exhaust([one.delivery for one in claimed])
        # Each is a dead letter: its row, its place among those, its notice.
        written["opens"] = bench.db.rows_written - 3 * FAILURES_MAX
        await env.DB.prepare("UPDATE endpoints SET open_until = 0").run()
        [probe] = (await bench.claim()).claimed
        written["probe"] = bench.db.rows_written
        await bench.succeed([probe])
        await env.DB.prepare("UPDATE endpoints SET rate_last_at = 0").run()
        [paced] = (await bench.claim(limit=1)).claimed
        written["paced"] = bench.db.rows_written
        await bench.succeed([paced])
        read.append(bench.db.rows_read)
        written["settle"] = bench.db.rows_written
        # The last of what waited ends the pace, in its endpoint's row.
        assert written == {"opens": 1, "probe": 4, "paced": 4, "settle": 1 + (waiting == 1)}
    print("rows written by an outage:", written, "read by a paced settle, 1 or 20 waiting:", read)
    assert abs(read[1] - read[0]) <= 2


HELD_BACK: dict[str, dict[str, Any]] = {
    "full": {"concurrency_max": 1},
    "rated": {"rate_limit_per_second": 0.01},
    "failing": {},
    "paused": {"status": EndpointStatus.INACTIVE},
    "switched off": {},
}


@pytest.mark.parametrize("how", HELD_BACK)
async def test_an_empty_claim_reads_as_little_whatever_is_held_back(how: str) -> None:
    read = []
    for count in (10, 1000):
        bench = await bench_with(**HELD_BACK[how])
        for _ in range(0, count, 10):
            await bench.accept(10)
        if how in ("full", "rated"):
            assert len((await bench.claim()).claimed) == 1
        if how == "failing":
            later = clock.now_ms() + CIRCUIT_MS
            await (
                env.DB.prepare("UPDATE endpoints SET failures = ?1, open_until = ?2")
                .bind(FAILURES_MAX, later)
                .run()
            )
        if how == "switched off":
            await bench.stores.delivery_store.pause_sending(clock.now_ms())
        claim = await bench.claim()
        assert (claim.claimed, claim.more) == ([], False)
        assert bench.db.rows_written == 0
        read.append(bench.db.rows_read)
        await bench.stores.delivery_store.resume_sending()
    await Bench().clean()
    print(f"rows read by a claim while 10 or 1,000 wait, {how}:", read)
    assert read[1] <= read[0]
    assert read[1] <= 50
