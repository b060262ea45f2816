"""The sweep through the service: what is old and done goes, what is pending never does."""

from __future__ import annotations

from tests.engine.world import HOUR_MS, MINUTE_MS, World, add, all_deliveries, event, url_of
from webhook.domain.endpoint import EndpointPatch
from webhook.domain.model import DeliveryStatus
from webhook.ports import EventQuery

DAY_MS = 24 * HOUR_MS


async def events_of(world: World, tenant: str = "default") -> int:
    listed = await world.service().list_events(EventQuery(tenant=tenant, limit=250))
    return len(listed.items)


async def test_what_is_older_than_its_retention_goes_with_its_deliveries_and_name(
    world: World,
) -> None:
    service = world.service(retention_days=2)
    await add(service)
    await world.clock.run(service.emit_sync(event(1, id="old")))
    await world.clock.advance(DAY_MS)
    await world.clock.run(service.emit_sync(event(1, id="young")))
    await world.clock.advance(DAY_MS + 1)
    report = await service.sweep()
    assert (report.events_removed, report.deliveries_removed, report.more) == (1, 1, False)
    assert [d.event_id for d in await all_deliveries(service)] == ["young"]
    assert not (await service.emit(event(2, id="old"))).duplicate


async def test_what_is_pending_outlives_its_retention(world: World) -> None:
    service = world.service(retention_days=1)
    endpoint = await add(service)
    await service.emit(event())
    await service.update_endpoint(endpoint.id, EndpointPatch(active=False))
    await world.clock.advance(29 * DAY_MS)
    assert (await service.sweep()).events_removed == 0
    await service.update_endpoint(endpoint.id, EndpointPatch(active=True))
    await world.clock.run(service.flush())
    assert [d.status for d in await all_deliveries(service)] == [DeliveryStatus.SUCCESS]
    assert (await service.sweep()).events_removed == 1


async def test_the_background_sweeps_every_minute(world: World) -> None:
    service = world.service(background=True, retention_days=1, batch_timeout_ms=HOUR_MS)
    await add(service)
    await service.emit(event())
    await world.clock.idle()
    await world.clock.advance(DAY_MS - MINUTE_MS)
    assert await events_of(world) == 1
    await world.clock.advance(2 * MINUTE_MS + 1)
    assert await events_of(world) == 0


async def test_a_sweep_works_in_pieces_and_says_whether_more_is_left(world: World) -> None:
    service = world.service(retention_days=1)
    for number in range(12):
        await service.emit_many([event([number, n]) for n in range(100)])
    await world.clock.advance(DAY_MS + 1)
    first = await service.sweep(pieces=1)
    assert (first.events_removed, first.more) == (500, True)
    rest = await service.sweep()
    assert (rest.events_removed, rest.more) == (700, False)


async def test_payloads_go_before_their_events_but_never_while_one_is_pending(world: World) -> None:
    service = world.service(payload_days=1, retention_days=3)
    endpoint = await add(service)
    await world.clock.run(service.emit_sync(event(1, id="sent")))
    await service.update_endpoint(endpoint.id, EndpointPatch(active=False))
    other = await add(service, "other")
    await service.emit(event(2, id="waits"))
    await service.update_endpoint(other.id, EndpointPatch(active=False))
    await world.clock.advance(DAY_MS + 1)
    report = await service.sweep()
    assert (report.payloads_erased, report.events_removed) == (1, 0)
    assert (await service.get_event("sent")).payload_erased
    await service.update_endpoint(other.id, EndpointPatch(active=True))
    await world.clock.run(service.flush())
    [sent] = world.sender.to(url_of("other"))
    assert b'"waits"' in sent.body
    assert (await service.sweep()).payloads_erased == 1
    assert [d.status for d in await all_deliveries(service)] == [DeliveryStatus.SUCCESS] * 2
    await world.clock.advance(2 * DAY_MS)
    assert (await service.sweep()).events_removed == 2


async def test_a_removed_endpoints_backlog_is_canceled_by_the_sweep(world: World) -> None:
    service = world.service()
    endpoint = await add(service)
    other = await add(service, "other")
    for number in range(3):
        await service.emit_many([event([number, n]) for n in range(100)])
    await service.remove_endpoint(endpoint.id)
    report = await service.sweep()
    assert (report.canceled, report.more) == (300, False)
    await world.clock.run(service.flush())
    assert len(world.sender.to(url_of("other"))) == 300
    assert world.sender.to(url_of("a")) == []
    states = {d.status for d in await all_deliveries(service, endpoint_id=endpoint.id)}
    assert states == {DeliveryStatus.CANCELED}
    assert other.active
