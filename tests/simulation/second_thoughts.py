"""What people want after all, or no more: cancels, replays and erasures; actions.py draws when."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from webhook.domain.errors import Conflict, NotFound
from webhook.domain.model import DEAD_STATES

if TYPE_CHECKING:
    from tests.simulation.world import World

LOOKS, LOOK_S = 100, 0.02
LONG_LOOKS, LONG_LOOK_S = 60, 1.0


async def replay_a_delivery(world: World) -> None:
    refs = sorted(world.history.deliveries)
    if not refs:
        return
    ref = world.dice.choice(refs)
    world.note("replay of ", world.history.name(ref))
    try:
        await world.callers.ask(lambda service: service.replay_delivery(ref.id))
    except (Conflict, NotFound):
        world.note("no replay: its endpoint or event is gone")


async def cancel_a_delivery(world: World) -> None:
    pending = sorted(world.history.pending)
    busy = [ref for ref in pending if world.history.under_way.get(ref)]
    refs = busy if busy and world.dice.random() < 0.5 else pending
    if not refs:
        return
    ref = world.dice.choice(refs)
    world.note("cancel of ", world.history.name(ref))
    try:
        await world.callers.ask(lambda service: service.cancel_delivery(ref.id))
    except NotFound:
        world.note("nothing to cancel: it is gone")


async def cancel_and_replay_what_is_under_way(world: World) -> None:
    """The attempt that is under way is of the run before then."""
    await world.callers.emit([world.callers.make()])
    for _ in range(LOOKS):
        busy = sorted(ref for ref in world.history.pending if world.history.is_being_sent(ref))
        if busy:
            break
        await asyncio.sleep(LOOK_S)
    else:
        return
    ref = world.dice.choice(busy)
    world.note("cancel of ", world.history.name(ref), ", and replay")
    try:
        await world.callers.ask(lambda service: service.cancel_delivery(ref.id))
        await world.callers.ask(lambda service: service.replay_delivery(ref.id))
    except (Conflict, NotFound):
        world.note("no replay: its endpoint or event is gone")


async def replay_what_stops_its_key(world: World) -> None:
    """Others wait behind it until the replay has succeeded."""
    history = world.history
    for _ in range(LONG_LOOKS):
        stopping = sorted(
            ref
            for ref, delivery in history.deliveries.items()
            if delivery.state in DEAD_STATES
            and delivery.ordering_key is not None
            and history.endpoints[ref.endpoint_id].ordering_on_failure == "stop"
        )
        if stopping:
            break
        await asyncio.sleep(LONG_LOOK_S)
    else:
        return
    ref = world.dice.choice(stopping)
    world.note("replay of ", history.name(ref), ", which stops its key")
    try:
        await world.callers.ask(lambda service: service.replay_delivery(ref.id))
    except (Conflict, NotFound):
        world.note("no replay: its endpoint or event is gone")


async def erase_a_payload(world: World) -> None:
    events = sorted(world.history.events.values(), key=lambda event: event.key)
    busy = {ref.key for ref in world.history.pending if world.history.under_way.get(ref)}
    if busy and world.dice.random() < 0.5:
        events = [event for event in events if event.key in busy]
    if not events:
        return
    event = world.dice.choice(events)
    event_id = world.callers.emissions[event.number].event.id or f"evt_{event.key}"
    world.note("the payload of event ", event.number, " is to be erased")
    try:
        await world.callers.ask(
            lambda service: service.erase_payload(event_id, tenant=event.tenant)
        )
    except NotFound:
        world.note("nothing to erase: it is gone")
