"""The reckoning bites: what was lost, and a repeat that no kill explains, are found."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.crash.ledger import Findings, Kill, examine
from tests.crash.receivers import EVENT_TYPES, PAIRS_PER_EVENT, SUBSCRIBERS, Arrival, Receivers
from tests.crash.victims import read_file
from webhook.adapters.sqlite.persistence import initialize_webhook_schema

EVENT, TYPE = "e1", "message.sent"
KILL = 10.0
OF_THE_FIRST = Kill(KILL, 0)
type Entry = dict[str, str]
type Log = list[Entry]
TRIED: Entry = {}
INTERRUPTED: Entry = {"error_kind": "interrupted"}
TIMEOUT: Entry = {"error_kind": "timeout"}


@pytest.fixture
def receivers() -> Receivers:
    made = Receivers(seed=1, timeout_s=1.0)
    for port, receiver in enumerate(made.all, 1):
        receiver.port = port
    return made


def found(
    folder: Path,
    receivers: Receivers,
    arrivals: list[Arrival],
    log: Log,
    state: str = "success",
    *,
    kill: Kill = OF_THE_FIRST,
) -> Findings:
    """Examine one event; what came of it at its other endpoint is as it should be."""
    first, second, _ = receivers.all
    first.arrivals[EVENT] = arrivals
    second.arrivals[EVENT] = [Arrival(1.0, 0, 1.1)]
    database = folder / "webhook.db"
    asyncio.run(initialize_webhook_schema(database))
    with closing(sqlite3.connect(database)) as connection, connection:
        for number, (receiver, its_log) in enumerate([(first, log), (second, [TRIED])]):
            connection.execute(
                """INSERT INTO endpoints (lane, id, tenant, status, settings, headers, secrets,
                revision, created_at, updated_at)
                VALUES (?1, ?1, 't', 'active', ?2, '{}', '[]', 1, 0, 0)""",
                (f"{number}", json.dumps({"url": receiver.url})),
            )
            connection.execute(
                "INSERT INTO deliveries (lane, key, tenant, state, size, log) "
                "VALUES (?, 'k', 't', ?, 1, ?)",
                (f"{number}", "success" if number else state, json.dumps(its_log)),
            )
        connection.execute(
            "INSERT INTO events (tenant, key, id, type, targets, payload) "
            "VALUES ('t', 'k', ?, ?, '[]', '')",
            (EVENT, TYPE),
        )
    return examine(partial(read_file, database), {EVENT: TYPE}, receivers, [kill])


def test_every_event_has_as_many_subscribers_and_this_one_the_first_two() -> None:
    for event_type in EVENT_TYPES:
        assert sum(one.wants(event_type) for one in SUBSCRIBERS) == PAIRS_PER_EVENT
    assert [subscriber.wants(TYPE) for subscriber in SUBSCRIBERS] == [True, True, False]


def test_what_arrived_once_is_well(tmp_path: Path, receivers: Receivers) -> None:
    well = found(tmp_path, receivers, [Arrival(1.0, 0, 1.1)], [TRIED])
    assert (well.expected, well.arrivals) == (2, 2)
    assert (well.lost, well.repeats, well.unexplained) == ([], 0, [])


@pytest.mark.parametrize(
    ("arrivals", "state"),
    [
        pytest.param([], "success", id="settled but never sent"),
        pytest.param([Arrival(1.0, 0)], "success", id="sent but never answered"),
        pytest.param([Arrival(1.0, 0, 1.1)], "exhausted", id="given up"),
    ],
)
def test_what_was_lost_is_found(
    tmp_path: Path, receivers: Receivers, arrivals: list[Arrival], state: str
) -> None:
    assert len(found(tmp_path, receivers, arrivals, [TRIED], state).lost) == 1


TWICE = [Arrival(9.0, 0, 9.1), Arrival(12.0, 1, 12.1)]


def test_a_repeat_after_a_kill_that_left_the_outcome_unwritten_is_explained(
    tmp_path: Path, receivers: Receivers
) -> None:
    well = found(tmp_path, receivers, TWICE, [INTERRUPTED, TRIED])
    assert (well.repeats, well.explained, well.unexplained) == (1, 1, [])
    assert well.longest_gap_s == pytest.approx(KILL - 9.1)


@pytest.mark.parametrize(
    ("arrivals", "log"),
    [
        pytest.param(TWICE, [TRIED], id="the store knows of no interruption"),
        pytest.param(
            [Arrival(8.0, 0, 8.1), Arrival(9.0, 0, 9.1)],
            [INTERRUPTED, TRIED],
            id="no kill between the two",
        ),
        pytest.param(
            [Arrival(-9.0, 0, -8.9), Arrival(12.0, 1, 12.1)],
            [INTERRUPTED, TRIED],
            id="long before the kill",
        ),
        pytest.param(
            [*TWICE, Arrival(13.0, 1, 13.1)],
            [INTERRUPTED, TRIED],
            id="one interruption and two repeats",
        ),
    ],
)
def test_a_repeat_that_no_kill_explains_is_found(
    tmp_path: Path, receivers: Receivers, arrivals: list[Arrival], log: Log
) -> None:
    assert len(found(tmp_path, receivers, arrivals, log).unexplained) == 1


ONE_LIFE = [Arrival(9.0, 1, 9.1), Arrival(12.0, 1, 12.1)]


@pytest.mark.parametrize(
    ("arrivals", "kill", "explained"),
    [
        pytest.param(TWICE, Kill(KILL, 1), 0, id="another server was killed"),
        pytest.param(ONE_LIFE, Kill(KILL, 1), 0, id="the same server sent it again"),
        pytest.param(ONE_LIFE, Kill(KILL, None), 1, id="the database was killed between the two"),
        pytest.param(ONE_LIFE, Kill(12.5, None), 0, id="the database was killed after both"),
        pytest.param(TWICE, Kill(30.0, None), 0, id="the database was killed long after"),
    ],
)
def test_of_several_servers_a_kill_of_the_one_that_sent_or_of_the_database_explains_a_repeat(
    tmp_path: Path, receivers: Receivers, arrivals: list[Arrival], kill: Kill, explained: int
) -> None:
    well = found(tmp_path, receivers, arrivals, [INTERRUPTED, TRIED], kill=kill)
    assert (well.explained, len(well.unexplained)) == (explained, 1 - explained)
    assert well.by_the_database == explained


def test_a_repeat_after_an_answer_that_the_sender_noted_as_too_late_is_a_retry(
    tmp_path: Path, receivers: Receivers
) -> None:
    twice = [Arrival(8.0, 0, 8.1), Arrival(9.0, 0, 9.1)]
    well = found(tmp_path, receivers, twice, [TIMEOUT, TRIED])
    assert (well.repeats, well.too_late, well.unexplained) == (1, 1, [])


def test_what_nobody_was_told_was_accepted_is_found(tmp_path: Path, receivers: Receivers) -> None:
    receivers.all[2].arrivals["stranger"] = [Arrival(1.0, 0, 1.1)]
    with pytest.raises(AssertionError, match="nobody was told"):
        found(tmp_path, receivers, [Arrival(1.0, 0, 1.1)], [TRIED])


def test_what_a_dead_sender_had_sent_is_of_its_life_however_late_it_is_read() -> None:
    late = 20
    with Receivers(seed=1, timeout_s=1.0) as receivers:
        receivers.healed = True
        receiver, busy = receivers.all[0], threading.Event()
        assert receivers._loop is not None
        receivers._loop.call_soon_threadsafe(busy.wait)
        for number in range(late):
            with socket.create_connection((receiver.host, receiver.port)) as sender:
                sender.sendall(
                    f"POST /hook HTTP/1.1\r\nwebhook-id: e{number}\r\n\r\n".encode("ascii")
                )
        assert receivers.reached == 0
        busy.set()
        receivers.begin_life()
        assert receivers.reached == late
        assert {one.life for [one] in receiver.arrivals.values()} == {0}
        assert receivers.life == 1
