"""A payload that was erased is not sent, kept or brought back, whatever was under way."""

from __future__ import annotations

import pytest

from tests.engine.world import (
    HOUR_MS,
    SECOND_MS,
    World,
    add,
    all_deliveries,
    event,
    statuses,
    url_of,
)
from webhook.domain.errors import Conflict, NotFound
from webhook.domain.model import DeliveryStatus
from webhook.domain.recovery import RecoveryKind
from webhook.ports import PAYLOAD_ERASED, DeliveryQuery
from webhook.testing import Reply

CANCELED, SUCCESS = DeliveryStatus.CANCELED, DeliveryStatus.SUCCESS


async def test_a_retry_of_it_is_never_sent(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), Reply(status_code=503, response="hush"))
    accepted = await service.emit(event("hush"))
    await world.clock.idle()
    left = await service.erase_payload(accepted.id)
    assert (left.id, left.payload, left.payload_erased) == (accepted.id, "", True)
    delivery = await world.delivery(service)
    assert (delivery.status, delivery.reason) == (CANCELED, PAYLOAD_ERASED)
    assert [one.response for one in delivery.attempts] == [None]
    await world.clock.advance(48 * HOUR_MS)
    assert len(world.sender.requests) == 1
    assert await service.erase_payload(accepted.id) == left
    assert await world.delivery(service) == delivery


async def test_of_an_attempt_under_way_nothing_is_recorded(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=5 * SECOND_MS, response="hush"))
    accepted = await service.emit(event())
    await world.clock.idle()
    assert world.sender.under_way == 1
    await service.erase_payload(accepted.id)
    canceled = await world.delivery(service)
    await world.clock.advance(HOUR_MS)
    assert await world.delivery(service) == canceled
    assert (canceled.status, canceled.attempts) == (CANCELED, ())


async def test_it_cannot_be_replayed_and_recoveries_leave_it(world: World) -> None:
    service = world.service()
    endpoint = await add(service)
    first, _ = await service.emit_many([event(1), event(2)])
    await world.clock.run(service.flush())
    await service.erase_payload(first.id)
    [erased] = [one for one in await all_deliveries(service) if one.payload_erased]
    with pytest.raises(Conflict, match="payload was erased"):
        await service.replay_delivery(erased.id)
    query = DeliveryQuery(status=SUCCESS)
    assert (await service.replay_matching(query, dry_run=True)).replayed == 1
    count = await service.recover_endpoint(
        endpoint.id, since=0, which=RecoveryKind.ALL, dry_run=True
    )
    assert (count.replayed, count.made) == (1, 0)
    assert (await service.replay_matching(query)).replayed == 1
    await world.clock.run(service.flush())
    assert len(world.sender.requests) == 3
    assert await statuses(service) == [SUCCESS, SUCCESS]


async def test_its_ordering_key_goes_on_at_once(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), 503, 200)
    first, _ = await service.emit_many([event(n, ordering_key="k") for n in range(2)])
    await world.clock.idle()
    assert len(world.sender.requests) == 1
    await service.erase_payload(first.id)
    await world.clock.idle()
    assert sorted(await statuses(service)) == [CANCELED, SUCCESS]


async def test_a_repeated_emit_is_answered_as_the_first_time(world: World) -> None:
    service = world.service()
    await add(service)
    first = await service.emit(event("hush", id="order-1"))
    await service.erase_payload("order-1")
    again = await service.emit(event("hush", id="order-1"))
    assert (again.id, again.delivery_count, again.duplicate) == ("order-1", 1, True)
    assert again.key == first.key
    assert (await service.get_event("order-1")).payload_erased
    await world.clock.run(service.flush())
    assert world.sender.requests == []


async def test_what_is_not_there_or_of_others_is_not_found(world: World) -> None:
    service = world.service()
    accepted = await service.emit(event())
    for event_id, tenant in ((accepted.id, "acme"), ("no", "default"), ("", "default")):
        with pytest.raises(NotFound):
            await service.erase_payload(event_id, tenant=tenant)
    assert not (await service.get_event(accepted.id)).payload_erased
