"""The managers show what the runtime's stores hold; retries and signatures are the engine's."""

from __future__ import annotations

import pytest

from tests.engine.world import HOUR_MS, World, add, event, url_of
from webhook import (
    Attempt,
    ConfigError,
    Conflict,
    DeliveryStatus,
    EndpointInput,
    EndpointPatch,
    EndpointStatus,
    ErrorKind,
    RetryPolicy,
    WebhookConfig,
    WebhookRuntimeService,
)
from webhook.toolkit import (
    DeliveryFilter,
    DeliveryStore,
    EndpointFilter,
    EndpointManager,
    EventFilter,
    EventStore,
    MockHttpClient,
    RetryManager,
    SecurityManager,
    WebhookRegistry,
)

NEVER = RetryPolicy(max_retries=0)
DAY_MS = 24 * HOUR_MS


def given(host: str, *event_types: str) -> EndpointInput:
    return EndpointInput(url=url_of(host), event_types=list(event_types or ("*",)))


# --- endpoints -----------------------------------------------------------------------------------


async def test_an_endpoint_manager_has_one_endpoint_a_url(world: World) -> None:
    manager = EndpointManager(world.service())
    made = await manager.add_endpoint(given("a"))
    with pytest.raises(Conflict, match=made.id):
        await manager.add_endpoint(
            EndpointInput(url=url_of("A").replace("https", "HTTPS"), event_types=["*"])
        )
    assert await manager.get_endpoint_by_url(url_of("a")) == made
    assert await manager.get_endpoint(made.id) == made
    assert await manager.remove_endpoint(made.id)
    assert not await manager.remove_endpoint(made.id)
    assert await manager.get_endpoint(made.id) is None


async def test_endpoints_are_searched_by_what_they_are(world: World) -> None:
    manager = EndpointManager(world.service(), tenant="acme")
    a = await manager.add_endpoint(given("a", "message.*"))
    b = await manager.add_endpoint(given("b", "template.created"))
    await EndpointManager(world.service(), tenant="other").add_endpoint(given("c"))
    b = await manager.update_endpoint(b.id, EndpointPatch(active=False))

    async def found(wanted: EndpointFilter) -> list[str]:
        return [one.id for one in (await manager.search_endpoints(wanted)).items]

    assert await found(EndpointFilter()) == [a.id, b.id]
    assert await found(EndpointFilter(status=EndpointStatus.INACTIVE)) == [b.id]
    assert await found(EndpointFilter(event_types=("message.sent",))) == [a.id]
    assert await found(EndpointFilter(created_after=a.created_at + 1)) == []
    assert await manager.get_active_endpoints_for_event("message.read") == [a]
    assert await manager.get_active_endpoints_for_event("template.created") == []
    stats = await manager.get_stats()
    assert (stats.total, stats.by_status) == (
        2,
        {EndpointStatus.ACTIVE: 1, EndpointStatus.INACTIVE: 1},
    )


async def test_pages_are_numbered_and_say_what_lies_around(world: World) -> None:
    manager = EndpointManager(world.service())
    for host in "abcde":
        await manager.add_endpoint(given(host))
    pages = [await manager.search_endpoints(page=number, limit=2) for number in (1, 2, 3, 4)]
    assert [len(page.items) for page in pages] == [2, 2, 1, 0]
    assert [(p.has_previous, p.has_next) for p in pages[:3]] == [
        (False, True), (True, True), (True, False),
    ]  # fmt: skip
    assert {(p.total_count, p.total_pages) for p in pages} == {(5, 3)}
    with pytest.raises(ValueError, match="page"):
        await manager.search_endpoints(page=0)


async def test_only_what_has_been_idle_for_long_is_cleaned_up(world: World) -> None:
    manager = EndpointManager(world.service())
    old, active = await manager.add_endpoint(given("old")), await manager.add_endpoint(given("a"))
    await manager.update_endpoint(old.id, EndpointPatch(active=False))
    await world.clock.advance(30 * DAY_MS)
    new = await manager.add_endpoint(given("new"))
    await manager.update_endpoint(new.id, EndpointPatch(active=False))
    assert await manager.cleanup_expired_endpoints(days=7) == 1
    left = await manager.search_endpoints()
    assert {one.id for one in left.items} == {active.id, new.id}


# --- deliveries and events -----------------------------------------------------------------------


