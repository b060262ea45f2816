"""Receivers of which a fifth of the answers or more are faulty, in every way; they remember all.

What becomes of an arrival depends on the seed, the endpoint, the event and how often it has arrived
there, and not on the moment: 503, RST, an answer that comes after the sender's deadline, or RST and
then nobody listening for a while, so that others are refused.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from tests.hostile import resets
from tests.receiver import Answer, Receiver, Reply, Request

WAIT_S = 300.0
FAULTY = 0.24
GOES_AWAY = 0.001
AWAY_S = 0.1
LATE = 2.0
"""A late answer comes after so many deadlines."""
BUSY_S = 0.04
"""The longest that a good answer takes."""


class Subscriber(NamedTuple):
    """An endpoint: its name, what it asks for, and how that is known here."""

    name: str
    pattern: str
    prefix: str

    def wants(self, event_type: str) -> bool:
        """Whether it is to receive events of a type."""
        return event_type.startswith(self.prefix)


SUBSCRIBERS = (
    Subscriber("all", "*", ""),
    Subscriber("messages", "message.*", "message."),
    Subscriber("users", "user.created", "user.created"),
)
EVENT_TYPES = ("message.sent", "message.read", "user.created")
PAIRS_PER_EVENT = 2
"""How many of the subscribers want an event, of whatever type."""
_LIFE = re.compile(r"\(life ([0-9]+)\)")


@dataclass(slots=True, eq=False)
class Arrival:
    """A request at a receiver, in which life of a server, and when it got its 200.

    One that is answered ``late`` got it beyond the sender's deadline.
    """

    at: float
    life: int
    answered_at: float | None = None
    late: bool = False


class _Faulty(Receiver):
    def __init__(self, subscriber: Subscriber, owner: Receivers) -> None:
        super().__init__(self._answer)
        self.subscriber = subscriber
        self.arrivals: defaultdict[str, list[Arrival]] = defaultdict(list)
        self.open: set[Arrival] = set()
        self.chosen = 0
        self.faults: Counter[str] = Counter()
        self._owner = owner
        # Connections whose request is being answered, among all that are open.
        self._answering: set[asyncio.Task[None] | None] = set()
        self._read_or_ended = asyncio.Event()
        self._away: asyncio.Task[None] | None = None
        self._listener: socket.socket | None = None

    # It accepts by itself: asyncio's own server trips over a connection that comes as it closes.

    async def __aenter__(self) -> Self:
        self._listener = socket.create_server((self.host, self.port), backlog=4096)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        # A task that is canceled before it begins would leave its connection open.
        await asyncio.sleep(0)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> bool:
        """Accept one connection; return whether there was one."""
        try:
            accepted, _ = listener.accept()
        except BlockingIOError:
            return False
        task = asyncio.ensure_future(self._talk(accepted))
        task.add_done_callback(lambda _: self._read_or_ended.set())
        self._tasks.add(task)
        return True

    async def read_all(self) -> None:
        """Wait until everything that a dead sender has sent is read; nobody else may send now.

        What it had sent stands in the sockets, of which some are not even accepted yet.
        """
        listener = self._listener
        while listener is not None and listener.fileno() >= 0 and self._accept(listener):
            pass
        # Whoever is being answered has been read, and sends no more.
        while any(not task.done() for task in self._tasks - self._answering):
            self._read_or_ended.clear()
            await self._read_or_ended.wait()

    async def _talk(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        try:
            reader, writer = await asyncio.open_connection(sock=accepted)
        except BaseException:
            accepted.close()
            raise
        await self._serve(reader, writer)

    def _answer(self, request: Request) -> Reply:
        event = request.headers["webhook-id"]
        arrivals = self.arrivals[event]
        owner = self._owner
        named = _LIFE.search(request.headers.get("user-agent", ""))
        life = owner.life if named is None else int(named[1])
        arrivals.append(Arrival(time.monotonic(), life))
        chance = random.Random(f"{owner.seed}/{self.subscriber.name}/{event}/{len(arrivals)}")
        self.chosen += not owner.healed
        if owner.healed or chance.random() >= FAULTY:
            return Answer(200, delay_s=chance.uniform(0, BUSY_S))
        if chance.random() < GOES_AWAY / FAULTY:
            self.faults["goes away"] += 1
            if self._away is None or self._away.done():
                self._away = asyncio.ensure_future(self._go_away())
            return resets
        kind = chance.choice(("503", "reset", "late"))
        self.faults[kind] += 1
        if kind == "late":
            return Answer(200, delay_s=owner.timeout_s * LATE)
        return resets if kind == "reset" else Answer(503)

    async def _go_away(self) -> None:
        await self.__aexit__()
        await asyncio.sleep(AWAY_S)  # that long nobody listens
        await self.__aenter__()

    async def _reply(self, reply: Reply, request: Request, writer: asyncio.StreamWriter) -> bool:
        # Hundreds of thousands would fill the memory.
        self.requests.clear()
        arrival = self.arrivals[request.headers["webhook-id"]][-1]
        task = asyncio.current_task()
        self.open.add(arrival)
        self._answering.add(task)
        self._read_or_ended.set()
        try:
            going_on = await super()._reply(reply, request, writer)
        finally:
            self.open.discard(arrival)
            self._answering.discard(task)
        if isinstance(reply, Answer) and reply.status == 200:
            arrival.answered_at = time.monotonic()
            arrival.late = reply.delay_s > BUSY_S
        return going_on


class Receivers:
    """One receiver for each of ``SUBSCRIBERS``, in a thread of their own.

    ``life`` says which life of the service it is, unless what sends says so. ``healed`` ends all
    faults. ``timeout_s`` is the sender's deadline.
    """

    def __init__(self, seed: int, timeout_s: float) -> None:
        self.seed = seed
        self.timeout_s = timeout_s
        self.life = 0
        self.healed = False
        self.all = tuple(_Faulty(subscriber, self) for subscriber in SUBSCRIBERS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run_loop, daemon=True)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        for receiver in self.all:
            self._run(receiver.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        for receiver in self.all:
            self._run(receiver.__aexit__())
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    def _run_loop(self) -> None:
        assert self._loop is not None
        self._loop.run_forever()

    def _run(self, coroutine: Coroutine[Any, Any, object]) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_S)

    def begin_life(self) -> None:
        """Count a life of the service, when the one before is dead and the next not started.

        On a busy machine requests of the one before may not even be read yet: they are its own, and
        so they are read first.
        """
        for receiver in self.all:
            self._run(receiver.read_all())
        self.life += 1

    @property
    def under_way(self) -> Counter[int]:
        """How many requests of each life are not answered yet, nor too late for an answer."""
        oldest = time.monotonic() - self.timeout_s
        arrivals = [one for receiver in self.all for one in receiver.open.copy()]
        return Counter(one.life for one in arrivals if one.at > oldest)

    @property
    def reached(self) -> int:
        """How many pairs of event and endpoint have met, at whatever success."""
        return sum(len(receiver.arrivals) for receiver in self.all)

    @property
    def answers(self) -> int:
        """How many answers they have given, or owed, before they were healed."""
        return sum(receiver.chosen for receiver in self.all)

    @property
    def faults(self) -> Counter[str]:
        """How often they failed, in which way."""
        return sum((receiver.faults for receiver in self.all), Counter())
