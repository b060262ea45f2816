"""What ordered delivery costs on D1, and that nothing costs more where it is not used."""

from __future__ import annotations

from typing import Any

import msgspec
from workers import env

from tests.worker.inner.test_budget import FIVE, Bench, clock, events
from tests.worker.inner.test_gate_budget import bench_with
from webhook.domain.model import OrderingOnFailure
from webhook.ports import NO_FIRST_ATTEMPTS

LINE = "conversation-1"


def in_line(count: int) -> list[Any]:
    return [msgspec.structs.replace(event, ordering_key=LINE) for event in events(count)]


async def accept(bench: Bench, count: int) -> int:
    """Accept events of one line in one call; return the rows written."""
    made = in_line(count)
    bench.db.reset()
    await bench.stores.delivery_store.accept(made, FIVE, clock.now_ms())
    assert bench.db.round_trips == 1
    return int(bench.db.rows_written)


async def deliver_one(bench: Bench) -> tuple[int, int]:
    """Claim and settle the first of the line; return the rows that each writes."""
    [claimed] = (await bench.claim()).claimed
    claim = bench.db.rows_written
    await bench.succeed([claimed])
    assert bench.db.round_trips == 1
    assert bench.db.statements <= 2
    return claim, bench.db.rows_written


async def test_an_ordering_key_writes_its_place_in_line_and_whoever_waited_two_rows_more() -> None:
    bench = await bench_with()
    first, second = await accept(bench, 1), await accept(bench, 1)
    claim, settle = await deliver_one(bench)
    last_claim, last_settle = await deliver_one(bench)
    bench.db.reset()
    later = clock.now_ms() + 1000
    await bench.stores.delivery_store.sweep(later, later, 100)
    retention = bench.db.rows_written
    print(
        f"rows written in line: accept {first} and {second}, claim {claim} and {last_claim}, "
        f"settle {settle} and {last_settle}, retention of both {retention}"
    )
    # Event, delivery, its place among what is ready or waits, its place in line.
    assert (first, second) == (4, 4)
    # As whatever is not sent at once: the delivery and its lease.
    assert (claim, last_claim) == (2, 2)
    # The first settle lets the second become due: itself, and its place among what is ready.
    assert (settle, last_settle) == (3, 1)
    assert retention == 4


async def test_a_dead_letter_that_stops_its_key_writes_that() -> None:
    bench = await bench_with(ordering_on_failure=OrderingOnFailure.STOP)
    await accept(bench, 2)
    [claimed] = (await bench.claim()).claimed
    await bench.exhaust([claimed.delivery])
    stopped = bench.db.rows_written
    assert (await bench.claim()).claimed == []
    await bench.stores.delivery_store.replay(None, claimed.delivery.ref, clock.now_ms())
    await deliver_one(bench)
    await deliver_one(bench)
    print("rows written by a dead letter that stops its key:", stopped)
    # The delivery, its entries among the dead and among those that stop, its place in line, its
    # endpoint's failures, and the notice that an operational event is made of.
    assert stopped == 6


async def test_a_call_with_and_without_keys_is_still_one_round_trip() -> None:
    bench = await Bench().clean()
    await bench.add_endpoints(10)
    bench.db.reset()
    mixed = [*in_line(50), *events(50)]
    result = await bench.stores.delivery_store.accept(mixed, FIVE, clock.now_ms())
    assert [e.delivery_count for e in result.events] == [10] * 100
    assert bench.db.round_trips == 1
    assert bench.db.statements <= 8
    plain = {event.key for event in mixed if event.ordering_key is None}
    assert {one.delivery.key for one in result.claimed} <= plain
    assert len(result.claimed) == 5


async def fill_line(bench: Bench, waiting: int) -> None:
    """Put many behind the first of the line, in SQL."""
    await (
        env.DB.prepare(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
            "INSERT INTO deliveries (lane, key, tenant, state, due_at, size, ordering_key, "
            "ordering_number) SELECT d.lane, printf('0000000000%016d', i), 'default', 'scheduled', "
            "NULL, 1, ?2, i + 10 FROM n CROSS JOIN deliveries AS d WHERE d.ordering_number = 1"
        )
        .bind(waiting, LINE)
        .run()
    )


async def test_rows_read_do_not_grow_with_what_waits_in_line() -> None:
    found = []
    for waiting in (10, 100_000):
        bench = await bench_with()
        await accept(bench, 1)
        await fill_line(bench, waiting)
        read = {}
        bench.db.reset()
        made = in_line(1)
        await bench.stores.delivery_store.accept(made, NO_FIRST_ATTEMPTS, clock.now_ms())
        read["accept"] = bench.db.rows_read
        [claimed] = (await bench.claim()).claimed
        read["claim"] = bench.db.rows_read
        assert (await bench.claim()).claimed == []
        read["empty claim"] = bench.db.rows_read
        await bench.succeed([claimed])
        read["settle"] = bench.db.rows_read
        found.append(read)
    await Bench().clean()
    few, many = found
    print("rows read with 10 in line:", few, "with 100,000:", many)
    for name, rows in few.items():
        assert many[name] <= rows * 1.1, (name, few, many)
    assert many["empty claim"] <= 50
