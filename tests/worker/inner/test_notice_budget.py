"""What it costs on D1 to tell of a transition: nothing but when there is one."""

from __future__ import annotations

from tests.worker.inner.test_budget import FIVE, Bench, clock
from webhook.adapters.system import SystemChance
from webhook.domain.ids import KeyMaker
from webhook.domain.lifecycle import decide
from webhook.domain.model import ErrorKind, Outcome
from webhook.domain.retry import RetryPolicy
from webhook.engine.announce import Announcer
from webhook.ports import Claimed, Settled


class NoQueue:
    async def wake(self, delay_ms: int) -> None: ...


async def failed(bench: Bench, claimed: Claimed, status_code: int) -> Settled:
    """Settle as answered with this, without a retry; the bench has counted it."""
    outcome = Outcome(
        started_at=clock.now_ms(),
        latency_ms=3,
        status_code=status_code,
        error_kind=ErrorKind.HTTP_STATUS,
    )
    policy = RetryPolicy(schedule_s=())
    bench.db.reset()
    settlement = decide(claimed.delivery, outcome, policy, clock.now_ms(), 0.5)
    return await bench.stores.delivery_store.settle([settlement])


async def announced(bench: Bench, settled: Settled) -> tuple[int, int]:
    """Tell what was noted; return the round trips and the rows written."""
    keys = KeyMaker(SystemChance().random_bytes)
    bench.db.reset()
    announcer = Announcer(bench.stores, wake_queue=NoQueue(), clock=clock, keys=keys)
    await announcer.announce(settled.notices)
    return bench.db.round_trips, bench.db.rows_written


async def test_a_dead_letter_is_noted_in_its_settle_and_told_in_two_round_trips() -> None:
    bench = await Bench().clean()
    await bench.add_endpoints(1)
    await bench.add_endpoints(1, "delivery.*")
    [claimed] = (await bench.accept(1, FIVE)).claimed
    settled = await failed(bench, claimed, 503)
    noted = (bench.db.round_trips, bench.db.rows_written)
    assert len(settled.notices) == 1
    told = await announced(bench, settled)
    print("round trips and rows of a dead letter's settle, of telling it to one:", noted, told)
    # The delivery, its entry among the dead, the endpoint with its failures, the notice.
    assert noted == (1, 4)
    # The event, its name, the delivery and its entry among what is ready; then the notice goes.
    assert told == (2, 5)


async def test_a_410_is_noted_in_its_settle() -> None:
    bench = await Bench().clean()
    await bench.add_endpoints(1)
    [claimed] = (await bench.accept(1, FIVE)).claimed
    settled = await failed(bench, claimed, 410)
    noted = (bench.db.round_trips, bench.db.rows_written)
    assert len(settled.notices) == 1
    told = await announced(bench, settled)
    print("round trips and rows of a 410's settle, of telling it to nobody:", noted, told)
    # The delivery and its entry among the dead, the subscription, the endpoint and its entry in an
    # index that looks at the status, the notice.
    assert noted == (1, 6)
    assert told == (2, 3)


async def test_a_sweep_looks_for_what_was_not_told_in_the_same_round_trip() -> None:
    bench = await Bench().clean()
    await bench.add_endpoints(1)
    [claimed] = (await bench.accept(1, FIVE)).claimed
    settled = await failed(bench, claimed, 410)
    bench.db.reset()
    report = await bench.stores.delivery_store.sweep(clock.now_ms(), 0, 100)
    assert report.notices == settled.notices
    assert (bench.db.round_trips, bench.db.rows_written) == (1, 0)
