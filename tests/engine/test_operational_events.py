"""The service tells a tenant what became of its endpoints and deliveries, once, and nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.engine.stores import When
from tests.engine.world import HOUR_MS, MINUTE_MS, SECOND_MS, World, add, all_deliveries, event
from webhook.adapters.memory import MemoryDeliveryStore, MemoryEndpointStore
from webhook.domain.endpoint import EndpointInput, EndpointPatch
from webhook.domain.errors import InvalidInput
from webhook.domain.event_types import OPERATIONAL_TYPES
from webhook.domain.model import DeliveryStatus, Endpoint, EndpointStatus
from webhook.domain.recovery import RecoveryKind
from webhook.ports import EventQuery, WebhookPersistence
from webhook.runtime import WebhookRuntimeService

DAY_MS = 24 * HOUR_MS
FAILING_URL = "https://a.example:8443/hook-path?token=query-secret"
TOLD_URL = "https://told.example/hook"
NO_RETRY: dict[str, Any] = {"max_retries": 0}


async def add_failing(service: WebhookRuntimeService, **options: Any) -> Endpoint:
    """Add the endpoint that things happen to."""
    given = EndpointInput(
        url=FAILING_URL,
        event_types=["message.*"],
        headers={"authorization": "header-secret"},
        **options,
    )
    return await service.add_endpoint(given)


async def add_told(service: WebhookRuntimeService, *patterns: str) -> Endpoint:
    """Add the endpoint that is told of it."""
    given = EndpointInput(url=TOLD_URL, event_types=list(patterns or ("endpoint.*", "delivery.*")))
    return await service.add_endpoint(given)


def told(world: World) -> list[dict[str, Any]]:
    """Return the bodies of what was told, in order."""
    return [json.loads(sent.body) for sent in world.sender.to(TOLD_URL)]


def types(world: World) -> list[str]:
    return [body["type"] for body in told(world)]


async def stored_types(service: WebhookRuntimeService) -> list[str]:
    page = await service.list_events(EventQuery(limit=250))
    return sorted(e.type for e in page.items if e.type in OPERATIONAL_TYPES)


async def test_five_days_of_nothing_but_failures_are_told_once(world: World) -> None:
    service = world.service(background=True, retry_schedule_s=(7_200,) * 100)
    endpoint = await add_failing(service)
    await add_told(service)
    world.sender.script(FAILING_URL, 503)
    await service.emit_many([event(n) for n in range(12)])
    await world.clock.advance(5 * DAY_MS - HOUR_MS)
    assert types(world) == []
    await world.clock.advance(2 * DAY_MS)
    [body] = told(world)
    assert (await service.get_endpoint(endpoint.id)).status is EndpointStatus.ERROR
    assert body["type"] == "endpoint.disabled"
    assert list(body) == ["id", "type", "timestamp", "data", "metadata", "version"]
    data = body["data"]
    assert (data["endpoint_id"], data["endpoint_origin"]) == (
        endpoint.id,
        "https://a.example:8443",
    )
    assert data["reason"] == "nothing but failures for 5 days"
    assert (data["event_type"], data["error_kind"]) == ("message.sent", "http_status")
    delivery = await service.get_delivery(data["delivery_id"])
    assert (delivery.event_id, delivery.attempts_made) == (data["event_id"], data["attempts"])


async def test_a_410_a_dead_letter_and_a_return_are_told(world: World) -> None:
    service = world.service(background=True, **NO_RETRY)
    endpoint = await add_failing(service)
    await add_told(service)
    world.sender.script(FAILING_URL, 500, 410, 200)
    await service.emit(event(1))
    await world.clock.advance(SECOND_MS)
    await service.emit(event(2))
    await world.clock.advance(SECOND_MS)
    assert types(world) == ["delivery.exhausted", "endpoint.disabled"]
    assert [body["data"]["reason"] for body in told(world)] == [
        "retries used up after 1 attempts",
        "the receiver answered 410 Gone",
    ]
    await service.update_endpoint(endpoint.id, EndpointPatch(active=True))
    # Nobody asks a store about it: the minute's sweep does.
    await world.clock.advance(MINUTE_MS)
    assert types(world)[2:] == ["endpoint.recovered"]
    assert told(world)[2]["data"] == {
        "endpoint_id": endpoint.id,
        "endpoint_origin": "https://a.example:8443",
        "reason": "made active again",
        "delivery_id": None,
        "event_id": None,
        "event_type": None,
        "error_kind": None,
        "attempts": None,
    }


async def test_a_receiver_that_comes_back_is_told(world: World) -> None:
    service = world.service(background=True)
    await add_failing(service)
    await add_told(service)
    world.sender.script(FAILING_URL, *[503] * 12, 200)
    await service.emit_many([event(n) for n in range(20)])
    await world.clock.advance(HOUR_MS)
    assert types(world) == ["endpoint.recovered"]
    assert told(world)[0]["data"]["reason"] == "a delivery succeeded"


async def test_no_secret_is_told(world: World) -> None:
    service = world.service(background=True, **NO_RETRY)
    endpoint = await add_failing(service)
    await add_told(service)
    world.sender.script(FAILING_URL, 500, 410)
    await service.emit(event(1, id="order-1"))
    await world.clock.advance(SECOND_MS)
    await service.emit(event("in-the-payload"))
    await world.clock.advance(SECOND_MS)
    everything = json.dumps(told(world))
    assert len(told(world)) == 2
    assert "order-1" in everything
    secret = endpoint.secrets[0].value
    for hidden in (secret, "hook-path", "query-secret", "header-secret", "in-the-payload"):
        assert hidden not in everything


async def test_a_star_means_none_of_them_and_other_tenants_hear_nothing(world: World) -> None:
    service = world.service(background=True, **NO_RETRY)
    await add_failing(service)
    await add(service, "star", "*")
    others = EndpointInput(url="https://other.example/", event_types=["endpoint.*"], tenant="other")
    await service.add_endpoint(others)
    world.sender.script(FAILING_URL, 410)
    await service.emit(event(1))
    await world.clock.advance(HOUR_MS)
    assert await stored_types(service) == ["endpoint.disabled"]
    assert len(world.sender.requests) == 2
    # Nor does a recovery of what it missed bring them.
    [star] = [e for e in (await service.list_endpoints()).items if e.event_types == ("*",)]
    count = await service.recover_endpoint(
        star.id, since=0, which=RecoveryKind.MISSED, dry_run=True
    )
    assert count.made == 0


@pytest.mark.parametrize("name", sorted(OPERATIONAL_TYPES))
async def test_nobody_else_emits_them(world: World, name: str) -> None:
    service = world.service()
    for call in (service.emit, service.emit_sync):
        with pytest.raises(InvalidInput) as refused:
            await call(event(1, type=name))
        [error] = refused.value.errors
        assert error.pointer == "/type"
        assert "emit another type" in error.detail


async def test_enabled_events_bounds_what_callers_emit_only(world: World) -> None:
    service = world.service(background=True, enabled_events=("message.sent",), **NO_RETRY)
    await add_failing(service)
    await add_told(service)
    world.sender.script(FAILING_URL, 410)
    await service.emit(event(1))
    await world.clock.advance(SECOND_MS)
    assert types(world) == ["endpoint.disabled"]


# --- what is told causes nothing ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status"), [(410, EndpointStatus.ERROR), (500, EndpointStatus.ACTIVE)]
)
async def test_what_comes_of_telling_is_not_told(
    world: World, answer: int, status: EndpointStatus
) -> None:
    service = world.service(background=True, **NO_RETRY)
    await add_failing(service)
    listener = await add_told(service)
    also = EndpointInput(url="https://also.example/", event_types=["endpoint.*", "delivery.*"])
    await service.add_endpoint(also)
    world.sender.script(FAILING_URL, 500)
    world.sender.script(TOLD_URL, answer)
    await service.emit(event(1))
    await world.clock.advance(HOUR_MS)
    assert (await service.get_endpoint(listener.id)).status is status
    assert await stored_types(service) == ["delivery.exhausted"]
    assert len(world.sender.to("https://also.example/")) == 1


# --- whatever goes wrong, once --------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["accept", "forget_notices"])
async def test_who_dies_before_he_has_told_leaves_it_to_the_sweep(
    world: World, method: str, when: When
) -> None:
    service = world.service(background=True, **NO_RETRY)
    await add_failing(service)
    await add_told(service)
    world.sender.script(FAILING_URL, 500)
    await service.emit(event(1))
    world.faults.fail(method, when=when)
    await world.clock.advance(10 * MINUTE_MS)
    world.faults.heal()
    other = world.service()
    await world.clock.run(other.sweep())
    await world.clock.advance(10 * MINUTE_MS)
    assert types(world) == ["delivery.exhausted"]
    assert await stored_types(service) == ["delivery.exhausted"]
    assert (await world.persistence.delivery_store.sweep(0, 0, 100)).notices == []


async def test_a_settle_whose_answer_is_lost_is_told_once(world: World) -> None:
    service = world.service(background=True, **NO_RETRY)
    await add_failing(service)
    await add_told(service)
    world.sender.script(FAILING_URL, 410)
    world.faults.fail("settle", 2, when="after")
    await service.emit(event(1))
    await world.clock.advance(10 * MINUTE_MS)
    assert types(world) == ["endpoint.disabled"]


async def test_two_who_tell_the_same_tell_it_once(world: World) -> None:
    first, second = (world.service(**NO_RETRY) for _ in range(2))
    await add_failing(first)
    await add_told(first)
    world.sender.script(FAILING_URL, 500)
    await first.emit(event(1))
    world.faults.fail("accept")
    await world.clock.run(first.flush())
    world.faults.heal()
    report = await world.persistence.delivery_store.sweep(0, 0, 100)
    assert len(report.notices) == 1
    for service in (first, second):
        await world.clock.run(service._announcer.announce(report.notices))
    await world.clock.run(first.flush())
    assert types(world) == ["delivery.exhausted"]
    assert len(await all_deliveries(first, event_type="delivery.exhausted")) == 1


# --- stores apart ---------------------------------------------------------------------------------


async def test_stores_that_know_nothing_of_each_other_tell_it_too() -> None:
    apart = WebhookPersistence(
        endpoint_store=MemoryEndpointStore(), delivery_store=MemoryDeliveryStore()
    )
    world = World(apart)
    service = world.service(background=True, **NO_RETRY)
    endpoint = await add_failing(service)
    listener = await add_told(service)
    world.sender.script(FAILING_URL, 500, 410)
    for number in range(2):
        await service.emit(event(number))
        await world.clock.advance(SECOND_MS)
    await service.update_endpoint(endpoint.id, EndpointPatch(active=True))
    await world.clock.advance(SECOND_MS)
    assert types(world) == ["delivery.exhausted", "endpoint.disabled", "endpoint.recovered"]
    origins = {body["data"]["endpoint_origin"] for body in told(world)}
    assert origins == {"https://a.example:8443"}
    # And the end of that is not told.
    world.sender.script(TOLD_URL, 410)
    await service.emit(event(3))
    await world.clock.advance(HOUR_MS)
    assert (await service.get_endpoint(listener.id)).status is EndpointStatus.ERROR
    assert len(told(world)) == 4
    statuses = [d.status for d in await all_deliveries(service, endpoint_id=listener.id)]
    assert statuses.count(DeliveryStatus.FAILED) == 1
    await world.close()