async def test_deliveries_are_searched_by_what_became_of_them(world: World) -> None:
    service = world.service()
    good, bad = await add(service, "good"), await add(service, "bad", retry=NEVER)
    world.sender.script(url_of("bad"), 503)
    await world.clock.run(service.emit_sync(event(id="one")))
    await world.clock.advance(HOUR_MS)
    later = world.clock.now_ms()
    await world.clock.run(service.emit_sync(event(id="two", type="message.read")))
    store = DeliveryStore(service)

    async def found(wanted: DeliveryFilter) -> set[tuple[str, str]]:
        page = await store.search_deliveries(wanted)
        return {(one.endpoint_id, one.event_id) for one in page.items}

    both = {(good.id, "two"), (bad.id, "two")}
    assert await found(DeliveryFilter(event_id="two")) == both
    assert await found(DeliveryFilter(event_type="message.read")) == both
    assert await found(DeliveryFilter(completed_after=later)) == both
    assert await found(DeliveryFilter(created_before=later, endpoint_id=bad.id)) == {
        (bad.id, "one")
    }
    assert await found(DeliveryFilter(status_codes=(503,), created_after=later)) == {
        (bad.id, "two")
    }
    assert await found(DeliveryFilter(has_error=False, event_id="one")) == {(good.id, "one")}
    registry = WebhookRegistry(service)
    failed = await registry.get_failed_deliveries()
    assert [one.event_id for one in failed] == ["two", "one"]
    assert len(await registry.get_deliveries(limit=3)) == 3
    [newest, _] = await store.get_deliveries_by_endpoint(good.id)
    assert await store.get_delivery(newest.id) == newest
    assert await store.get_delivery("dlv_x") is None
    stats = await store.get_delivery_stats()
    assert (stats.total, stats.success_rate) == (4, 50)
    assert stats.by_error == {"http_status": 2}
    assert stats.by_status == {DeliveryStatus.SUCCESS: 2, DeliveryStatus.EXHAUSTED: 2}
    assert stats.by_event_type == {"message.sent": 2, "message.read": 2}


async def test_saving_an_event_twice_is_one_event_and_distinct_ones_stay(world: World) -> None:
    store = EventStore(world.service(), tenant="acme")
    same = {"text": "hi"}
    first = await store.save_event(event(same, id="one", metadata={"provider_id": "p"}))
    again = await store.save_event(event(same, id="one", metadata={"provider_id": "p"}))
    assert (again.key, again.duplicate) == (first.key, True)
    # Equal content under other ids is other events.
    await store.save_event(event(same, id="two", metadata={"provider_id": "q"}))
    with pytest.raises(Conflict):
        await store.save_event(event("other", id="one"))
    found = await store.search_events(EventFilter(metadata={"provider_id": "q"}))
    assert [one.id for one in found.items] == ["two"]
    assert len(await store.get_events_by_type("message.sent")) == 2
    assert await store.get_event("three") is None
    stats = await store.get_event_stats()
    assert (stats.total, stats.by_type) == (2, {"message.sent": 2})
    assert stats.by_hour == {"2025-11-24T16": 2}


async def test_times_are_exact_to_the_millisecond(world: World) -> None:
    store = EventStore(world.service())
    await store.save_event(event(id="one"))
    at = world.clock.now_ms()
    ranges = {(at, None): 1, (at + 1, None): 0, (None, at): 0, (None, at + 1): 1}
    for (after, before), count in ranges.items():
        wanted = EventFilter(created_after=after, created_before=before)
        assert (await store.search_events(wanted)).total_count == count


async def test_what_is_past_its_retention_is_cleaned_up(world: World) -> None:
    service = world.service(retention_days=7)
    await add(service)
    registry = WebhookRegistry(service)
    await world.clock.run(service.emit_sync(event()))
    assert await registry.events.cleanup_old_events() == 0
    await world.clock.advance(8 * DAY_MS)
    assert await registry.deliveries.cleanup_old_deliveries() == 1
    assert (await registry.events.search_events()).total_count == 0


# --- retries, signatures, and a client that sends nothing ----------------------------------------

BACK_OFF = WebhookConfig(max_retries=3, retry_delay_ms=2_000, jitter=False)


def test_a_retry_manager_waits_as_the_engine_does() -> None:
    manager = RetryManager(BACK_OFF)
    assert [manager.get_backoff_delay(made) for made in (1, 2, 3, 4)] == [2_000, 4_000, 8_000, None]
    assert manager.calculate_next_retry(1, 10_000, 0.5) == 12_000
    with pytest.raises(ValueError, match="used up"):
        manager.calculate_next_retry(4, 10_000, 0.5)
    manager.update_config(max_delay_ms=3_000)
    assert manager.get_backoff_delay(2) == 3_000
    with pytest.raises(ConfigError, match="max_retries"):
        manager.update_config(max_retries=-1)


