"""The other end: receivers that answer as they are told, and remember every request they saw."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from tests.simulation.stores import CLAIM_HEADER
from webhook.domain.ids import DeliveryRef, parse_delivery_id
from webhook.domain.model import ErrorKind, Outcome

if TYPE_CHECKING:
    from tests.simulation.history import Request
    from tests.simulation.world import World

SOON_S = 1.0
POISON_URL = "https://r0.example/hook"
# Once more than what makes the engine give up.
KILLS_MAX = 6


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver does with one request. One that is not ``seen`` never got there."""

    status: int | None = 200
    error: ErrorKind | None = None
    after_s: float = 0.0
    retry_after_ms: int | None = None
    seen: bool = True


type Behaviour = Callable[[random.Random], Answer]


def answers_at_once(_: random.Random) -> Answer:
    return Answer()


def answers_soon(dice: random.Random) -> Answer:
    return Answer(after_s=dice.random() * 0.4)


def answers_late(dice: random.Random) -> Answer:
    """Often after the sender has hung up; it has done its work by then."""
    return Answer(after_s=dice.random() * 35)


def hangs(_: random.Random) -> Answer:
    return Answer(status=None, after_s=3_600)


def refuses(_: random.Random) -> Answer:
    return Answer(status=None, error=ErrorKind.REFUSED, seen=False)


def resets(dice: random.Random) -> Answer:
    return Answer(status=None, error=ErrorKind.RESET, after_s=dice.random())


def talks_garbage(_: random.Random) -> Answer:
    return Answer(status=None, error=ErrorKind.PROTOCOL)


def is_overloaded(dice: random.Random) -> Answer:
    return Answer(status=503, error=ErrorKind.HTTP_STATUS, after_s=dice.random())


def asks_to_come_back_later(dice: random.Random) -> Answer:
    wait_ms = dice.choice((1_000, 20_000, 90_000))
    return Answer(status=429, error=ErrorKind.HTTP_STATUS, retry_after_ms=wait_ms)


def redirects(_: random.Random) -> Answer:
    return Answer(status=301, error=ErrorKind.REDIRECT)


def does_not_know_us(_: random.Random) -> Answer:
    return Answer(status=404, error=ErrorKind.HTTP_STATUS)


def is_gone(_: random.Random) -> Answer:
    return Answer(status=410, error=ErrorKind.HTTP_STATUS)


HEALTHY: tuple[Behaviour, ...] = (answers_at_once, answers_soon)
FAULTY: tuple[Behaviour, ...] = (
    answers_late,
    hangs,
    refuses,
    resets,
    talks_garbage,
    is_overloaded,
    is_overloaded,
    asks_to_come_back_later,
    redirects,
    does_not_know_us,
)


class Receivers:
    """The ``Sender`` of all processes, with the receivers behind it.

    A receiver that is not named in ``moods`` is healthy; the others draw one of their behaviours
    for each request.
    """

    def __init__(self, world: World, dice: random.Random) -> None:
        self._world = world
        self._dice = dice
        self.moods: dict[str, tuple[Behaviour, ...]] = {}
        self._kills: Counter[DeliveryRef] = Counter()
        # Whether any of them has ever held up a slot for long.
        self.have_kept_waiting = False

    async def send(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_ms: int
    ) -> Outcome:
        clock, history = self._world.clock, self._world.history
        answer = self._dice.choice(self.moods.get(url, HEALTHY))(self._dice)
        ref = parse_delivery_id(headers["webhook-delivery-id"])
        started_at, started_ms = clock.now_ms(), clock.monotonic_ms()
        request = history.request_began(
            ref,
            url=url,
            body=body,
            number=int(headers["webhook-attempt"]),
            timeout_ms=timeout_ms,
            started_at=started_at,
            claim=int(headers.get(CLAIM_HEADER, "0")),
            seen=answer.seen,
        )
        self._perhaps_kill(request)
        self.have_kept_waiting |= answer.after_s > SOON_S
        timed_out = answer.after_s * 1000 >= timeout_ms
        await asyncio.sleep(min(answer.after_s, timeout_ms / 1000))
        outcome = Outcome(
            started_at=started_at,
            latency_ms=round(clock.monotonic_ms() - started_ms),
            status_code=None if timed_out else answer.status,
            error_kind=ErrorKind.TIMEOUT if timed_out else answer.error,
            error=None if not timed_out and answer.error is None else "simulated",
            retry_after_ms=None if timed_out else answer.retry_after_ms,
        )
        history.request_ended(request, outcome)
        return outcome

    def _perhaps_kill(self, request: Request) -> None:
        """Take the sender down with what this request does to it."""
        if not self._world.options.poison or request.url != POISON_URL or request.owner is None:
            return
        if self._kills[request.ref] < KILLS_MAX:
            self._kills[request.ref] += 1
            request.owner.die()

    async def close(self) -> None:
        """Nothing is open."""
