"""Holds what callers were told against what receivers saw and what the store has."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from tests.crash.receivers import Arrival, Receivers
from webhook.domain.event_types import OPERATIONAL_TYPES

# From an answer to the write of its outcome a busy machine may take a while.
UNWRITTEN_S_MAX = 10.0
# Kills that are told beside a repeat that nothing explains.
NEAR_S = 60.0
type Reader = Callable[[str], Iterable[Sequence[Any]]]
"""Runs a query in the store when the service has ended."""


class Kill(NamedTuple):
    """When a life of a server was ended; without a ``life``, the database's own server was."""

    at: float
    life: int | None


@dataclass
class Findings:
    """What came of every delivery."""

    expected: int = 0
    arrivals: int = 0
    lost: list[str] = field(default_factory=list)
    repeats: int = 0
    """Requests that came after one that had got its 200 in time."""
    explained: int = 0
    by_the_database: int = 0
    """How many of those by a kill of the database's server."""
    too_late: int = 0
    unexplained: list[str] = field(default_factory=list)
    longest_gap_s: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)


class Stored(NamedTuple):
    """A delivery as the store has it; ``log`` has an entry per attempt and interruption."""

    status: str
    log: list[dict[str, object]]

    def noted(self, kind: str) -> int:
        """How many entries of a kind there are."""
        return sum(entry.get("error_kind") == kind for entry in self.log)


def examine(
    read: Reader, accepted: Mapping[str, str], receivers: Receivers, kills: Sequence[Kill]
) -> Findings:
    """Compare; the service has ended, so that its store is read directly."""
    found = Findings()
    stored = dict(_stored(read))
    # The service tells of endpoints that recover in events of its own.
    rows = read("SELECT id, type FROM events")
    events = {name for name, event_type in rows if event_type not in OPERATIONAL_TYPES}
    for receiver in receivers.all:
        name = receiver.subscriber.name
        strangers = receiver.arrivals.keys() - accepted.keys()
        assert not strangers, f"{name} got what nobody was told was accepted: {strangers}"
        for event, event_type in accepted.items():
            arrivals = receiver.arrivals.get(event, [])
            if not receiver.subscriber.wants(event_type):
                assert not arrivals, f"{name} got {event}, a {event_type}"
                continue
            found.expected += 1
            found.arrivals += len(arrivals)
            delivery = stored.pop((receiver.url, event))
            for entry in delivery.log:
                found.outcomes[str(entry.get("error_kind") or "success")] += 1
            if delivery.status != "success" or not any(one.answered_at for one in arrivals):
                found.lost.append(f"{event} to {name}: {delivery.status}, {arrivals}")
            _explain(found, f"{event} to {name}", arrivals, delivery, kills)
    assert events == accepted.keys(), "the store has other events than were answered with 2xx"
    assert not stored, f"deliveries that nobody expected: {list(stored)[:5]}"
    return found


def _explain(
    found: Findings,
    what: str,
    arrivals: Sequence[Arrival],
    delivery: Stored,
    kills: Sequence[Kill],
) -> None:
    """Explain each repeat: its forerunner's outcome was not written when its server was killed."""
    late, interrupted = delivery.noted("timeout"), delivery.noted("interrupted")
    for earlier, later in pairwise(arrivals):
        if earlier.answered_at is None or earlier.late:
            continue  # a retry of a failure, or of an attempt that a kill broke off
        found.repeats += 1
        kill = _unwritten(earlier, later, kills) if interrupted else None
        if kill is not None:
            interrupted -= 1
            found.explained += 1
            found.by_the_database += kill.life is None
            found.longest_gap_s = max(found.longest_gap_s, kill.at - earlier.answered_at)
        elif late:
            late -= 1
            found.too_late += 1
        else:
            near = [kill for kill in kills if abs(kill.at - earlier.at) < NEAR_S]
            found.unexplained.append(f"{what}: {arrivals}, {delivery.log}, kills at {near}")


def _unwritten(earlier: Arrival, later: Arrival, kills: Sequence[Kill]) -> Kill | None:
    """Return the kill that left the outcome of an arrival unwritten; None if none can have."""
    assert earlier.answered_at is not None
    near = [kill for kill in kills if abs(kill.at - earlier.answered_at) <= UNWRITTEN_S_MAX]
    if later.life != earlier.life:
        for kill in near:
            if kill.life == earlier.life:
                return kill
    return next((kill for kill in near if kill.life is None and kill.at <= later.at), None)


def _stored(read: Reader) -> Iterator[tuple[tuple[str, str], Stored]]:
    """Return each delivery by its endpoint's URL and its event's id."""
    query = """
        SELECT p.settings, e.id, d.state, d.log
        FROM deliveries AS d
        JOIN endpoints AS p ON p.lane = d.lane
        JOIN events AS e ON e.tenant = d.tenant AND e.key = d.key"""
    for settings, event, state, log in read(query):
        yield (json.loads(settings)["url"], event), Stored(state, json.loads(log))
