"""What D1 is asked for: round trips, statements, rows read and rows written, as its meta counts.

Rows are money there, so each figure is a promise of the README. Everything runs on the real D1 of
workerd; the background rows are made in SQL.
"""

from __future__ import annotations

from typing import Any

import pytest
from workers import env

from tests.worker.inner.counting import CountingBinding
from webhook.adapters.cloudflare import create_d1_webhook_persistence
from webhook.adapters.system import SystemChance, SystemClock
from webhook.domain.config import WebhookConfig
from webhook.domain.endpoint import EndpointInput, new_endpoint
from webhook.domain.event import WebhookEvent, prepare
from webhook.domain.ids import KeyMaker
from webhook.domain.lifecycle import decide
from webhook.domain.model import Delivery, ErrorKind, NewEvent, Outcome
from webhook.domain.retry import RetryPolicy
from webhook.domain.url_rules import UrlRules
from webhook.ports import NO_FIRST_ATTEMPTS, ClaimRequest, FirstAttempts, WebhookPersistence

RETRY_ROWS = 7
LEASE_MS = 45_000
FIVE = FirstAttempts(limit=5, lease_ms=LEASE_MS, timeout_ms_max=20_000, timeout_ms_default=15_000)
SECRET = "whsec_" + "A" * 32
TABLES = (
    "deliveries",
    "events",
    "names",
    "subscriptions",
    "endpoints",
    "notices",
    "payload_horizons",
)
keys = KeyMaker(SystemChance().random_bytes)
clock = SystemClock()


class Bench:
    """An empty D1 behind a counter, with the stores over it."""

    def __init__(self) -> None:
        self.db = CountingBinding(env.DB)
        self.stores: WebhookPersistence = create_d1_webhook_persistence(
            self.db, initialize_schema=False
        )

    async def clean(self) -> Bench:
        await env.DB.batch([env.DB.prepare(f"DELETE FROM {table}") for table in TABLES])
        return self

    async def add_endpoints(self, count: int, pattern: str = "message.*") -> None:
        made = [
            new_endpoint(
                EndpointInput(url=f"https://example.com/{n}", event_types=[pattern]),
                endpoint_id=f"ep_{keys(clock.now_ms())}",
                now=clock.now_ms(),
                rules=UrlRules(),
                secret=SECRET,
            )
            for n in range(count)
        ]
        await self.stores.endpoint_store.add(made)

    async def accept(self, count: int, first: FirstAttempts = NO_FIRST_ATTEMPTS) -> Any:
        self.db.reset()
        now = clock.now_ms()
        return await self.stores.delivery_store.accept(events(count), first, now)

    async def claim(self, limit: int = 100, per_endpoint: int = 25) -> Any:
        self.db.reset()
        request = ClaimRequest(
            now=clock.now_ms(), lease_ms=LEASE_MS, limit=limit, per_endpoint=per_endpoint
        )
        return await self.stores.delivery_store.claim(request)

    async def fail(self, deliveries: list[Delivery]) -> None:
        """Settle as answered with 503 and due again at once."""
        self.db.reset()
        outcome = Outcome(
            started_at=clock.now_ms(),
            latency_ms=3,
            status_code=503,
            error_kind=ErrorKind.HTTP_STATUS,
        )
        policy = RetryPolicy(schedule_s=(0,) * 9, jitter=0)
        await self.stores.delivery_store.settle(
            [decide(one, outcome, policy, clock.now_ms(), 0.5) for one in deliveries]
        )

    async def exhaust(self, deliveries: list[Delivery]) -> None:
        """Settle as answered with 503 and not to be tried again."""
        self.db.reset()
        outcome = Outcome(
            started_at=clock.now_ms(),
            latency_ms=3,
            status_code=503,
            error_kind=ErrorKind.HTTP_STATUS,
        )
        policy = RetryPolicy(schedule_s=())
        await self.stores.delivery_store.settle(
            [decide(one, outcome, policy, clock.now_ms(), 0.5) for one in deliveries]
        )

    async def succeed(self, claimed: list[Any]) -> None:
        self.db.reset()
        await self.stores.delivery_store.settle([success(one.delivery) for one in claimed])


def events(count: int) -> list[NewEvent]:
    now = clock.now_ms()
    event = WebhookEvent(type="message.sent", data={"text": "hi"})
    return [prepare(event, keys(now), now) for _ in range(count)]


def success(delivery: Delivery) -> Any:
    outcome = Outcome(started_at=clock.now_ms(), latency_ms=3, status_code=200)
    return decide(delivery, outcome, WebhookConfig().retry_policy, clock.now_ms(), 0.5)


@pytest.mark.parametrize("count", [1, 100])
async def test_an_accept_is_one_round_trip_of_at_most_eight_statements(count: int) -> None:
    bench = await Bench().clean()
    await bench.add_endpoints(10)
    result = await bench.accept(count, FIVE)
    assert [e.delivery_count for e in result.events] == [10] * count
    assert bench.db.round_trips == 1
    assert bench.db.statements <= 8


async def test_a_claimed_batch_of_a_hundred_is_two_round_trips() -> None:
    bench = await Bench().clean()
    await bench.add_endpoints(10)
    await bench.accept(10)
    claim = await bench.claim()
    trips = bench.db.round_trips
    assert len(claim.claimed) == 100
    await bench.succeed(claim.claimed)
    assert trips + bench.db.round_trips == 2


