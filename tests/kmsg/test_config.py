"""Every field of k-msg's ``WebhookConfig`` and runtime configuration is obeyed, none ignored.

A test a field, named after it; each fails if the field means nothing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.engine.world import SECOND_MS, QueueOfHints, World, add, event, statuses, url_of
from webhook import (
    ConfigError,
    EndpointInput,
    EndpointPatch,
    ErrorKind,
    InvalidInput,
    RetryPolicy,
    StoreUnavailable,
    WebhookConfig,
    WebhookRuntimeService,
    create_in_memory_webhook_persistence,
)
from webhook.adapters.memory import MemoryDeliveryStore
from webhook.ports import Claim, ClaimRequest
from webhook.testing import FOREVER, Reply

SIGNATURE = "x-webhook-signature"
KMSG: dict[str, Any] = {"scheme": "k-msg", "secret_key": "s3cr3t"}
FAST: dict[str, Any] = {"max_retries": 3, "retry_delay_ms": SECOND_MS}


async def starts(world: World, retry: RetryPolicy | None = None, **options: Any) -> list[int]:
    """When, in ms from the emit, a receiver that always fails is called within an hour."""
    service = world.service(background=True, **options)
    await add(service, retry=retry)
    world.sender.script(url_of("a"), 503)
    started = world.clock.now_ms()
    await service.emit(event())
    await world.clock.advance(3_600_000)
    return [sent.started_at - started for sent in world.sender.requests]


async def sent_headers(world: World, **options: Any) -> dict[str, str]:
    """The headers of one request to an endpoint without a secret of its own."""
    service = world.service(**options)
    await add(service)
    await world.clock.run(service.emit_sync(event()))
    [sent] = world.sender.requests
    return sent.headers


# --- delivery ------------------------------------------------------------------------------------


@pytest.mark.parametrize("retries", [0, 1, 4])
async def test_max_retries_are_made_after_the_first_attempt(world: World, retries: int) -> None:
    assert len(await starts(world, max_retries=retries, retry_delay_ms=SECOND_MS)) == retries + 1
    assert await statuses(world.service()) == ["exhausted"]


@pytest.mark.parametrize("delay_ms", [0, 500, 2_500])
async def test_retry_delay_ms_is_the_first_wait(world: World, delay_ms: int) -> None:
    assert await starts(world, max_retries=1, retry_delay_ms=delay_ms) == [0, delay_ms]


async def test_backoff_multiplier_multiplies_each_wait(world: World) -> None:
    assert await starts(world, **FAST, backoff_multiplier=3) == [0, 1_000, 4_000, 13_000]


async def test_max_delay_ms_bounds_each_wait(world: World) -> None:
    assert await starts(world, **FAST, max_delay_ms=1_500) == [0, 1_000, 2_500, 4_000]


async def test_jitter_spreads_the_waits_and_false_does_not(world: World) -> None:
    assert await starts(world, **FAST, jitter=False) == [0, 1_000, 3_000, 7_000]


@pytest.mark.parametrize(("jitter", "share"), [(True, 0.2), (0.5, 0.5)])
async def test_jitter_is_a_share_of_the_wait(
    world: World, jitter: float | bool, share: float
) -> None:
    options: dict[str, Any] = {"max_retries": 9, "retry_delay_ms": 1_000, "backoff_multiplier": 1}
    at = await starts(world, **options, jitter=jitter)
    waits = [after - before for before, after in pairwise(at)]
    assert min(waits) >= 1_000 * (1 - share)
    assert max(waits) <= 1_000 * (1 + share)
    # Nine draws of a seeded chance: they reach further than half the share to both sides.
    assert min(waits) < 1_000 * (1 - share / 2)
    assert max(waits) > 1_000 * (1 + share / 2)


async def test_timeout_ms_ends_an_attempt(world: World) -> None:
    service = world.service(timeout_ms=1_234, max_retries=0)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=FOREVER))
    [found] = await world.clock.run(service.emit_sync(event()))
    assert found.attempts[0].error_kind is ErrorKind.TIMEOUT
    assert found.attempts[0].latency_ms == 1_234


async def test_enable_security_false_signs_nothing(world: World) -> None:
    assert SIGNATURE not in await sent_headers(world, **KMSG, enable_security=False)


async def test_secret_key_signs_for_endpoints_without_a_secret(world: World) -> None:
    assert SIGNATURE in await sent_headers(world, **KMSG)


async def test_algorithm_sha1_has_a_prefix_of_its_own(world: World) -> None:
    signature = (await sent_headers(world, **KMSG, algorithm="sha1"))[SIGNATURE]
    assert signature.startswith("sha1=")
    assert len(signature) == len("sha1=") + 40


async def test_signature_header_is_the_name_of_the_header(world: World) -> None:
    headers = await sent_headers(world, **KMSG, signature_header="X-Hub-Signature")
    assert headers["x-hub-signature"].startswith("sha256=")
    assert SIGNATURE not in headers


@pytest.mark.parametrize("prefix", ["", "v0="])
async def test_signature_prefix_may_be_any_or_empty(world: World, prefix: str) -> None:
    signature = (await sent_headers(world, **KMSG, signature_prefix=prefix))[SIGNATURE]
    assert signature.startswith(prefix)
    assert len(signature) == len(prefix) + 64


async def test_enabled_events_are_the_types_that_are_delivered(world: World) -> None:
    service = world.service(enabled_events=("message.sent",))
    await add(service)
    assert await world.clock.run(service.emit_sync(event(type="message.read"))) == []
    assert len(await world.clock.run(service.emit_sync(event(type="message.sent")))) == 1


async def test_batch_size_is_the_most_that_a_claim_takes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    claim = MemoryDeliveryStore.claim

    async def watched(store: MemoryDeliveryStore, request: ClaimRequest) -> Claim:
        found = await claim(store, request)
        taken.append(len(found.claimed))
        return found

    monkeypatch.setattr(MemoryDeliveryStore, "claim", watched)
    service = world.service(batch_size=3)
    await add(service)
    await service.emit_many([event(number) for number in range(10)])
    await world.clock.run(service.flush())
    assert len(world.sender.requests) == 10
    assert max(taken) == 3


async def test_batch_timeout_ms_is_the_longest_that_due_work_waits_unseen(world: World) -> None:
    service = world.service(background=True, batch_timeout_ms=7_000)
    await add(service)  # starts the loop, which finds nothing
    await world.clock.advance(SECOND_MS)
    # Another process accepts, and its hint is lost.
    await world.service(wake_queue=QueueOfHints()).emit(event())
    await world.clock.advance(5_900)
    assert world.sender.requests == []
    await world.clock.advance(200)
    assert len(world.sender.requests) == 1


# --- an endpoint's own retries -------------------------------------------------------------------


async def test_an_endpoints_retry_of_zeros_is_obeyed(world: World) -> None:
    none = RetryPolicy(max_retries=0, retry_delay_ms=0, jitter=0)
    assert await starts(world, none, **FAST) == [0]


async def test_an_endpoints_delay_of_zero_is_obeyed(world: World) -> None:
    at_once = RetryPolicy(max_retries=2, retry_delay_ms=0, jitter=0)
    assert await starts(world, at_once, **FAST) == [0, 0, 0]


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": 99_999, "retry_delay_ms": 1}, "max_retries"),
        ({"max_retries": 10}, "max_retries"),
        ({"retry_delay_ms": -1}, "retry_delay_ms"),
        ({"retry_delay_ms": 1, "backoff_multiplier": 0.5}, "backoff_multiplier"),
        ({"backoff_multiplier": 3}, "backoff_multiplier"),
        ({"max_delay_ms": 10}, "max_delay_ms"),
        ({"retry_delay_ms": 11, "max_delay_ms": 10}, "retry_delay_ms"),
        ({"jitter": 2}, "jitter"),
        ({"schedule_s": (1, -1)}, "schedule_s"),
        ({"schedule_s": (1,) * 101}, "schedule_s"),
        ({"schedule_s": (1,), "retry_delay_ms": 1}, "schedule_s"),
    ],
)
async def test_an_endpoints_retry_that_cannot_be_meant_names_its_field(
    world: World, policy: dict[str, Any], field: str
) -> None:
    service = world.service()
    endpoint = await add(service)
    with pytest.raises(InvalidInput) as added:
        await add(service, "b", retry=RetryPolicy(**policy))
    with pytest.raises(InvalidInput) as changed:
        await service.update_endpoint(endpoint.id, EndpointPatch(retry=RetryPolicy(**policy)))
    for caught in (added, changed):
        assert [error.pointer for error in caught.value.errors] == [f"/retry/{field}"]
    assert await service.get_endpoint(endpoint.id) == endpoint


# --- the runtime's own ---------------------------------------------------------------------------


async def test_persistence_is_where_everything_is_kept_and_memory_unless_given() -> None:
    persistence = create_in_memory_webhook_persistence()
    kept, own = WebhookRuntimeService(persistence=persistence), WebhookRuntimeService()
    made = await kept.add_endpoint(EndpointInput(url=url_of("a"), event_types=["*"]))
    assert await persistence.endpoint_store.get(None, made.id) == made
    assert (await own.list_endpoints()).items == []
    for service in (kept, own):
        await service.shutdown()


@pytest.mark.parametrize(
    ("given", "missing"),
    [("endpoint_store", "delivery_store"), ("delivery_store", "endpoint_store")],
)
def test_one_store_without_the_other_is_refused_by_name(given: str, missing: str) -> None:
    stores: dict[str, Any] = {given: getattr(create_in_memory_webhook_persistence(), given)}
    with pytest.raises(ConfigError, match=missing):
        WebhookRuntimeService(**stores)


async def test_sender_is_who_sends(world: World) -> None:
    """k-msg's ``httpClient``."""
    service = WebhookRuntimeService(sender=world.sender, clock=world.clock, auto_start=False)
    await add(service)
    await world.clock.run(service.emit_sync(event()))
    assert len(world.sender.requests) == 1


