"""``QueueManager`` on a real file, and ``BatchDispatcher`` over it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.world import HOUR_MS, SECOND_MS, World, add, event, url_of
from webhook import Endpoint, EndpointPatch, ErrorKind, RetryPolicy
from webhook.domain.signature import sign_kmsg
from webhook.testing import Reply
from webhook.toolkit import BatchDispatcher, PriorityLevel, QueueManager

Open = Callable[..., QueueManager]
NOW = "ep_1"


@pytest.fixture
def open_queue(tmp_path: Path, world: World) -> Iterator[Open]:
    """Opens the file of the test as another process would."""
    opened: list[QueueManager] = []

    def make(**options: Any) -> QueueManager:
        opened.append(
            QueueManager(tmp_path / "jobs.db", clock=world.clock, chance=world.chance, **options)
        )
        return opened[-1]

    yield make
    for queue in opened:
        queue.shutdown()


def drained(queue: QueueManager) -> list[str]:
    found: list[str] = []
    while (job := queue.dequeue()) is not None:
        found.append(job.event_id)
    return found


def fill(queue: QueueManager, *jobs: tuple[str, int]) -> None:
    for name, priority in jobs:
        assert queue.enqueue(event(id=name), NOW, priority=priority) is not None


async def test_the_most_urgent_goes_first_and_the_oldest_of_those(open_queue: Open) -> None:
    queue = open_queue()
    fill(queue, ("low", 0), ("a", 5), ("high", 10), ("b", 5), ("urgent", 10))
    assert drained(queue) == ["high", "urgent", "a", "b", "low"]


async def test_jobs_outlive_the_process_delayed_ones_too(open_queue: Open, world: World) -> None:
    queue = open_queue()
    fill(queue, ("a", 5))
    queue.enqueue(event(id="later"), NOW, delay_ms=60 * SECOND_MS)
    stats = queue.get_stats()
    assert (stats.total_jobs, stats.delayed_jobs) == (2, 1)
    queue.shutdown()
    again = open_queue()
    assert drained(again) == ["a"]
    await world.clock.advance(60 * SECOND_MS)
    assert drained(again) == ["later"]


async def test_a_delay_of_months_is_kept_to(open_queue: Open, world: World) -> None:
    queue = open_queue()
    queue.enqueue(event(id="far"), NOW, delay_ms=2**32)
    await world.clock.advance(2**32 - 1)
    assert queue.peek() is None
    await world.clock.advance(1)
    assert drained(queue) == ["far"]


async def test_a_full_queue_takes_no_more_whoever_asks(open_queue: Open) -> None:
    one, other = open_queue(capacity=2), open_queue(capacity=2)
    fill(one, ("a", 5), ("b", 5))
    assert other.enqueue(event(), NOW) is None
    assert other.get_stats().utilization == 100
    one.dequeue()
    assert other.enqueue(event(), NOW) is not None


async def test_what_waited_too_long_is_handed_out_no_more(open_queue: Open, world: World) -> None:
    queue = open_queue(ttl_ms=1_000)
    fill(queue, ("old", 5))
    queue.enqueue(event(id="delayed"), NOW, delay_ms=1_500)
    await world.clock.advance(1_500)
    assert drained(queue) == ["delayed"]
    assert queue.cleanup_expired_jobs() == 1
    assert queue.get_stats().total_jobs == 0


async def test_levels_peek_remove_and_clear(open_queue: Open) -> None:
    queue = open_queue()
    fill(queue, ("low", 4), ("medium", 7), ("high", 8), ("more", 1))
    stats = queue.get_stats()
    assert (stats.high_priority_jobs, stats.medium_priority_jobs, stats.low_priority_jobs) == (
        1,
        1,
        2,
    )
    first = queue.peek()
    assert first is not None
    assert first.level is PriorityLevel.HIGH
    taken = queue.dequeue_from_priority(PriorityLevel.LOW)
    assert taken is not None
    assert taken.event_id == "low"
    assert queue.remove_job(first.id)
    assert not queue.remove_job(first.id)
    queue.clear()
    assert queue.dequeue() is None


async def test_a_leased_job_whose_taker_died_is_due_again(open_queue: Open, world: World) -> None:
    queue = open_queue()
    fill(queue, ("a", 5), ("b", 9))
    assert [job.event_id for job in queue.lease(5_000, limit=2)] == ["b", "a"]
    assert open_queue().lease(5_000, limit=2) == []
    await world.clock.advance(5_000)
    assert [job.event_id for job in open_queue().lease(5_000, limit=2)] == ["b", "a"]


@pytest.mark.parametrize("options", [{"capacity": 0}, {"ttl_ms": 0}])
def test_a_bound_that_is_none_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        QueueManager(**options)


# --- batches -------------------------------------------------------------------------------------


class Batches:
    """A dispatcher over a queue and a service of one world."""

    def __init__(self, world: World, queue: QueueManager, max_batch_size: int = 100) -> None:
        self.world, self.queue = world, queue
        self.service = world.service(scheme="k-msg", secret_key="s3cr3t")
        self.dispatcher = BatchDispatcher(
            queue,
            look=self.service.get_endpoint,
            config=self.service.config,
            sender=world.sender,
            clock=world.clock,
            chance=world.chance,
            max_batch_size=max_batch_size,
        )

    async def endpoint(self) -> Endpoint:
        retry = RetryPolicy(retry_delay_ms=0, max_retries=9, jitter=0)
        return await add(self.service, retry=retry)

    def add(self, endpoint: Endpoint, count: int) -> list[str]:
        names = [f"e{number}" for number in range(count)]
        for name in names:
            assert self.dispatcher.add_job(event(id=name), endpoint.id) is not None
        return names

    async def run(self) -> None:
        await self.world.clock.run(self.dispatcher.process_all_batches())

    @property
    def sent(self) -> list[list[str]]:
        """The ids of the events of each POST."""
        return [
            [one["id"] for one in json.loads(request.body)["events"]]
            for request in self.world.sender.requests
        ]


async def test_a_batch_is_several_events_in_one_signed_post(world: World, open_queue: Open) -> None:
    batches = Batches(world, open_queue(), max_batch_size=4)
    endpoint = await batches.endpoint()
    names = batches.add(endpoint, 10)
    await batches.run()
    assert batches.sent == [names[:4], names[4:8], names[8:]]
    assert batches.dispatcher.get_pending_job_count() == 0
    for request in world.sender.requests:
        stamp = int(request.headers["x-webhook-timestamp"])
        signature = "sha256=" + sign_kmsg("s3cr3t", stamp, request.body, "sha256")
        assert request.headers["x-webhook-signature"] == signature
    assert len({request.headers["x-webhook-id"] for request in world.sender.requests}) == 3


async def test_one_poisoned_event_is_soon_alone_and_the_others_arrive(
    world: World, open_queue: Open
) -> None:
    batches = Batches(world, open_queue(), max_batch_size=8)
    endpoint = await batches.endpoint()
    names = batches.add(endpoint, 8)
    send = world.sender.send

    async def refusing(url: str, headers: Any, body: bytes, timeout_ms: int) -> Any:
        ids = {one["id"] for one in json.loads(body)["events"]}
        world.sender.script(url, 400 if "e5" in ids else 200)
        return await send(url, headers, body, timeout_ms)

    world.sender.send = refusing  # type: ignore[method-assign]
    for _ in range(12):
        await batches.run()
    arrived = [ids for ids in batches.sent if "e5" not in ids]
    assert sorted(name for ids in arrived for name in ids) == sorted(set(names) - {"e5"})
    assert batches.dispatcher.get_pending_job_count(endpoint.id) == 0  # its retries are used up
    assert [ids for ids in batches.sent if "e5" in ids][:4] == [
        names,
        names[4:],
        names[4:6],
        ["e5"],
    ]


async def test_what_fails_for_the_network_stays_together_and_in_order(
    world: World, open_queue: Open
) -> None:
    batches = Batches(world, open_queue())
    names = batches.add(await batches.endpoint(), 5)
    world.sender.script(url_of("a"), Reply(error_kind=ErrorKind.REFUSED), 200)
    await batches.run()
    assert batches.dispatcher.get_pending_job_count() == 5
    await batches.run()
    assert batches.sent == [names, names]


async def test_only_what_failed_is_sent_again(world: World, open_queue: Open) -> None:
    batches = Batches(world, open_queue(), max_batch_size=2)
    batches.add(await batches.endpoint(), 4)
    world.sender.script(url_of("a"), 200, Reply(error_kind=ErrorKind.RESET), 200)
    await batches.run()
    await batches.run()
    assert batches.sent == [["e0", "e1"], ["e2", "e3"], ["e2", "e3"]]


async def test_a_paused_endpoint_keeps_its_jobs(world: World, open_queue: Open) -> None:
    batches = Batches(world, open_queue())
    endpoint = await batches.endpoint()
    batches.add(endpoint, 2)
    await batches.service.update_endpoint(endpoint.id, EndpointPatch(active=False))
    await batches.run()
    assert (batches.sent, batches.dispatcher.get_pending_job_count()) == ([], 2)


async def test_a_dispatcher_that_died_loses_nothing(world: World, open_queue: Open) -> None:
    batches = Batches(world, open_queue())
    names = batches.add(await batches.endpoint(), 3)
    batches.queue.lease(60_000, limit=3)  # and never heard of again
    batches.queue.shutdown()
    after = Batches(world, open_queue())
    await after.run()
    assert after.sent == []
    await world.clock.advance(HOUR_MS)
    await after.run()
    assert after.sent == [names]
