"""Recoveries as people begin and stop them; ``actions.py`` draws when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulation.callers import TENANTS, TYPES
from webhook.domain.errors import NotFound
from webhook.domain.model import DeliveryStatus, ErrorKind
from webhook.domain.recovery import FINISHED, Recovery, RecoveryKind, RecoveryStatus
from webhook.engine.service import WebhookService
from webhook.ports import DOUBLE_CLICK_MS, DeliveryQuery

if TYPE_CHECKING:
    from tests.simulation.world import World

ERROR_KINDS = (ErrorKind.HTTP_STATUS, ErrorKind.TIMEOUT, ErrorKind.INTERRUPTED)

type Begin = Callable[[WebhookService], Coroutine[Any, Any, Recovery]]


async def recover_an_endpoint(world: World) -> None:
    endpoint_id = world.some_endpoint()
    if endpoint_id is None:
        return
    kind = world.dice.choice((RecoveryKind.FAILED, RecoveryKind.MISSED, RecoveryKind.ALL))
    since = _some_time(world) or 0
    world.note("recovery of what is ", kind.value, " at ", world.endpoint_name(endpoint_id))

    async def recover(service: WebhookService) -> Recovery:
        return await service.recover_endpoint(endpoint_id, since=since, which=kind)

    await _begin(world, recover)


async def replay_by_a_filter(world: World) -> None:
    dice = world.dice
    await _replay(
        world,
        DeliveryQuery(
            tenant=dice.choice(TENANTS[: world.options.tenants]),
            since=_some_time(world),
            endpoint_id=world.some_endpoint() if dice.random() < 0.4 else None,
            event_type=dice.choice(TYPES) if dice.random() < 0.3 else None,
            status=_some_end(world),
            error_kind=dice.choice(ERROR_KINDS) if dice.random() < 0.2 else None,
        ),
    )


async def replay_by_two_filters_at_once(world: World) -> None:
    """What both match is brought back by one of them."""
    wide = DeliveryQuery(
        tenant=world.dice.choice(TENANTS[: world.options.tenants]), status=_some_end(world)
    )
    narrow = msgspec.structs.replace(wide, event_type=world.dice.choice(TYPES))
    await asyncio.gather(_replay(world, wide), _replay(world, narrow))


async def _replay(world: World, query: DeliveryQuery) -> None:
    async def replay(service: WebhookService) -> Recovery:
        return await service.replay_matching(query)

    await _begin(world, replay)


def _some_end(world: World) -> DeliveryStatus:
    """Return an end, gladly one that something has come to."""
    ends = {delivery.status for delivery in world.history.deliveries.values()}
    met = [status for status in FINISHED if status in ends]
    return world.dice.choice(met if met and world.dice.random() < 0.8 else FINISHED)


def _some_time(world: World) -> int | None:
    """Return nothing, or some time not long ago."""
    if world.dice.random() < 0.7:
        return None
    return world.clock.now_ms() - round(world.dice.random() * 2 * world.options.duration_s * 1_000)


async def _begin(world: World, begin: Begin) -> None:
    """Begin a recovery; whoever clicks twice at once has begun one."""
    clicks = 2 if world.dice.random() < 0.4 else 1
    given = await asyncio.gather(
        *(world.callers.ask(begin) for _ in range(clicks)), return_exceptions=True
    )
    for answer in given:
        if isinstance(answer, BaseException) and not isinstance(answer, NotFound):
            raise answer
    begun = [answer for answer in given if isinstance(answer, Recovery)]
    if len({one.id for one in begun}) > 1 and not _may_be_two(world, begun):
        world.fail("a recovery that was asked for twice at once has been begun twice")


def _may_be_two(world: World, begun: list[Recovery]) -> bool:
    """Whether the first was stopped meanwhile, or the second came late."""
    made_at = [one.created_at for one in begun]
    stored = [world.history.recoveries.get(one.id) for one in begun]
    return max(made_at) - min(made_at) > DOUBLE_CLICK_MS or any(
        one is None or one.status is RecoveryStatus.CANCELED for one in stored
    )


async def count_what_a_recovery_would_do(world: World) -> None:
    endpoint_id = world.some_endpoint()
    if endpoint_id is not None:
        try:
            await world.callers.ask(
                lambda service: service.recover_endpoint(
                    endpoint_id, since=0, which=RecoveryKind.ALL, dry_run=True
                )
            )
        except NotFound:
            world.note("nothing to count for: it is gone")


async def stop_a_recovery(world: World) -> None:
    running = [r.id for r in world.history.recoveries.values() if r.running]
    ids = running or list(world.history.recoveries)
    if not ids:
        return
    recovery_id = world.dice.choice(ids)
    try:
        await world.callers.ask(lambda service: service.cancel_recovery(recovery_id))
    except NotFound:
        world.note("nothing to stop: it is gone")


async def begin_a_recovery_and_stop_it(world: World) -> None:
    begun = asyncio.ensure_future(replay_by_a_filter(world))
    await asyncio.sleep(world.dice.random() * 0.1)
    await stop_a_recovery(world)
    await begun
