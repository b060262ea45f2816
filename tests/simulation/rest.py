"""The end of a world: everything is healed, and when nothing is pending any more, looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from tests.simulation.callers import TENANTS
from tests.simulation.ordering import release_all
from webhook.domain.endpoint import EndpointPatch
from webhook.domain.errors import Conflict, NotFound
from webhook.domain.model import Delivery, EndpointStatus, Event
from webhook.domain.recovery import Recovery
from webhook.engine.service import WebhookService
from webhook.ports import DeliveryQuery, EventQuery, Page, RecoveryQuery

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

LOOK_S = 60.0
STOP_S = 120.0
RESUME_AGAIN_S = 2.0


class Listed(msgspec.Struct):
    """What the service says at the end; ``got`` are the same deliveries, asked for one by one."""

    events: list[Event] = []
    deliveries: list[Delivery] = []
    got: list[Delivery] = []
    recoveries: list[Recovery] = []


def heal(world: World) -> None:
    """End all faults, and wake up what was paused."""
    world.note("from here on all is healed")
    world.weather.heal()
    world.hint_faults.active = False
    world.receivers.moods.clear()
    for process in world.platform.living():
        process.crash_at = None
    # As late as it ever was, or what was put off then would have to wait for hours.
    shift_ms = world.shift_ms_max if world.store_clock is None else world.days_ms
    if shift_ms != world.clock.shift_ms:
        world.jump(shift_ms - world.clock.shift_ms)


async def resume_all(world: World) -> None:
    """Make every endpoint active again, and again if what is under way puts one to sleep."""
    patch = EndpointPatch(status=EndpointStatus.ACTIVE)
    while True:
        if world.store.paused():
            await world.callers.ask(lambda service: service.resume_sending())
        await release_all(world)
        asleep = [
            e.id for e in world.history.endpoints.values() if e.status not in ("active", "removed")
        ]
        for endpoint_id in asleep:
            try:
                await world.callers.ask(partial(_resume, endpoint_id, patch))
            except (Conflict, NotFound):
                world.note("changed meanwhile: ", world.endpoint_name(endpoint_id))
        waits = asleep or world.history.pending or world.history.recovering
        if not waits and world.under_way == 1:
            return
        await asyncio.sleep(RESUME_AGAIN_S)


async def _resume(endpoint_id: str, patch: EndpointPatch, service: WebhookService) -> None:
    await service.update_endpoint(endpoint_id, patch)


def look_at_everything(world: World) -> None:
    """Ask the service what it says, then every invariant; stop the processes last."""
    # What lost its lease may be under way still.
    world.loop.run(lambda: _all_idle(world), world.loop.time() + LOOK_S)
    listed = Listed()
    looking = world.in_background(_look(world, listed))
    if not world.loop.run(looking.done, world.loop.time() + LOOK_S):
        world.fail("the lists do not come to their end")
    for check in world.checks.rest:
        if not world.broken:
            check(listed)
    if world.broken:
        return
    stopping = world.in_background(_stop_all(world))
    if not world.loop.run(stopping.done, world.loop.time() + STOP_S):
        world.fail("stopping does not come to its end")


def is_idle(process: Process) -> bool:
    """Whether a process holds nothing: no slot, no claim, no outcome that is to be written."""
    held = process.service._background
    if held is None:
        return True
    return not (held._slots.reserved or held._slots.held or held._settler.busy)


def _all_idle(world: World) -> bool:
    return all(is_idle(process) for process in world.platform.living())


async def _look(world: World, listed: Listed) -> None:
    while True:
        events = world.history.events.keys()
        try:
            read = await world.callers.ask(lambda service: _read(service, listed))
        except NotFound:
            read = None
        if read and world.history.events.keys() == events:
            return
        # All are about to start again, or a sweep has removed something meanwhile.
        await asyncio.sleep(1)


async def _read(service: WebhookService, listed: Listed) -> bool:
    listed.events, listed.deliveries, listed.recoveries = [], [], []
    for tenant in TENANTS:
        events, deliveries = (
            EventQuery(tenant=tenant, limit=3),
            DeliveryQuery(tenant=tenant, limit=4),
        )
        listed.events += await _pages(partial(_events, service, events))
        listed.deliveries += await _pages(partial(_deliveries, service, deliveries))
        recoveries = RecoveryQuery(tenant=tenant, limit=2)
        listed.recoveries += await _pages(partial(_recoveries, service, recoveries))
    listed.got = [await service.get_delivery(d.id) for d in listed.deliveries]
    return True


async def _events(service: WebhookService, query: EventQuery, after: str | None) -> Page[Event]:
    return await service.list_events(msgspec.structs.replace(query, after=after))


async def _deliveries(
    service: WebhookService, query: DeliveryQuery, after: str | None
) -> Page[Delivery]:
    return await service.list_deliveries(msgspec.structs.replace(query, after=after))


async def _recoveries(
    service: WebhookService, query: RecoveryQuery, after: str | None
) -> Page[Recovery]:
    return await service.list_recoveries(msgspec.structs.replace(query, after=after))


async def _pages[T](page_after: Callable[[str | None], Awaitable[Page[T]]]) -> list[T]:
    found: list[T] = []
    after = None
    while True:
        page = await page_after(after)
        found += page.items
        after = page.after
        if after is None:
            return found


async def _stop_all(world: World) -> None:
    for process in world.platform.living():
        await process.finish(process.service.stop(1_000), STOP_S)