async def test_allow_private_hosts_and_allow_http_for_localhost_are_asked_at_each_change(
    world: World,
) -> None:
    """k-msg's ``security``."""
    url = "http://127.0.0.1:8787/hook"
    strict = world.service()
    loose = world.service(allow_private_hosts=True, allow_http_for_localhost=True)
    endpoint = await add(strict)
    with pytest.raises(InvalidInput):
        await strict.add_endpoint(EndpointInput(url=url, event_types=["*"]))
    with pytest.raises(InvalidInput):
        await strict.update_endpoint(endpoint.id, EndpointPatch(url=url))
    changed = await loose.update_endpoint(endpoint.id, EndpointPatch(url=url))
    assert changed.url == url
    only_http = world.service(allow_http_for_localhost=True)
    with pytest.raises(InvalidInput):
        await only_http.add_endpoint(EndpointInput(url=url, event_types=["*"]))


async def test_auto_start_says_whether_a_loop_delivers(world: World) -> None:
    idle, running = world.service(background=False), world.service(background=True)
    await add(idle)
    await idle.emit(event())
    await world.clock.advance(SECOND_MS)
    assert world.sender.requests == []
    await running.initialize()
    await world.clock.advance(SECOND_MS)
    assert len(world.sender.requests) == 1


async def test_a_store_that_could_not_be_opened_is_opened_by_the_next_call() -> None:
    persistence = create_in_memory_webhook_persistence()
    opened: list[bool] = []

    async def init() -> None:
        opened.append(bool(opened))
        if len(opened) == 1:
            raise StoreUnavailable

    persistence.init = init
    service = WebhookRuntimeService(WebhookConfig(), persistence=persistence, auto_start=False)
    with pytest.raises(StoreUnavailable):
        await service.list_endpoints()
    await service.list_endpoints()
    await service.list_endpoints()
    assert opened == [False, True]
