"""What a recovery asks of D1: round trips, statements and rows a piece, whatever else there is."""

from __future__ import annotations

from typing import Any

from workers import env

from tests.worker.inner.test_budget import Bench, clock, grow, keys
from webhook.domain.ids import key_floor, lane_of
from webhook.domain.model import DeliveryStatus
from webhook.domain.recovery import (
    Recovery,
    RecoveryKind,
    RecoveryRange,
    Subscription,
    fingerprint,
)
from webhook.ports import CANCELED_BY_HAND, EndpointQuery, Overdue

DAY_MS = 86_400_000


async def bench_with(events: int, *, delivered: bool) -> Bench:
    """Make events of the last days, a ms apart; each delivered in vain, or not at all."""
    bench = await Bench().clean()
    await env.DB.batch([env.DB.prepare("DELETE FROM recoveries")])
    await bench.add_endpoints(1)
    at = clock.now_ms() - DAY_MS
    endpoint = await the_endpoint(bench)
    lane, prefix = lane_of(endpoint.id), key_floor(at)[:16]
    targets = f'["{lane}"]' if delivered else "[]"
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
    await (
        env.DB.prepare(
            f"{numbers} INSERT INTO events (tenant, key, type, targets, payload) SELECT 'default', "
            "?2 || printf('%010d', i), 'message.sent', ?3, '{\"metadata\":{}}' FROM n"
        )
        .bind(events, prefix, targets)
        .run()
    )
    if delivered:
        await (
            env.DB.prepare(
                f"{numbers} INSERT INTO deliveries (lane, key, tenant, state, size, completed_at) "
                "SELECT ?3, ?2 || printf('%010d', i), 'default', 'exhausted', 1, 1 FROM n"
            )
            .bind(events, prefix, lane)
            .run()
        )
    return bench


async def the_endpoint(bench: Bench) -> Any:
    """Return the endpoint; only its age is changed, so that it may have missed something."""
    await env.DB.prepare("UPDATE endpoints SET created_at = 0").run()
    return (await bench.stores.endpoint_store.list(EndpointQuery())).items[0]


async def started(bench: Bench, kind: RecoveryKind, **asked: Any) -> Recovery:
    now = clock.now_ms()
    span = RecoveryRange(until=now, **asked)
    wish = Recovery(
        id=f"rcv_{keys(now)}",
        tenant="default",
        kind=kind,
        range=span,
        fingerprint=fingerprint(kind, span),
        created_at=now,
        updated_at=now,
    )
    bench.db.reset()
    assert bench.stores.recovery_store is not None
    return await bench.stores.recovery_store.start(wish)


async def piece(bench: Bench, recovery: Recovery, limit: int) -> tuple[Recovery, dict[str, int]]:
    """Do one piece, and return what it cost."""
    store = bench.stores.recovery_store
    assert store is not None
    subscription = Subscription.of(await the_endpoint(bench), None)
    bench.db.reset()
    found = await store.scan(recovery, subscription, limit, 1_000)
    after = await store.advance(recovery, found, clock.now_ms())
    return after, {
        "round trips": bench.db.round_trips,
        "statements": bench.db.statements,
        "rows written": bench.db.rows_written,
        "rows read": bench.db.rows_read,
    }


async def test_a_recovery_is_started_in_one_round_trip_of_four_rows() -> None:
    bench = await bench_with(1, delivered=True)
    await started(bench, RecoveryKind.FAILED, endpoint_id="ep_a")
    assert (bench.db.round_trips, bench.db.statements, bench.db.rows_written) == (1, 2, 4)


async def test_a_piece_of_two_hundred_replays_writes_two_rows_each_and_four() -> None:
    bench = await bench_with(300, delivered=True)
    endpoint = await the_endpoint(bench)
    recovery = await started(bench, RecoveryKind.FAILED, endpoint_id=endpoint.id)
    after, cost = await piece(bench, recovery, 200)
    print("a piece of 200 replays:", cost)
    assert (after.replayed, after.running) == (200, True)
    assert (cost["round trips"], cost["statements"]) == (2, 5)
    assert cost["rows written"] <= 200 * 2 + 4
    by_filter = await started(bench, RecoveryKind.FILTER, status=DeliveryStatus.EXHAUSTED)
    after, cost = await piece(bench, by_filter, 50)
    print("a piece of 50 replays by filter:", cost)
    assert after.replayed == 50
    assert (cost["round trips"], cost["statements"]) == (2, 5)
    assert cost["rows written"] <= 50 * 2 + 4


async def test_a_piece_of_a_hundred_missed_events_writes_three_rows_each_and_four() -> None:
    bench = await bench_with(300, delivered=False)
    endpoint = await the_endpoint(bench)
    recovery = await started(bench, RecoveryKind.MISSED, endpoint_id=endpoint.id)
    after, cost = await piece(bench, recovery, 100)
    print("a piece of 100 missed events:", cost)
    assert (after.made, after.running) == (100, True)
    assert (cost["round trips"], cost["statements"]) == (2, 6)
    assert cost["rows written"] <= 100 * 3 + 4


async def test_a_piece_reads_as_much_among_a_million_rows_as_among_a_thousand() -> None:
    read = []
    bench = Bench()
    for rows in (1_000, 1_000_000):
        bench = await bench_with(300, delivered=True)
        await grow(rows, 20)
        endpoint = (await bench.stores.endpoint_store.list(EndpointQuery())).items
        mine = next(one for one in endpoint if one.url == "https://example.com/0")
        recovery = await started(bench, RecoveryKind.FAILED, endpoint_id=mine.id)
        _, cost = await piece(bench, recovery, 200)
        read.append(cost["rows read"])
    await bench.clean()
    print("rows read by a piece:", read)
    assert abs(read[1] - read[0]) <= read[0] * 0.1


async def test_canceling_is_one_round_trip_of_one_row() -> None:
    bench = await Bench().clean()
    await bench.add_endpoints(1)
    await bench.accept(1)
    [claimed] = (await bench.claim()).claimed
    bench.db.reset()
    await bench.stores.delivery_store.cancel(
        None, claimed.delivery.ref, clock.now_ms(), CANCELED_BY_HAND
    )
    assert (bench.db.round_trips, bench.db.rows_written) == (1, 1)


async def test_a_sweep_for_old_pending_ones_reads_little_while_a_million_wait() -> None:
    bench = await Bench().clean()
    now = clock.now_ms()
    for start in range(0, 1_000_000, 100_000):
        await (
            env.DB.prepare(
                "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2) "
                "INSERT INTO deliveries (lane, key, tenant, state, due_at, size) "
                "SELECT printf('%026d', i % 10), ?3 || printf('%010d', i), 'default', "
                "iif(i % 2, 'ready', 'scheduled'), ?4, 1 FROM n"
            )
            .bind(start, start + 100_000, key_floor(now - DAY_MS)[:16], now + 3_600_000)
            .run()
        )
    bench.db.reset()
    overdue = Overdue(now - 30 * DAY_MS, "pending for more than 30 days")
    report = await bench.stores.delivery_store.sweep(now, 0, 500, overdue)
    cost = bench.db.rows_read, bench.db.rows_written
    await bench.clean()
    print("rows read and written by a sweep with a million pending:", *cost)
    assert (report.canceled, cost[1]) == (0, 0)
    assert cost[0] <= 300
