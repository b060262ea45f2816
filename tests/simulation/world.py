"""One world of one seed: faults first, then healing, then rest, with everything looked at."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from tests.simulation.actions import ACTIONS, MEDDLING, RECOVERING, Action, add_an_endpoint
from tests.simulation.callers import Callers
from tests.simulation.clock import SimulatedChance, SimulatedClock
from tests.simulation.hints import Faults
from tests.simulation.history import History, told
from tests.simulation.invariants import Checks
from tests.simulation.loop import OWNER, SimulatedLoop, TooLong
from tests.simulation.memory_world import MemoryWorld
from tests.simulation.options import Options, draw
from tests.simulation.pieces import small_pieces
from tests.simulation.processes import Servers, Worker
from tests.simulation.receivers import FAULTY, KILLS_MAX, Receivers
from tests.simulation.rest import heal, look_at_everything, resume_all
from tests.simulation.sqlite_world import SqliteWorld
from tests.simulation.stores import SimulatedStore
from tests.simulation.weather import Weather

# How much longer than the longest wait of any delivery it may take until nothing is pending.
REST_SLACK_S = 300.0
DAY_MS = 86_400_000
BUSY_SHARE = 0.5
RECOVERED_WITHIN_S = 20.0
PLAN_SLACK_S = 3_600.0
STORE_CLOCK_SKEW_MS_MAX = 3_000


class Run(msgspec.Struct, frozen=True):
    """What came of one seed; ``violation`` None means that all promises were kept."""

    options: Options
    violation: str | None
    trace: tuple[str, ...] = ()
    requests: int = 0


class World:
    """Puts the parts together and lets them run."""

    def __init__(self, options: Options, *, tracing: bool = False) -> None:
        seed = options.seed
        self.options = options
        self.tracing = tracing
        self.trace: list[str] = []
        self.violation: str | None = None
        self.dice = _dice("plan", seed)
        # asyncio itself leaves out what it does not need of a loop.
        self.loop = SimulatedLoop(  # type: ignore[abstract] # as said
            _dice("order", seed) if options.shuffled else None
        )
        self.clock = SimulatedClock(self.loop)
        self.chance = SimulatedChance(_dice("engine", seed))
        self.weather = Weather(self, options, _dice("weather", seed))
        self.shift_ms_max = self.days_ms = 0
        self.store_skew_ms = 0
        self.store_clock: Callable[[], int] | None = None
        self.store: SimulatedStore = self._make_store()
        self.receivers = Receivers(self, _dice("receivers", seed))
        self.hint_faults = Faults(_dice("hints", seed), active=options.hint_faults)
        self.callers = Callers(self)
        self.history = History(self)
        self.checks = Checks(self)
        self.platform = Servers(self) if options.platform == "server" else Worker(self)
        self._background: list[asyncio.Task[object]] = []

    def _make_store(self) -> SimulatedStore:
        if self.options.store == "memory":
            return MemoryWorld(self.weather, joint=self.options.joint)
        if not self.options.store_clock:
            return SqliteWorld(self.weather, None, joint=self.options.joint)
        if self.options.jumps:
            self.store_skew_ms = self.dice.randint(
                -STORE_CLOCK_SKEW_MS_MAX, STORE_CLOCK_SKEW_MS_MAX
            )
        steady = SimulatedClock(self.loop)
        self.store_clock = lambda: steady.now_ms() + self.store_skew_ms + self.days_ms
        return SqliteWorld(self.weather, self.store_clock, joint=self.options.joint)

    # --- running ----------------------------------------------------------------------------------

    def run(self) -> Run:
        """Run from the beginning to the end, or to the first broken promise."""
        listener = _Listener(self)
        listener.begin()
        try:
            with small_pieces():
                self._run()
        except TooLong as error:
            self.fail(f"no rest: {error}")
        finally:
            self.loop.close()
            listener.end()
        return Run(self.options, self.violation, tuple(self.trace), len(self.history.requests))

    def _run(self) -> None:
        self.note("drawn: ", self.options)
        self.platform.start()
        for phase in (self._let_fate_rage, self._come_to_rest, self._look):
            if not self.broken:
                phase()

    def _let_fate_rage(self) -> None:
        plan = self.in_background(self._plan())
        if not self.loop.run(plan.done, self.options.duration_s + PLAN_SLACK_S):
            self.fail("the plan does not come to its end")

    def _come_to_rest(self) -> None:
        heal(self)
        self.in_background(resume_all(self))
        if not self.loop.run(self._at_rest, self.loop.time() + self._rest_s()):
            self.fail(self._restless())

    def _look(self) -> None:
        look_at_everything(self)

    async def _plan(self) -> None:
        for _ in range(self.options.endpoints):
            await add_an_endpoint(self)
        if self.options.faulty_receivers:
            for number in range(6):
                if self.dice.random() < 0.4:
                    mood = (self.dice.choice(FAULTY), self.dice.choice(FAULTY))
                    self.receivers.moods[f"https://r{number}.example/hook"] = mood
        possible, weights = self._possible(ACTIONS)
        pause_s = self.options.duration_s / self.options.actions
        for action in self.dice.choices(possible, weights, k=self.options.actions):
            await self._act(action, 2 * pause_s)
        if self.options.recoveries:
            # Later, when much has come to an end.
            count = self.dice.randint(1, 4)
            for action in self.dice.choices(*self._possible(RECOVERING), k=count):
                await self._act(action, RECOVERED_WITHIN_S)

    async def _act(self, action: Action, within_s: float) -> None:
        await asyncio.sleep(self.dice.random() * within_s)
        self.note("* ", action.act.__name__.replace("_", " "))
        self.in_background(action.act(self))

    def _possible(self, actions: Sequence[Action]) -> tuple[list[Action], list[int]]:
        possible = [a for a in actions if a.option is None or getattr(self.options, a.option)]
        return possible, [action.weight for action in possible]

    def meddle(self, dice: random.Random) -> None:
        """Do something at the worst moment."""
        [action] = dice.choices(*self._possible(MEDDLING))
        self.note("* meanwhile: ", action.act.__name__.replace("_", " "))
        self.in_background(action.act(self))

    def _at_rest(self) -> bool:
        return not (self.history.pending or self.history.recovering or self.under_way)

    @property
    def under_way(self) -> int:
        """How many things of the simulation's own are under way."""
        return sum(not task.done() for task in self._background)

    def _rest_s(self) -> float:
        """How long a delivery may take from now on, if all goes well."""
        now = self.store_now()
        pending = (self.history.deliveries[ref] for ref in self.history.pending)
        longest_ms = max(((d.due_at or 0) - now for d in pending), default=0)
        leases = 2 + KILLS_MAX * self.options.poison
        # What is under way may still put something off by a clock that was ahead of the store's.
        ahead_ms = 0 if self.store_clock is None else self.shift_ms_max - self.days_ms
        return (
            max(0, longest_ms + ahead_ms) / 1000
            + leases * self.options.lease_ms / 1000
            + REST_SLACK_S
        )

    def _restless(self) -> str:
        left = sorted(self.history.pending)
        if left:
            name, state = self.history.name(left[0]), told(self.history.deliveries[left[0]])
            return f"no rest: {len(left)} deliveries still wait, such as {name}: {state}"
        if self.history.recovering:
            return "no rest: a recovery still runs"
        return "no rest: a call does not come to its end"

    # --- for everybody ----------------------------------------------------------------------------

    def note(self, *parts: object) -> None:
        """Add a line to the trace, with time and process."""
        if self.tracing:
            owner = OWNER.get(None)
            who = "" if owner is None else owner.name
            self.trace.append(f"{self.loop.time():10.3f} {who:12} {''.join(map(str, parts))}")

    @property
    def broken(self) -> bool:
        """Whether a promise is broken already."""
        return self.violation is not None

    def fail(self, sentence: str) -> None:
        """End the run: a promise is broken."""
        if self.violation is None:
            self.violation = sentence
            self.note("BROKEN: ", sentence)
        self.loop.stopped = True

    def in_background(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Run something of the simulation's own; its exceptions are faults."""
        task = self.loop.create_task(work, context=contextvars.Context())
        self._background.append(task)
        task.add_done_callback(self._look_at, context=contextvars.Context())
        return task

    def _look_at(self, task: asyncio.Task[object]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(f"an exception that nobody expected: {error!r}")

    def jump(self, ms: int) -> None:
        """Set the wall clock of all processes; where the store has a clock of its own, not that."""
        self.note("the wall clock jumps by ", ms, " ms")
        self.clock.shift_ms += ms
        self.shift_ms_max = max(self.shift_ms_max, self.clock.shift_ms)
        self.history.jumps_s.append(self.loop.time())

    def let_days_pass(self, days: int) -> None:
        """Let so much time pass by every clock, with nobody there."""
        self.days_ms += days * DAY_MS
        self.jump(days * DAY_MS)

    def store_now(self) -> int:
        """Return the time that leases compare against."""
        return self.clock.now_ms() if self.store_clock is None else self.store_clock()

    def some_endpoint(self) -> str | None:
        """Return one of the endpoints that were not removed; gladly one that is being sent to."""
        if self.dice.random() < BUSY_SHARE:
            busy = [ref.endpoint_id for ref, sent in self.history.under_way.items() if sent]
            if busy:
                return self.dice.choice(busy)
        there = [e.id for e in self.history.endpoints.values() if e.status != "removed"]
        return self.dice.choice(there) if there else None

    def endpoint_name(self, endpoint_id: str) -> str:
        """Return an endpoint's name in the trace."""
        ids = list(self.history.versions)
        place = ids.index(endpoint_id) + 1 if endpoint_id in ids else "?"
        endpoint = self.history.endpoints.get(endpoint_id)
        host = "" if endpoint is None else endpoint.url.removeprefix("https://").partition(".")[0]
        return f"endpoint {place} ({host})"


class _Listener(logging.Handler):
    """Hears what the engine logs: into the trace, and a traceback is a broken promise."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.DEBUG if world.tracing else logging.WARNING)
        self._world = world
        self._logger = logging.getLogger("webhook")
        self._was = (self._logger.level, self._logger.propagate)

    def begin(self) -> None:
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO if self._world.tracing else logging.WARNING)
        self._logger.propagate = False

    def end(self) -> None:
        self._logger.removeHandler(self)
        self._logger.level, self._logger.propagate = self._was

    def emit(self, record: logging.LogRecord) -> None:
        if self._world.loop.is_closed():
            return
        self._world.note("log: ", record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            self._world.fail(f"a fault of ours: {record.getMessage()}: {error!r}")


def _dice(part: str, seed: int) -> random.Random:
    return random.Random(f"{part}/{seed}")  # noqa: S311 - must repeat


def run(seed: int, *, tracing: bool = False) -> Run:
    """Run the world of one seed."""
    return World(draw(seed), tracing=tracing).run()