def test_a_retry_manager_tells_what_is_tried_again() -> None:
    manager = RetryManager(BACK_OFF)
    assert [manager.should_retry(made) for made in (1, 3, 4)] == [True, True, False]
    transient = RetryManager(WebhookConfig(transient_only=True))
    kinds = (ErrorKind.TIMEOUT, ErrorKind.REFUSED, ErrorKind.DNS, ErrorKind.REDIRECT)
    assert [transient.should_retry(1, kind) for kind in kinds] == [True, True, True, False]
    statuses = (500, 502, 429, 408, 400, 404, 200)
    assert [manager.should_retry_status(s) for s in statuses] == [True] * 4 + [False] * 3


def test_a_retry_manager_sums_attempts_up() -> None:
    attempts = [
        Attempt(number=1, started_at=0, latency_ms=10, error_kind=ErrorKind.TIMEOUT),
        Attempt(number=2, started_at=1_000, latency_ms=10, error_kind=ErrorKind.TIMEOUT),
        Attempt(number=3, started_at=3_000, latency_ms=10),
    ]
    stats = RetryManager.calculate_retry_stats(attempts)
    assert (stats.total_attempts, stats.successful_attempts, stats.failed_attempts) == (3, 1, 2)
    assert (stats.average_wait_ms, stats.total_ms) == (1_500, 3_010)
    assert RetryManager.calculate_retry_stats([]).total_ms == 0


def test_a_security_manager_signs_what_k_msg_signs() -> None:
    """The vector was made with the original, and checked with HMAC by hand."""
    body = (
        '{"id":"e1795530233595","type":"message.sent","timestamp":"2026-11-24T14:23:53.595Z",'
        '"data":{},"metadata":{},"version":"1"}'
    )
    manager = SecurityManager()
    signature = manager.generate_signature_with_timestamp(body, 1_795_530_233, "s3cr3t")
    assert signature == "sha256=af9cc3e71d9a3599504d5b72a0c3be3974592cffc9b5a4a91c031c31cb54bd86"
    verify = manager.verify_signature_with_timestamp
    assert verify(body, 1_795_530_233, signature, "s3cr3t")
    assert not verify(body + " ", 1_795_530_233, signature, "s3cr3t")
    assert not verify(body, 1_795_530_234, signature, "s3cr3t")
    assert not verify(body, 1_795_530_233, "\ud800", "s3cr3t")
    alone = manager.generate_signature(body, "s3cr3t")
    assert manager.verify_signature(body, alone, "s3cr3t")
    assert not manager.verify_signature(body, alone, "other")
    assert manager.create_signed_payload("x", 1) == "1.x"


async def test_a_security_managers_headers_are_those_of_the_engine(world: World) -> None:
    service = world.service(scheme="k-msg", secret_key="s", algorithm="sha1", signature_prefix="")
    await add(service)
    await world.clock.run(service.emit_sync(event(id="one")))
    [sent] = world.sender.requests
    manager = SecurityManager(service.config)
    stamp = int(sent.headers["x-webhook-timestamp"])
    made = manager.create_security_headers(
        sent.body.decode(), "s", event_id="one", event_type="message.sent", timestamp_s=stamp
    )
    assert {name.lower(): value for name, value in made.items()}.items() <= sent.headers.items()
    assert manager.extract_signature(sent.headers) == made["X-Webhook-Signature"]
    assert manager.extract_signature({"x-other": "y"}) is None


@pytest.mark.parametrize(
    ("timestamp", "near"),
    [
        ("1000", True), ("700", True), ("1300", True), ("699", False), ("1301", False),
        ("1000000", False), ("", False), ("-1000", False), ("soon", False), ("\u0661", False),
        ("9" * 5000, False),
    ],
)  # fmt: skip
def test_a_security_manager_takes_times_within_five_minutes(timestamp: str, near: bool) -> None:
    assert SecurityManager.verify_timestamp(timestamp, 1_000_000) is near


async def test_a_mock_http_client_sends_nothing_and_replies_as_told() -> None:
    client = MockHttpClient()
    service = WebhookRuntimeService(sender=client, auto_start=False)
    for host in "ab":
        await service.add_endpoint(given(host))
    client.set_mock_response(url_of("a"), 503)
    client.set_default_response(204)
    for _ in range(2):  # the same reply more than once
        found = await service.emit_sync(event())
        assert {one.attempts[0].status_code for one in found} == {503, 204}
    assert len(client.requests) == 4
    await service.shutdown()
