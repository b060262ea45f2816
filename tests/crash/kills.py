"""Kills a service again and again while events pour in, heals everything, and counts.

Whatever was answered with 2xx has to have reached every endpoint that had asked for it, and
whatever came twice has to be explained by a kill.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from tests.crash.emitters import Emitters, call
from tests.crash.ledger import Findings, Kill, examine
from tests.crash.receivers import PAIRS_PER_EVENT, Receivers
from tests.crash.victims import Victim

EVENTS_BETWEEN = 100
"""The fewest events that are accepted between two kills."""
EVENTS_MORE = 50
MOMENT_S = 0.3
THREADS = 4
BACKLOG_MAX = 400
REST_S = 600.0
"""Some leases, and what a busy machine takes."""
_LOOK_S = 0.2
_TOLD_EVERY = 50


@dataclass
class Report:
    """What a run came to."""

    kills: int
    seed: int
    of_the_database: int = 0
    """How many of the kills were of the database's own server."""
    under_way: list[int] = field(default_factory=list)
    """How many attempts of what was killed were under way, kill by kill."""
    between: list[int] = field(default_factory=list)
    """How many events were accepted between each kill and the one before."""
    seconds: float = 0.0
    rest_s: float = 0.0
    events: int = 0
    calls_repeated: int = 0
    calls_refused: int = 0
    answers: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    findings: Findings = field(default_factory=Findings)

    @property
    def faulty(self) -> float:
        """The share of the answers that were faulty, before all was healed."""
        return sum(self.faults.values()) / self.answers

    @property
    def with_attempts_under_way(self) -> float:
        """The share of the kills that broke attempts off."""
        return sum(1 for count in self.under_way if count) / len(self.under_way)

    def __str__(self) -> str:
        """Tell a person."""
        found = self.findings
        each_s = (self.seconds - self.rest_s) / self.kills
        return f"""\
{self.kills} kills, {self.of_the_database} of the database's server, in {self.seconds:.0f} s: \
{each_s:.2f} s each, then {self.rest_s:.1f} s until all had arrived (seed {self.seed})
{self.events} events answered with 2xx, {found.expected} deliveries, {len(found.lost)} lost
{min(self.between)} at least between two kills
{self.calls_repeated} calls made again, since a kill left them without an answer or, \
{self.calls_refused} times, with a 503
{found.arrivals} requests arrived, {self.faulty:.0%} of them met a fault: {_listed(self.faults)}
{found.repeats} repeats: {found.explained} explained by a kill, {found.by_the_database} of them of \
the database's server, {found.too_late} by an answer that the sender noted as too late, \
{len(found.unexplained)} unexplained
{found.longest_gap_s * 1000:.0f} ms at most from an answer to the kill that left it unwritten
{_listed(found.outcomes)}: so the store has it
{self.replayed} dead letters after five interruptions in a row, replayed
{self.with_attempts_under_way:.0%} of the kills met attempts under way, so many:
{_histogram(self.under_way)}"""


def crash(
    victim: Victim, *, kills: int, seed: int, tell: bool = False, minutes: float | None = None
) -> Report:
    """Run the whole of it; raises ``AssertionError`` when an event is lost or not explained.

    After ``minutes`` no more kills are made, however many there were.
    """
    end = float("inf") if minutes is None else time.monotonic() + minutes * 60
    try:
        return _crash(victim, Report(kills, seed), end, tell=tell)
    finally:
        victim.close()


