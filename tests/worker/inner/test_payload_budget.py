"""What it costs on D1 to erase payloads before their events go: nothing unless that is set."""

from __future__ import annotations

from workers import env

from tests.worker.inner.test_budget import FIVE, Bench, clock
from webhook.ports import SweepReport

PLAIN = 10  # statements of a piece


async def sweep(bench: Bench, payloads_before: int | None) -> SweepReport:
    bench.db.reset()
    now = clock.now_ms()
    return await bench.stores.delivery_store.sweep(now, 0, 500, payloads_before=payloads_before)


async def grow(count: int, held: int) -> None:
    """Make old events of one tenant, all behind its horizon; of so many the payload is held."""
    await (
        env.DB.prepare(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
            "INSERT INTO events (tenant, key, type, targets, payload, held) "
            "SELECT 'default', printf('%026d', i), 'message.sent', '[]', "
            "iif(i % (?1 / ?2), '', '{}'), iif(i % (?1 / ?2), NULL, 1) FROM n"
        )
        .bind(count, held)
        .run()
    )
    await (
        env.DB.prepare("INSERT INTO payload_horizons SELECT tenant, max(key) FROM events").bind()
    ).run()


async def test_without_it_a_sweep_has_no_statement_more() -> None:
    bench = await Bench().clean()
    await sweep(bench, None)
    assert (bench.db.round_trips, bench.db.statements, bench.db.rows_written) == (1, PLAIN, 0)


async def test_an_idle_sweep_reads_as_little_however_much_lies_behind_the_horizon() -> None:
    read = []
    for count in (1_000, 20_000):
        bench = await Bench().clean()
        await grow(count, 10)
        now = clock.now_ms()
        assert (await sweep(bench, now)).payloads_erased == 10
        assert (bench.db.round_trips, bench.db.rows_written) == (1, 10 * 2)
        assert (await sweep(bench, now)).payloads_erased == 0
        assert (bench.db.round_trips, bench.db.rows_written) == (1, 0)
        read.append(bench.db.rows_read)
    bench = Bench()
    await sweep(bench, None)
    plain = bench.db.rows_read
    await bench.clean()
    print(
        "rows read by an idle sweep with 1,000 or 20,000 erased payloads:",
        read,
        "without it:",
        plain,
    )
    assert read[1] <= read[0] <= 120


async def test_each_payload_writes_two_rows_and_one_that_waits_two_more() -> None:
    bench = await Bench().clean()
    await bench.add_endpoints(1)
    ended = (await bench.accept(3, FIVE)).claimed
    await bench.succeed(ended)
    waiting = (await bench.accept(1, FIVE)).claimed
    later = clock.now_ms() + 1000
    assert (await sweep(bench, later)).payloads_erased == 3
    first = bench.db.rows_written
    await bench.succeed(waiting)
    assert (await sweep(bench, later)).payloads_erased == 1
    print("rows written by 3 payloads and one that waits, and by that one later:", first)
    # The tenant's horizon besides.
    assert (first, bench.db.rows_written) == (3 * 2 + 2 + 1, 2)
