"""Weaknesses 8 to 25 of k-msg's webhook package, in what it does: ours has none of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.engine.world import (
    HOUR_MS,
    MINUTE_MS,
    SECOND_MS,
    QueueOfHints,
    World,
    add,
    all_deliveries,
    event,
    statuses,
    url_of,
)
from webhook import (
    ConfigError,
    DeliveryStatus,
    EndpointInput,
    EndpointPatch,
    EndpointStatus,
    ErrorKind,
    InvalidInput,
    RetryPolicy,
    WebhookConfig,
    WebhookPersistence,
    WebhookRuntimeService,
    create_in_memory_webhook_persistence,
)
from webhook.testing import FOREVER, Reply
from webhook.toolkit import BatchDispatcher, LoadBalancer, QueueManager, RetryManager

ONCE: dict[str, Any] = {"max_retries": 0}


async def test_08_flush_and_shutdown_end_while_the_loop_is_in_the_middle(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=5_000))
    for _ in range(3):
        await service.emit(event())
    await world.clock.advance(1)
    await world.clock.run(service.flush(), within_ms=MINUTE_MS)
    await world.clock.run(service.shutdown(), within_ms=MINUTE_MS)
    assert len(world.sender.requests) == 3


async def test_09_two_endpoints_may_have_one_url_and_neither_goes(world: World) -> None:
    service = world.service()
    one, two = await add(service, "a", tenant="acme"), await add(service, "a", tenant="other")
    other = await add(service, "b", tenant="acme")
    await service.update_endpoint(other.id, EndpointPatch(url=url_of("a")))
    found = [await service.get_endpoint(each.id) for each in (one, two, other)]
    assert [each.url for each in found] == [url_of("a")] * 3


async def test_10_retries_that_are_used_up_end_exhausted(world: World) -> None:
    service = world.service(background=True, max_retries=2, retry_delay_ms=10)
    await add(service)
    world.sender.script(url_of("a"), 503)
    await service.emit(event())
    await world.clock.advance(MINUTE_MS)
    assert (await world.delivery(service)).status is DeliveryStatus.EXHAUSTED
    with pytest.raises(ConfigError, match="max_retries"):
        WebhookConfig(max_retries=-1)


async def test_11_an_endpoints_zeros_are_obeyed(world: World) -> None:
    service = world.service(background=True, max_retries=5, retry_delay_ms=HOUR_MS)
    await add(service, "never", retry=RetryPolicy(max_retries=0))
    await add(service, "now", retry=RetryPolicy(max_retries=1, retry_delay_ms=0))
    for host in ("never", "now"):
        world.sender.script(url_of(host), 503)
    await service.emit(event())
    await world.clock.advance(SECOND_MS)
    assert [len(world.sender.to(url_of(host))) for host in ("never", "now")] == [1, 2]


async def test_12_what_has_ended_is_due_no_more(world: World) -> None:
    service = world.service(background=True, max_retries=1, retry_delay_ms=10)
    for host in ("recovers", "never"):
        await add(service, host)
    world.sender.script(url_of("recovers"), 503, 200)
    world.sender.script(url_of("never"), 503)
    await service.emit(event())
    await world.clock.advance(SECOND_MS)
    found = await all_deliveries(service)
    assert {each.status for each in found} == {DeliveryStatus.SUCCESS, DeliveryStatus.EXHAUSTED}
    assert [each.due_at for each in found] == [None, None]


@pytest.mark.parametrize("transient_only", [False, True])
@pytest.mark.parametrize(
    "kind",
    [ErrorKind.TIMEOUT, ErrorKind.DNS, ErrorKind.REFUSED, ErrorKind.RESET, ErrorKind.TLS,
     ErrorKind.PROTOCOL, ErrorKind.NETWORK],
)  # fmt: skip
async def test_13_every_network_error_is_retried_whatever_its_words(
    world: World, kind: ErrorKind, transient_only: bool
) -> None:
    service = world.service(
        background=True, max_retries=1, retry_delay_ms=10, transient_only=transient_only
    )
    await add(service)
    world.sender.script(url_of("a"), Reply(error_kind=kind, error="fetch failed"), 200)
    await service.emit(event())
    await world.clock.advance(SECOND_MS)
    assert await statuses(service) == ["success"]


async def test_14_there_is_one_back_off_and_it_has_a_cap(world: World) -> None:
    service = world.service(background=True, max_retries=4, retry_delay_ms=SECOND_MS)
    await add(service)
    world.sender.script(url_of("a"), 503)
    await service.emit(event())
    await world.clock.advance(HOUR_MS)
    starts = [sent.started_at for sent in world.sender.requests]
    waits = [after - before for before, after in zip(starts, starts[1:], strict=False)]  # noqa: RUF007 - read as pairs
    manager = RetryManager(service.config)
    assert waits == [manager.get_backoff_delay(made) for made in range(1, 5)]
    steep = RetryManager(WebhookConfig(retry_delay_ms=1_000, max_retries=100, jitter=False))
    assert steep.get_backoff_delay(100) == 86_400_000


async def test_15_one_failing_store_call_sends_nothing_again_and_a_slow_endpoint_holds_up_nobody(
    world: World,
) -> None:
    service = world.service(background=True)
    await add(service, "slow")
    await add(service, "fast")
    world.sender.script(url_of("slow"), Reply(after_ms=FOREVER))
    for number in range(5):
        await service.emit(event(number))
    await world.clock.advance(1)
    assert len(world.sender.to(url_of("fast"))) == 5
    world.faults.fail("settle", 1)
    world.faults.fail("claim", 1)
    await service.emit(event())
    await world.clock.advance(5 * SECOND_MS)
    assert len(world.sender.to(url_of("fast"))) == 6
    page = await all_deliveries(service, status=DeliveryStatus.SUCCESS)
    assert len(page) == 6


async def test_16_one_id_is_one_event_however_often_it_is_emitted(world: World) -> None:
    service = world.service()
    await add(service)
    for _ in range(3):
        await world.clock.run(service.emit_sync(event(id="same")))
    assert len(world.sender.requests) == 1


async def test_17_emit_waits_for_no_delivery_and_no_batch_is_endless(world: World) -> None:
    service = world.service(background=True, batch_size=1, concurrency=1)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=FOREVER))
    started = world.clock.now_ms()
    for _ in range(20):
        await service.emit(event())
    assert world.clock.now_ms() == started
    for option in ("batch_size", "batch_timeout_ms", "concurrency"):
        none: dict[str, Any] = {option: 0}
        with pytest.raises(ConfigError, match=option):
            WebhookConfig(**none)


async def test_18_a_dead_endpoint_is_disabled_and_tells(world: World) -> None:
    service = world.service(background=True, batch_timeout_ms=HOUR_MS)
    gone, failing = await add(service, "gone"), await add(service, "failing")
    world.sender.script(url_of("gone"), 410)
    world.sender.script(url_of("failing"), 503)
    await service.emit(event())
    await world.clock.advance(HOUR_MS)
    assert (await service.get_endpoint(gone.id)).status is EndpointStatus.ERROR
    shown = await service.get_endpoint(failing.id)
    assert shown.failures > 0
    assert shown.failing_since is not None
    for _ in range(6):
        await service.emit(event())
        await world.clock.advance(24 * HOUR_MS)
    assert (await service.get_endpoint(failing.id)).status is EndpointStatus.ERROR


async def test_19_a_persistence_may_be_made_of_an_objects_methods() -> None:
    class Opened:
        def __init__(self) -> None:
            self.calls: list[str] = []

        async def init(self) -> None:
            self.calls.append("init")

        async def close(self) -> None:
            self.calls.append("close")

    opened, memory = Opened(), create_in_memory_webhook_persistence()
    persistence = WebhookPersistence(
        endpoint_store=memory.endpoint_store,
        delivery_store=memory.delivery_store,
        joint=True,
        init=opened.init,
        close=opened.close,
    )
    service = WebhookRuntimeService(persistence=persistence, auto_start=False)
    await service.list_endpoints()
    await service.shutdown()
    assert opened.calls == ["init", "close"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"event_types": ["Bogus Type"]}, "/event_types/0"),
        ({"event_types": []}, "/event_types"),
        ({"retry": RetryPolicy(max_retries=99_999)}, "/retry/max_retries"),
        ({"retry": RetryPolicy(retry_delay_ms=-1)}, "/retry/retry_delay_ms"),
        ({"active": True, "status": EndpointStatus.SUSPENDED}, "/active"),
        ({"url": "not a url"}, "/url"),
    ],
)
async def test_20_what_is_no_endpoint_is_refused_with_its_field(
    world: World, fields: dict[str, Any], pointer: str
) -> None:
    service = world.service()
    given: dict[str, Any] = {"url": url_of("a"), "event_types": ["*"]}
    with pytest.raises(InvalidInput) as caught:
        await service.add_endpoint(EndpointInput(**given | fields))
    assert [error.pointer for error in caught.value.errors] == [pointer]


async def test_20_what_a_change_leaves_out_stays(world: World) -> None:
    service = world.service()
    endpoint = await add(service, name="kept", headers={"X-A": "b"})
    changed = await service.update_endpoint(endpoint.id, EndpointPatch(description="new"))
    assert (changed.name, changed.headers, changed.url) == ("kept", {"X-A": "b"}, endpoint.url)


async def test_21_a_probe_is_one_request_tells_why_it_failed_and_leaves_no_trace(
    world: World,
) -> None:
    service = world.service(max_retries=5, retry_delay_ms=0)
    endpoint = await add(service)
    world.sender.script(url_of("a"), Reply(error_kind=ErrorKind.REFUSED, error="refused"))
    result = await world.clock.run(service.probe_endpoint(endpoint.id))
    assert (result.success, result.error_kind, result.error) == (
        False, ErrorKind.REFUSED, "refused",
    )  # fmt: skip
    assert len(world.sender.requests) == 1
    assert await all_deliveries(service) == []


@pytest.mark.parametrize(
    ("options", "prefix"),
    [({"algorithm": "sha1"}, "sha1="), ({}, "sha256="), ({"signature_prefix": ""}, "")],
)
async def test_22_the_prefix_is_the_algorithms_or_the_callers_or_none(
    world: World, options: dict[str, Any], prefix: str
) -> None:
    service = world.service(scheme="k-msg", secret_key="s", **options)
    await add(service)
    await world.clock.run(service.emit_sync(event()))
    signature = world.sender.requests[0].headers["x-webhook-signature"]
    assert signature.rpartition("=")[0] + ("=" if prefix else "") == prefix


@pytest.mark.parametrize(
    "name", ["x-webhook-signature", "X-WEBHOOK-ID", "X_Webhook_Timestamp", "Webhook-Id", "x-signed"]
)
async def test_23_no_header_of_an_endpoint_replaces_one_of_ours(world: World, name: str) -> None:
    service = world.service(scheme="k-msg", signature_header="X-Signed")
    with pytest.raises(InvalidInput, match="reserved"):
        await add(service, headers={name: "forged"})


async def test_24_each_attempt_is_signed_with_its_own_time(world: World) -> None:
    service = world.service(background=True, max_retries=1, retry_delay_ms=HOUR_MS)
    await add(service)
    world.sender.script(url_of("a"), 503, 200)
    long_ago = world.clock.now_ms() - 30 * 24 * HOUR_MS
    await service.emit(event(timestamp=long_ago))
    await world.clock.advance(2 * HOUR_MS)
    stamps = [int(sent.headers["webhook-timestamp"]) for sent in world.sender.requests]
    assert stamps == [sent.started_at // 1000 for sent in world.sender.requests]
    assert stamps[1] - stamps[0] == HOUR_MS // 1000
    assert len({sent.headers["webhook-signature"] for sent in world.sender.requests}) == 2


async def test_25_the_toolkit_sends_in_earnest_counts_in_a_row_and_recovers(world: World) -> None:
    """Its other faults: test_load_balancer, test_queue_manager and test_managers beside this."""
    service = world.service()
    endpoint = await add(service)
    queue = QueueManager(clock=world.clock, chance=world.chance)
    dispatcher = BatchDispatcher(
        queue, look=service.get_endpoint, sender=world.sender, clock=world.clock
    )
    for number in range(3):
        dispatcher.add_job(event(number), endpoint.id)
    [result] = await world.clock.run(dispatcher.process_all_batches())
    assert (len(result.delivered), len(world.sender.requests)) == (3, 1)
    queue.enqueue(event(), endpoint.id, delay_ms=2**33)
    assert (queue.dequeue(), queue.get_stats().delayed_jobs) == (None, 1)
    queue.shutdown()
    balancer = LoadBalancer(clock=world.clock, chance=world.chance)
    balancer.register_endpoint(endpoint)
    for number in range(20):
        balancer.on_request_complete(endpoint.id, success=number % 2 == 1, latency_ms=1)
    assert balancer.select_endpoint([endpoint]) == endpoint
    for _ in range(50):
        balancer.on_request_complete(endpoint.id, success=False, latency_ms=1)
    assert balancer.select_endpoint([endpoint]) is None
    await world.clock.advance(HOUR_MS)
    assert balancer.select_endpoint([endpoint]) == endpoint


async def test_25_a_hint_queue_is_no_store(world: World) -> None:
    """The original's queue is its store: what a hint loses here is found all the same."""
    service = world.service(wake_queue=QueueOfHints())
    await add(service)
    await asyncio.gather(*(service.emit(event(number)) for number in range(10)))
    await world.clock.run(world.service().flush())
    assert len(world.sender.requests) == 10