def _crash(victim: Victim, report: Report, end: float, *, tell: bool) -> Report:
    seed = report.seed
    began = time.monotonic()
    with Receivers(seed, victim.timeout_ms / 1000) as receivers:

        def may_go_on() -> bool:
            return len(emitters.accepted) * PAIRS_PER_EVENT - receivers.reached < BACKLOG_MAX

        with Emitters(seed, THREADS, may_go_on, may_refuse=victim.may_refuse) as emitters:
            victim.start()
            _subscribe(victim, receivers)
            emitters.at(victim.urls)
            kills = _kill_again_and_again(victim, receivers, emitters, report, end, tell=tell)
            report.kills = len(kills)
            report.of_the_database = sum(kill.life is None for kill in kills)
            receivers.healed = True
            emitters.finish()
            healed = time.monotonic()
            report.replayed = _rest(victim, receivers, emitters)
        report.rest_s = time.monotonic() - healed
        victim.end()
        report.seconds = time.monotonic() - began
        report.events = len(emitters.accepted)
        report.calls_repeated = emitters.repeated
        report.calls_refused = emitters.refused
        report.answers = receivers.answers
        report.faults = receivers.faults
        report.findings = examine(victim.read, emitters.accepted, receivers, kills)
    return report


def _subscribe(victim: Victim, receivers: Receivers) -> None:
    for receiver in receivers.all:
        endpoint = {"url": receiver.url, "event_types": [receiver.subscriber.pattern]}
        status, text = call(victim.urls[0], "POST", "/v1/endpoints", json.dumps(endpoint).encode())
        assert status == 201, text


def _kill_again_and_again(
    victim: Victim,
    receivers: Receivers,
    emitters: Emitters,
    report: Report,
    end: float,
    *,
    tell: bool,
) -> list[Kill]:
    chance = random.Random(f"{report.seed}/kills")
    kills: list[Kill] = []
    for number in range(1, report.kills + 1):
        if time.monotonic() > end:
            break
        events = EVENTS_BETWEEN + chance.randrange(EVENTS_MORE)
        before = len(emitters.accepted)
        emitters.wait_for(before + events)
        time.sleep(chance.uniform(0, MOMENT_S))  # the moment is random: nothing is waited for
        under_way = receivers.under_way
        life = victim.kill()
        kills.append(Kill(time.monotonic(), life))
        report.under_way.append(under_way.total() if life is None else under_way[life])
        report.between.append(len(emitters.accepted) - before)
        emitters.at(victim.urls)
        if not victim.urls:
            receivers.begin_life()
        victim.start()
        emitters.at(victim.urls)
        if tell and number % _TOLD_EVERY == 0:
            print(f"{number} kills, {len(emitters.accepted)} events", flush=True)
    return kills


def _rest(victim: Victim, receivers: Receivers, emitters: Emitters) -> int:
    """Wait until nothing is pending, and replay dead letters; return how many those were."""
    replayed = 0
    end = time.monotonic() + REST_S
    while True:
        for dead in _list(victim, "exhausted"):
            status, text = call(victim.urls[0], "POST", f"/v1/deliveries/{dead['id']}/replay")
            assert status == 202, text
            replayed += 1
        pending = _list(victim, "pending")
        if not pending:
            return replayed
        reached = f"{receivers.reached} of {len(emitters.accepted) * PAIRS_PER_EVENT}"
        assert time.monotonic() < end, f"{reached} reached their endpoints; {pending[:3]}"
        time.sleep(_LOOK_S)


def _list(victim: Victim, status: str) -> list[Any]:
    """Return some deliveries of a status, if there are any; an empty page may not be the last."""
    cursor = ""
    while True:
        path = f"/v1/deliveries?status={status}&limit=250{cursor}"
        code, text = call(victim.urls[0], "GET", path)
        assert code == 200, text
        page = json.loads(text)
        if page["data"] or page["next_cursor"] is None:
            found: list[Any] = page["data"]
            return found
        cursor = f"&cursor={quote(page['next_cursor'])}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def _histogram(counts: list[int]) -> str:
    """Draw how many kills met how many attempts."""
    lines = []
    for low, high in pairwise((0, 1, 2, 5, 10, 20, 50, 100)):
        count = sum(1 for one in counts if low <= one < high)
        name = f"{low}" if high == low + 1 else f"{low} to {high - 1}"
        lines.append(f"  {name:>9} {count:5} {'#' * round(50 * count / len(counts))}")
    return "\n".join(lines)
