"""What people and fate do to a world, one function each. A new one joins ``ACTIONS``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.simulation.callers import REGIONS, TENANTS
from tests.simulation.receivers import FAULTY, HEALTHY, is_gone, is_overloaded
from tests.simulation.recovering import (
    begin_a_recovery_and_stop_it,
    count_what_a_recovery_would_do,
    recover_an_endpoint,
    replay_by_a_filter,
    replay_by_two_filters_at_once,
    stop_a_recovery,
)
from tests.simulation.second_thoughts import (
    cancel_a_delivery,
    cancel_and_replay_what_is_under_way,
    erase_a_payload,
    replay_a_delivery,
    replay_what_stops_its_key,
)
from webhook.domain.endpoint import EndpointInput, EndpointPatch
from webhook.domain.errors import Conflict, NotFound
from webhook.domain.model import EndpointStatus, OrderingOnFailure
from webhook.domain.retry import RetryPolicy

if TYPE_CHECKING:
    from tests.simulation.world import World

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
TIMEOUTS_MS = (None, 1_000, 10_000, 25_000, 30_000)
POLICIES = (
    None,
    RetryPolicy(max_retries=0),
    RetryPolicy(retry_delay_ms=1_000, max_retries=3),
    RetryPolicy(schedule_s=(2, 4), jitter=0.5),
)
CONCURRENCIES = (None, 1, 2, 3)
RATES = (None, None, 0.5, 2, 5, 20)
ON_FAILURE = (OrderingOnFailure.CONTINUE, OrderingOnFailure.STOP)
PATTERNS = (["*"], ["*"], ["message.*"], ["message.sent", "quota.exceeded"])

type Act = Callable[["World"], Coroutine[Any, Any, object]]


class Action(NamedTuple):
    """Something that may happen; ``option`` names the fault that must have been drawn."""

    weight: int
    act: Act
    option: str | None = None


# --- callers --------------------------------------------------------------------------------------


async def emit_one(world: World) -> None:
    await world.callers.emit([world.callers.make()])


async def emit_a_batch(world: World) -> None:
    batch = [world.callers.make() for _ in range(world.dice.randint(2, 6))]
    if world.dice.random() < 0.3:
        batch.append(batch[0])  # equal names inside a batch are one event
        if batch[0].name is None:
            batch.pop()
    await world.callers.emit(batch)


async def emit_and_wait(world: World) -> None:
    await world.callers.emit_and_wait(world.callers.make())


async def emit_again(world: World) -> None:
    """Repeat what was emitted before, as a caller does who has forgotten that he was answered."""
    named = [e for e in world.callers.emissions if e.name and not e.refused]
    if named:
        await world.callers.emit([world.dice.choice(named)])


async def emit_other_content_by_a_used_name(world: World) -> None:
    used = [e for e in world.callers.emissions if e.event.id and not e.refused]
    if used:
        await world.callers.emit([world.callers.make(name=world.dice.choice(used).event.id)])


# --- endpoints ------------------------------------------------------------------------------------


async def add_an_endpoint(world: World) -> None:
    dice = world.dice
    given = EndpointInput(
        url=f"https://r{dice.randrange(6)}.example/hook",
        event_types=dice.choice(PATTERNS),
        tenant=dice.choice(TENANTS[: world.options.tenants]),
        filters={"region": [dice.choice(REGIONS)]} if dice.random() < 0.2 else {},
        timeout_ms=dice.choice(TIMEOUTS_MS) if dice.random() < 0.4 else None,
        retry=dice.choice(POLICIES) if dice.random() < 0.3 else None,
        concurrency_max=dice.choice(CONCURRENCIES) if world.options.limits else None,
        rate_limit_per_second=dice.choice(RATES) if world.options.limits else None,
        ordering_on_failure=dice.choice(ON_FAILURE) if may_stop(world) else ON_FAILURE[0],
    )
    await world.callers.ask(lambda service: service.add_endpoint(given))


async def edit_an_endpoint(world: World) -> None:
    dice = world.dice
    patch = dice.choice(
        (
            EndpointPatch(url=f"https://r{dice.randrange(6)}.example/hook"),
            EndpointPatch(timeout_ms=dice.choice(TIMEOUTS_MS)),
            EndpointPatch(retry=dice.choice(POLICIES)),
            EndpointPatch(event_types=dice.choice(PATTERNS)),
            EndpointPatch(filters={"region": [dice.choice(REGIONS)]}),
        )
    )
    await _change(world, patch)


async def change_the_limits_of_an_endpoint(world: World) -> None:
    dice = world.dice
    patch = dice.choice(
        (
            EndpointPatch(concurrency_max=dice.choice(CONCURRENCIES)),
            EndpointPatch(rate_limit_per_second=dice.choice(RATES)),
        )
    )
    await _change(world, patch)


async def let_an_endpoint_miss_something(world: World) -> None:
    endpoint_id = world.some_endpoint()
    if endpoint_id is not None:
        await _change(world, EndpointPatch(status=EndpointStatus.INACTIVE), endpoint_id)
        await emit_a_batch(world)
        await _change(world, EndpointPatch(status=EndpointStatus.ACTIVE), endpoint_id)


def may_stop(world: World) -> bool:
    """Whether endpoints may stop their ordering keys, which takes both stores in one place."""
    return world.options.ordering and world.options.joint


async def change_what_stops_an_endpoints_keys(world: World) -> None:
    if may_stop(world):
        await _change(world, EndpointPatch(ordering_on_failure=world.dice.choice(ON_FAILURE)))


async def pause_or_resume_an_endpoint(world: World) -> None:
    status = world.dice.choice(
        (EndpointStatus.ACTIVE, EndpointStatus.INACTIVE, EndpointStatus.SUSPENDED)
    )
    await _change(world, EndpointPatch(status=status))


async def bring_back_an_endpoint_in_error(world: World) -> None:
    broken = [e.id for e in world.history.endpoints.values() if e.status == EndpointStatus.ERROR]
    if broken:
        patch = EndpointPatch(status=EndpointStatus.ACTIVE)
        await _change(world, patch, world.dice.choice(broken))


async def remove_an_endpoint(world: World) -> None:
    endpoint_id = world.some_endpoint()
    if endpoint_id is not None:
        await world.callers.ask(lambda service: service.remove_endpoint(endpoint_id))


async def remove_an_endpoint_and_sweep(world: World) -> None:
    await remove_an_endpoint(world)
    await sweep_by_hand(world)


async def _change(world: World, patch: EndpointPatch, chosen: str | None = None) -> None:
    endpoint_id = chosen or world.some_endpoint()
    if endpoint_id is None:
        return
    try:
        await world.callers.ask(lambda service: service.update_endpoint(endpoint_id, patch))
    except (Conflict, NotFound):
        world.note("somebody else was quicker with ", world.endpoint_name(endpoint_id))


async def probe_an_endpoint(world: World) -> None:
    endpoint_id = world.some_endpoint()
    if endpoint_id is None:
        return
    try:
        await world.callers.ask(lambda service: service.probe_endpoint(endpoint_id))
    except NotFound:
        world.note("nothing to probe")
    except Conflict:
        world.note("the rate lets no probe through for long")


# --- the operator ---------------------------------------------------------------------------------


async def pause_all_sending(world: World) -> None:
    await world.callers.ask(lambda service: service.pause_sending())


async def resume_all_sending(world: World) -> None:
    await world.callers.ask(lambda service: service.resume_sending())


async def flush_by_hand(world: World) -> None:
    await world.callers.ask(lambda service: service.flush())


async def sweep_by_hand(world: World) -> None:
    await world.callers.ask(lambda service: service.sweep())


# --- receivers ------------------------------------------------------------------------------------


async def a_receiver_falls_ill(world: World) -> None:
    count = world.dice.randint(1, 3)
    illness = tuple(world.dice.choice(FAULTY) for _ in range(count))
    if world.dice.random() < 0.1:
        illness = (*illness, is_gone)
    world.receivers.moods[f"https://r{world.dice.randrange(6)}.example/hook"] = illness


async def a_receiver_is_well_now_and_then(world: World) -> None:
    mood = (*HEALTHY, world.dice.choice(FAULTY))
    world.receivers.moods[f"https://r{world.dice.randrange(6)}.example/hook"] = mood


# --- fate -----------------------------------------------------------------------------------------


async def crash_some_awaits_ahead(world: World) -> None:
    living = world.platform.living()
    if living:
        process = world.dice.choice(living)
        process.crash_at = process.steps + world.dice.randint(1, 60)


async def crash_at_once(world: World) -> None:
    living = world.platform.living()
    if living:
        world.dice.choice(living).die()


async def stop_and_start_a_server(world: World) -> None:
    await world.platform.stop_one(world.dice.choice((0, 0, 500, 20_000)))


async def stop_a_server_that_claims(world: World) -> None:
    await world.platform.stop_one_that_claims()


async def the_store_goes_down(world: World) -> None:
    seconds = world.dice.choice((1.0, 5.0, 20.0, 60.0))
    world.note("the store is down for ", seconds, " s")
    world.weather.go_down(seconds)


async def the_clock_jumps(world: World) -> None:
    dice = world.dice
    sizes = (5_000, 50_000, 10 * MINUTE_MS, 3 * HOUR_MS, 30 * HOUR_MS)
    # By a clock of the store's own, what a claimer puts off would wait for all those hours.
    size = dice.choice(sizes if world.store_clock is None else sizes[:3])
    world.jump(round(size * (0.5 + dice.random())) * dice.choice((1, -1)))


async def a_receiver_fails_for_days(world: World) -> None:
    """So often that it is left alone, and so long that it is given up."""
    endpoint = world.history.endpoints.get(world.some_endpoint() or "")
    if endpoint is None or not world.options.faulty_receivers:
        return
    world.receivers.moods[endpoint.url] = (is_overloaded,)
    for _ in range(3):
        await emit_a_batch(world)
    await asyncio.sleep(world.dice.random() * 30)
    await days_pass(world)
    await emit_a_batch(world)


async def days_pass(world: World) -> None:
    world.let_days_pass(world.dice.choice((1, 3, 6)))


# What is worst while somebody waits for an answer of the store.
MEDDLING = (
    Action(10, flush_by_hand),
    Action(1, sweep_by_hand),
    Action(3, pause_or_resume_an_endpoint, "edits"),
    Action(3, remove_an_endpoint, "removals"),
    Action(1, replay_a_delivery, "replays"),
    Action(3, cancel_a_delivery, "cancels"),
    Action(3, cancel_and_replay_what_is_under_way, "second_thoughts"),
    Action(2, erase_a_payload, "erasures"),
    Action(1, stop_a_recovery, "recoveries"),
    Action(2, crash_at_once, "crashes"),
    Action(2, stop_and_start_a_server, "crashes"),
    Action(2, the_clock_jumps, "jumps"),
)
RECOVERING = (
    Action(3, recover_an_endpoint),
    Action(2, replay_by_a_filter),
    Action(2, replay_by_two_filters_at_once),
    Action(1, begin_a_recovery_and_stop_it),
    Action(1, stop_a_recovery),
    Action(1, count_what_a_recovery_would_do),
    Action(1, crash_some_awaits_ahead, "crashes"),
    Action(1, the_clock_jumps, "jumps"),
)
ACTIONS = (
    Action(8, emit_one),
    Action(4, emit_a_batch),
    Action(1, emit_and_wait),
    Action(2, emit_again),
    Action(1, emit_other_content_by_a_used_name),
    Action(1, flush_by_hand),
    Action(1, sweep_by_hand),
    Action(1, probe_an_endpoint),
    Action(2, edit_an_endpoint, "edits"),
    Action(3, pause_or_resume_an_endpoint, "edits"),
    Action(1, add_an_endpoint, "edits"),
    Action(2, change_the_limits_of_an_endpoint, "limits"),
    Action(2, change_what_stops_an_endpoints_keys, "ordering"),
    Action(2, pause_all_sending, "pauses"),
    Action(2, resume_all_sending, "pauses"),
    Action(2, remove_an_endpoint, "removals"),
    Action(1, remove_an_endpoint_and_sweep, "removals"),
    Action(3, replay_a_delivery, "replays"),
    Action(3, cancel_a_delivery, "cancels"),
    Action(6, cancel_and_replay_what_is_under_way, "second_thoughts"),
    Action(3, replay_what_stops_its_key, "second_thoughts"),
    Action(2, erase_a_payload, "erasures"),
    Action(2, let_an_endpoint_miss_something, "recoveries"),
    Action(2, recover_an_endpoint, "recoveries"),
    Action(2, replay_by_a_filter, "recoveries"),
    Action(1, stop_a_recovery, "recoveries"),
    Action(3, a_receiver_falls_ill, "faulty_receivers"),
    Action(2, a_receiver_is_well_now_and_then, "faulty_receivers"),
    Action(4, crash_some_awaits_ahead, "crashes"),
    Action(1, crash_at_once, "crashes"),
    Action(2, stop_and_start_a_server, "crashes"),
    Action(1, stop_a_server_that_claims, "crashes"),
    Action(2, the_store_goes_down, "outages"),
    Action(3, the_clock_jumps, "jumps"),
    Action(1, days_pass, "days"),
    Action(3, a_receiver_fails_for_days, "days"),
    Action(2, bring_back_an_endpoint_in_error, "days"),
)
