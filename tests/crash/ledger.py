"""Holds what callers were told against what receivers saw and what the store has."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.crash.receivers import Arrival, Receivers
from webhook.domain.event_types import OPERATIONAL_TYPES

# From an answer to the write of its outcome a busy machine may take a while.
UNWRITTEN_S_MAX = 10.0
# Kills that are told beside a repeat that nothing explains.
NEAR_S = 60.0


@dataclass
class Findings:
    """What came of every delivery."""

    expected: int = 0
    arrivals: int = 0
    lost: list[str] = field(default_factory=list)
    repeats: int = 0
    """Requests that came after one that had got its 200 in time."""
    explained: int = 0
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
    database: Path, accepted: Mapping[str, str], receivers: Receivers, kills: Sequence[float]
) -> Findings:
    """Compare; the service has ended, so that its file is read directly."""
    found = Findings()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        stored = dict(_stored(connection))
        # The service tells of endpoints that recover in events of its own.
        rows = connection.execute("SELECT id, type FROM events")
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
    kills: Sequence[float],
) -> None:
    """Explain each repeat: its forerunner's outcome was not written when the service was killed."""
    late, interrupted = delivery.noted("timeout"), delivery.noted("interrupted")
    for earlier, later in pairwise(arrivals):
        if earlier.answered_at is None or earlier.late:
            continue  # a retry of a failure, or of an attempt that a kill broke off
        found.repeats += 1
        gap_s = kills[earlier.life] - earlier.answered_at if earlier.life < len(kills) else 0.0
        if later.life > earlier.life and gap_s <= UNWRITTEN_S_MAX and interrupted:
            interrupted -= 1
            found.explained += 1
            found.longest_gap_s = max(found.longest_gap_s, gap_s)
        elif late:
            late -= 1
            found.too_late += 1
        else:
            near = [at for at in kills if abs(at - earlier.at) < NEAR_S]
            found.unexplained.append(f"{what}: {arrivals}, {delivery.log}, kills at {near}")


def _stored(connection: sqlite3.Connection) -> Iterator[tuple[tuple[str, str], Stored]]:
    """Return each delivery by its endpoint's URL and its event's id."""
    query = """
        SELECT p.settings ->> 'url', e.id, d.state, d.log
        FROM deliveries AS d
        JOIN endpoints AS p ON p.lane = d.lane
        JOIN events AS e ON e.tenant = d.tenant AND e.key = d.key"""
    for url, event, state, log in connection.execute(query):
        yield (url, event), Stored(state, json.loads(log))
