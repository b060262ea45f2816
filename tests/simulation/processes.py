"""Where the engine runs: servers that stay, and a Worker's invocations that come and go.

Each is a process of its own. Its crash takes everything with it but the store and the receivers.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from tests.simulation.hints import FaultyWake, SimulatedQueue
from tests.simulation.loop import OWNER, Owner
from webhook.domain.errors import StoreUnavailable
from webhook.ports import WakeQueue
from webhook.runtime import WebhookRuntimeService
from webhook.worker.handlers import DELIVER_BUDGET_MS, LIMITS, SWEEP_PIECES

if TYPE_CHECKING:
    from tests.simulation.world import World

WAIT_UNTIL_S = 30.0
CONSUMER_S = 900.0
CRON_S = 60.0
REDELIVERIES = 3
CLAIM_LOOKS, CLAIM_LOOK_S = 200, 0.004


class Process(Owner):
    """One process with a service in it."""

    def __init__(self, world: World, name: str, wake_queue: WakeQueue | None) -> None:
        super().__init__(name)
        self.world = world
        self._spawned: list[asyncio.Task[Any]] = []
        self.service = WebhookRuntimeService(
            world.options.config,
            persistence=world.store.persistence(),
            sender=world.receivers,
            wake_queue=wake_queue,
            clock=world.clock,
            chance=world.chance,
            auto_start=wake_queue is None,
        )

    def spawn[T](self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``work`` within this process; should it crash, the task never ends."""
        context = contextvars.Context()
        context.run(OWNER.set, self)
        task = self.world.loop.create_task(work, context=context)
        self._spawned.append(task)
        return task

    async def finish[T](self, work: Coroutine[Any, Any, T], within_s: float) -> T | None:
        """Run ``work`` within this process from outside; None if it crashed or took too long."""
        return await self._wait(self.spawn(work), within_s)

    async def hang_up[T](self, work: Coroutine[Any, Any, T], after_s: float) -> T | None:
        """As ``finish``, but what has taken too long is canceled, as a server does with a call."""
        task = self.spawn(work)
        answer = await self._wait(task, after_s)
        if not task.done() and self.alive:
            # Who is cut short may have claimed something that nobody knows of any more.
            self.world.history.trouble()
            self.world.note("somebody hangs up")
            task.cancel()
        return answer

    async def _wait[T](self, task: asyncio.Task[T], within_s: float) -> T | None:
        death = asyncio.ensure_future(self.died.wait())
        await asyncio.wait((task, death), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        return task.result() if task.done() else None

    def die(self) -> None:
        """Crash."""
        if not self.alive:
            return
        super().die()
        self.cut_off = True
        self.world.history.crashes_s.append(self.world.loop.time())
        self.world.note(self.name, " crashes")

    def end(self) -> None:
        """Be over; whatever it has forgotten to do is not done."""
        if self.alive:
            self.cut_off = not all(task.done() for task in self._spawned)
            super().die()


class Server(Process):
    """``webhook serve``: a background loop. It is started anew some time after a crash."""

    def __init__(self, world: World, name: str) -> None:
        wake = FaultyWake(world.hint_faults) if world.options.hint_faults else None
        super().__init__(world, name, wake)
        self._wake = wake
        self.spawn(self._start())

    async def _start(self) -> None:
        await self.service.initialize()
        if self._wake is not None:
            self.service.start(self._wake.event)

    def die(self) -> None:
        super().die()
        self.world.platform.restart(self)


class Servers:
    """Several servers on one store."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._number = 0
        self.servers: list[Server] = []

    def start(self) -> None:
        for _ in range(self._world.options.claimers):
            self._start_one()

    def _start_one(self) -> None:
        self._number += 1
        self.servers.append(Server(self._world, f"server {self._number}"))

    def restart(self, dead: Server) -> None:
        """Put another server in the place of one that has ended."""
        self.servers.remove(dead)
        pause_s = self._world.dice.choice((0.0, 0.5, 5.0))
        self._world.loop.call_outside(pause_s, self._start_one)

    def some_process(self) -> Process | None:
        """Return one that takes calls."""
        taking = [server for server in self.servers if server.stopping_s is None]
        return self._world.dice.choice(taking) if taking else None

    def living(self) -> list[Process]:
        return list(self.servers)

    async def stop_one(self, grace_ms: float) -> None:
        """Stop a server as SIGTERM does, and start another one."""
        server = self.some_process()
        if isinstance(server, Server):
            await self._stop(server, grace_ms)

    async def stop_one_that_claims(self) -> None:
        """Stop a server at once, in the middle of its next claim if one comes soon."""
        for _ in range(CLAIM_LOOKS):
            claiming = [
                server
                for server in self.servers
                if server.stopping_s is None
                and server.service._background is not None
                and server.service._background._claiming
            ]
            if claiming:
                await self._stop(self._world.dice.choice(claiming), 0)
                return
            await asyncio.sleep(CLAIM_LOOK_S)

    async def _stop(self, server: Server, grace_ms: float) -> None:
        server.stopping_s = self._world.loop.time()
        self._world.note(server.name, " is to stop within ", grace_ms, " ms")
        await server.finish(server.service.stop(grace_ms), 600)
        if server.alive:
            server.end()
            self.restart(server)

    async def call_ends(self, process: Process) -> None:
        """A server goes on after a call."""


class Worker:
    """A Worker: an invocation for each call, each batch of hints and each minute of the cron."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._number = 0
        self._consumers = asyncio.Semaphore(world.options.claimers)
        self._invocations: list[Process] = []
        self.queue = SimulatedQueue(world.loop, world.hint_faults, world.dice, self._consume)

    def start(self) -> None:
        self._world.loop.call_outside(self._world.dice.random() * CRON_S, self._cron)

    def restart(self, dead: Server) -> None:
        raise AssertionError(f"{dead.name} is no server")

    def _invocation(self, kind: str) -> Process:
        self._number += 1
        made = Process(self._world, f"{kind} {self._number}", self.queue)
        self._invocations = [i for i in self._invocations if i.alive]
        self._invocations.append(made)
        return made

    def some_process(self) -> Process | None:
        return self._invocation("call")

    def living(self) -> list[Process]:
        return [i for i in self._invocations if i.alive]

    async def stop_one(self, grace_ms: float) -> None:
        """Nobody stops an invocation."""

    async def stop_one_that_claims(self) -> None:
        """Nobody stops an invocation."""

    async def call_ends(self, process: Process) -> None:
        """Give an invocation its time after the answer, then end it."""
        await asyncio.sleep(0)
        self._world.loop.call_outside(WAIT_UNTIL_S, process.end)

    def _cron(self) -> None:
        self._world.loop.call_outside(CRON_S, self._cron)
        self._world.in_background(self._sweep())

    async def _sweep(self) -> None:
        process = self._invocation("cron")
        await self._run(process, self._deliver_and_sweep(process))

    @staticmethod
    async def _deliver_and_sweep(process: Process) -> None:
        await process.service.deliver_due(limits=LIMITS, budget_ms=DELIVER_BUDGET_MS)
        await process.service.sweep(pieces=SWEEP_PIECES)

    def _consume(self) -> None:
        self._world.in_background(self._deliver())

    async def _deliver(self) -> None:
        async with self._consumers:
            for _ in range(1 + REDELIVERIES):
                process = self._invocation("consumer")
                deliver = process.service.deliver_due(limits=LIMITS, budget_ms=DELIVER_BUDGET_MS)
                if await self._run(process, deliver):
                    return

    @staticmethod
    async def _run(process: Process, work: Coroutine[Any, Any, object]) -> bool:
        """Run an invocation; return whether it came to its end."""
        ended = False
        with contextlib.suppress(StoreUnavailable):
            await process.finish(work, CONSUMER_S)
            ended = process.alive
        process.end()
        return ended