async def test_an_event_that_succeeds_at_once_writes_six_rows_in_its_life() -> None:
    bench = await Bench().clean()
    await bench.add_endpoints(1)
    written = {}
    result = await bench.accept(1, FIVE)
    written["accept"] = bench.db.rows_written
    await bench.succeed(result.claimed)
    written["settle"] = bench.db.rows_written
    bench.db.reset()
    later = clock.now_ms() + 1000
    report = await bench.stores.delivery_store.sweep(later, later, 100)
    written["retention"] = bench.db.rows_written
    assert (report.events_removed, report.deliveries_removed) == (1, 1)
    print("rows written for one event to one endpoint:", written)
    assert sum(written.values()) <= 6, written


async def test_a_name_adds_two_rows() -> None:
    bench = await Bench().clean()
    await bench.add_endpoints(1)
    now = clock.now_ms()
    named = prepare(WebhookEvent(type="message.sent", data=1, id="order-7"), keys(now), now)
    bench.db.reset()
    result = await bench.stores.delivery_store.accept([named], FIVE, now)
    assert bench.db.rows_written == 4
    await bench.succeed(result.claimed)
    bench.db.reset()
    await bench.stores.delivery_store.sweep(now, clock.now_ms() + 1000, 100)
    assert bench.db.rows_written == 3


@pytest.mark.parametrize("retries", [1, 2])
async def test_each_retry_adds_two_round_trips_and_these_rows(retries: int) -> None:
    bench = await Bench().clean()
    await bench.add_endpoints(1)
    claimed = (await bench.accept(1, FIVE)).claimed
    written = {"settle": 0, "claim": 0}
    trips = 0
    for _ in range(retries):
        await bench.fail([one.delivery for one in claimed])
        written["settle"] += bench.db.rows_written
        trips += bench.db.round_trips
        claimed = (await bench.claim()).claimed
        written["claim"] += bench.db.rows_written
        trips += bench.db.round_trips
        assert len(claimed) == 1
    await bench.succeed(claimed)
    last = bench.db.rows_written
    print(f"rows written by {retries} retries: {written}, by the last settle: {last}")
    # Entering an index counts as a row more: of what waits, of what is ready, of what is leased.
    # Another is the endpoint with its failures.
    assert sum(written.values()) == RETRY_ROWS * retries
    assert trips == 2 * retries


async def grow(deliveries: int, endpoints: int) -> None:
    """Make ended deliveries of old events, and endpoints of the tenant for other types."""
    step = 100_000
    for start in range(0, deliveries, step):
        await (
            env.DB.prepare(
                "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2) "
                "INSERT INTO deliveries (lane, key, tenant, state, size, completed_at, log) "
                "SELECT printf('%026d', i % 997), printf('0000000000%016d', i), 'default', "
                "iif(i % 10, 'success', 'exhausted'), 100, 1, '[]' FROM n"
            )
            .bind(start, min(deliveries, start + step))
            .run()
        )
    for sql in (
        """INSERT INTO endpoints (lane, id, tenant, status, settings, headers, secrets, revision,
        created_at, updated_at) SELECT printf('z%025d', i), printf('ep_0%025d', i), 'default',
        'active', '{"url":"https://example.com","event_types":["other.type"]}', '{}', '[]', 1, 1, 1
        FROM n""",
        """INSERT INTO subscriptions
        SELECT 'default', 'other.type', printf('z%025d', i), NULL FROM n""",
    ):
        await (
            env.DB.prepare(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
                + sql
            )
            .bind(endpoints)
            .run()
        )


async def figures(bench: Bench) -> dict[str, int]:
    """Rows read by an accept, a claim and a settle of 50 deliveries."""
    found = {}
    await bench.accept(10, FIVE)
    found["accept"] = bench.db.rows_read
    claim = await bench.claim(limit=45)
    found["claim"] = bench.db.rows_read
    assert len(claim.claimed) == 45
    await bench.succeed(claim.claimed)
    found["settle"] = bench.db.rows_read
    return found


async def test_rows_read_do_not_grow_with_the_tables() -> None:
    bench = await Bench().clean()
    await grow(1_000, 20)
    await bench.add_endpoints(5)
    small = await figures(bench)
    await Bench().clean()
    await grow(1_000_000, 20_000)
    await bench.add_endpoints(5)
    large = await figures(bench)
    await bench.clean()
    print("rows read with 1,000 deliveries:", small, "with 1,000,000:", large)
    for name, rows in small.items():
        assert abs(large[name] - rows) <= rows * 0.1, (name, small, large)


async def test_an_empty_claim_reads_little_while_ten_thousand_endpoints_wait() -> None:
    bench = await Bench().clean()
    due_at = clock.now_ms() + 3_600_000
    await (
        env.DB.prepare(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "
            "INSERT INTO deliveries (lane, key, tenant, state, due_at, size) "
            "SELECT printf('%026d', i), printf('%026d', i), 'default', 'scheduled', ?1, 1 FROM n"
        )
        .bind(due_at)
        .run()
    )
    claim = await bench.claim()
    await bench.clean()
    assert claim.claimed == []
    assert claim.next_due_at == due_at
    print("rows read by an empty claim:", bench.db.rows_read)
    assert bench.db.rows_read <= 100
