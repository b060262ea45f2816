"""Deliveries that nobody wants any more: canceled by hand, or because they waited for too long."""

from __future__ import annotations

import pytest

from tests.engine.world import HOUR_MS, SECOND_MS, World, add, event, url_of
from webhook.domain.endpoint import EndpointPatch
from webhook.domain.errors import NotFound
from webhook.domain.model import DeliveryStatus
from webhook.testing import Reply

DAY_MS = 24 * HOUR_MS


async def test_a_retry_that_was_canceled_is_not_sent(world: World) -> None:
    service = world.service()
    await add(service)
    world.sender.script(url_of("a"), 503)
    await service.emit(event())
    await world.clock.run(service.flush())
    pending = await world.delivery(service)
    canceled, by_this = await service.cancel_delivery(pending.id, tenant="default")
    assert (canceled.status, canceled.reason) == (DeliveryStatus.CANCELED, "canceled by hand")
    assert by_this
    await world.clock.advance(HOUR_MS)
    await world.clock.run(service.flush())
    assert len(world.sender.requests) == 1
    assert await service.cancel_delivery(pending.id) == (canceled, False)


async def test_an_attempt_under_way_arrives_and_changes_nothing(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=5 * SECOND_MS))
    await service.emit(event())
    await world.clock.idle()
    assert world.sender.under_way == 1
    canceled, by_this = await service.cancel_delivery((await world.delivery(service)).id)
    assert by_this
    await world.clock.advance(HOUR_MS)
    assert await world.delivery(service) == canceled
    assert len(world.sender.requests) == 1


async def test_a_finished_delivery_stays_as_it_ended(world: World) -> None:
    service = world.service()
    await add(service)
    await service.emit(event())
    await world.clock.run(service.flush())
    ended = await world.delivery(service)
    assert await service.cancel_delivery(ended.id) == (ended, False)
    with pytest.raises(NotFound):
        await service.cancel_delivery(ended.id, tenant="acme")
    with pytest.raises(NotFound):
        await service.cancel_delivery("dlv_" + "0" * 52)


@pytest.mark.parametrize(("days", "text"), [(30, "30 days"), (1, "1 day"), (2.5, "2.5 days")])
async def test_what_waited_longer_than_pending_days_is_canceled(
    world: World, days: float, text: str
) -> None:
    service = world.service(pending_days=days, retention_days=90)
    endpoint = await add(service)
    await service.update_endpoint(endpoint.id, EndpointPatch(active=False))
    await service.emit(event("to nobody"))
    await service.update_endpoint(endpoint.id, EndpointPatch(active=True))
    await service.emit(event())
    await service.update_endpoint(endpoint.id, EndpointPatch(active=False))
    # A ms is left.
    await world.clock.advance(round(days * DAY_MS))
    await service.sweep()
    assert (await world.delivery(service)).status is DeliveryStatus.PENDING
    await world.clock.advance(1)
    report = await service.sweep()
    canceled = await world.delivery(service)
    assert report.canceled == 1
    assert (canceled.status, canceled.reason) == (
        DeliveryStatus.CANCELED,
        f"pending for more than {text}",
    )


async def test_a_replay_of_an_old_delivery_gets_all_its_time(world: World) -> None:
    service = world.service(retention_days=90)
    endpoint = await add(service)
    world.sender.script(url_of("a"), 410)
    await service.emit(event())
    await world.clock.run(service.flush())
    await world.clock.advance(40 * DAY_MS)
    replayed, _ = await service.replay_delivery((await world.delivery(service)).id)
    assert replayed.status is DeliveryStatus.PENDING
    # Its endpoint is still disabled.
    await world.clock.advance(29 * DAY_MS)
    await service.sweep()
    assert (await world.delivery(service)).status is DeliveryStatus.PENDING
    world.sender.script(url_of("a"), 200)
    await service.update_endpoint(endpoint.id, EndpointPatch(active=True))
    await world.clock.run(service.flush())
    assert (await world.delivery(service)).status is DeliveryStatus.SUCCESS
