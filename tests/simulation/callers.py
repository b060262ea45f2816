"""Those who emit. They repeat what may not have been accepted, by its name, if it has one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulation.processes import Process
from webhook.domain.errors import Conflict, StoreUnavailable
from webhook.domain.event import WebhookEvent
from webhook.engine.service import WebhookService
from webhook.ports import AcceptedEvent

if TYPE_CHECKING:
    from tests.simulation.world import World

PATIENCE_S = 40.0
HANG_UP_SHARE = 0.2
HANG_UP_S = 0.04
TRIES = 6
TYPES = ("message.sent", "message.read", "quota.exceeded")
TENANTS = ("default", "other")
REGIONS = ("north", "south")
ORDERING_KEYS = (None, "a", "a", "b")


class Emission(msgspec.Struct):
    """One event that somebody wants delivered, and what he was told about it."""

    number: int
    event: WebhookEvent
    answers: list[AcceptedEvent] = []
    # Because of its own name, not of another one's in its batch.
    refused: bool = False

    @property
    def name(self) -> str | None:
        """The name by which a repeat is recognised."""
        return self.event.id or self.event.idempotency_key


class Callers:
    """Makes events and emits them until they are accepted, or patience is at its end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.emissions: list[Emission] = []

    def make(self, *, name: str | None = None) -> Emission:
        """Return a new emission; ``name`` repeats another one's name with other content."""
        dice = self._world.dice
        number = len(self.emissions)
        own_id = key = None
        if name is not None:
            own_id = name
        elif dice.random() < 0.6:
            own_id, key = (f"own-{number}", None) if dice.random() < 0.5 else (None, f"k{number}")
        event = WebhookEvent(
            type=dice.choice(TYPES),
            data={"number": number},
            id=own_id,
            idempotency_key=key,
            tenant=dice.choice(TENANTS[: self._world.options.tenants]),
            metadata={"region": dice.choice(REGIONS)},
            ordering_key=self._ordering_key(),
        )
        made = Emission(number=number, event=event)
        self.emissions.append(made)
        return made

    def _ordering_key(self) -> str | None:
        if not self._world.options.ordering:
            return None
        return self._world.dice.choice(ORDERING_KEYS)

    async def emit(self, emissions: Sequence[Emission]) -> None:
        """Emit in one call; repeat it if all have names and nobody knows what became of them."""
        named = all(emission.name for emission in emissions)
        for _ in range(TRIES if named else 1):
            if await self._try(emissions):
                return
            await asyncio.sleep(self._world.dice.random() * 3)

    async def _try(self, emissions: Sequence[Emission]) -> bool:
        numbers = [emission.number for emission in emissions]
        self._world.note("somebody emits ", numbers)
        events = [emission.event for emission in emissions]
        try:
            answers = await self.call(lambda process: self._emit(process, events))
        except StoreUnavailable:
            return False
        except Conflict:
            self._world.note("refused: ", numbers)
            if len(emissions) == 1:
                emissions[0].refused = True
            return True
        if answers is None:
            return False
        self._world.note("accepted: ", numbers)
        for emission, answer in zip(emissions, answers, strict=True):
            emission.answers.append(answer)
        return True

    async def emit_and_wait(self, emission: Emission) -> None:
        """Emit an event, and wait for its first attempts."""
        self._world.note("somebody emits ", emission.number, " and waits")
        try:
            deliveries = await self.ask(lambda service: service.emit_sync(emission.event))
        except Conflict:
            return
        for delivery in deliveries or []:
            event = self._world.history.events.get(delivery.key)
            if event is not None and event.number != emission.number:
                self._world.fail(f"event {emission.number}: told of event {event.number}")

    async def call[T](self, work: Callable[[Process], Coroutine[Any, Any, T]]) -> T | None:
        """Call some process; None if it was not there, crashed, or took too long."""
        process = self._world.platform.some_process()
        if process is None:
            return None
        try:
            if self._world.options.hang_ups and self._world.dice.random() < HANG_UP_SHARE:
                return await process.hang_up(work(process), self._world.dice.random() * HANG_UP_S)
            return await process.finish(work(process), PATIENCE_S)
        finally:
            await self._world.platform.call_ends(process)

    async def ask[T](self, work: Callable[[WebhookService], Coroutine[Any, Any, T]]) -> T | None:
        """Call some process's service; None also if the store was not there."""
        try:
            return await self.call(lambda process: work(process.service))
        except StoreUnavailable:
            return None

    async def _emit(self, process: Process, events: list[WebhookEvent]) -> list[AcceptedEvent]:
        if self._world.options.platform == "server":
            return await process.service.emit_many(events)
        return await process.service.emit_many(events, wait_until=process.spawn)
