"""SIGKILL while events pour in, for a minute; `make crash KILLS=1000` does it for longer."""

from __future__ import annotations

import time
from pathlib import Path

from tests.crash.kills import Report, crash
from tests.crash.victims import EndedServer, PostgresServers, SqliteServer, Victim, Worker
from tests.worker.conftest import scratch_folder

KILLS = 15
KILLS_OF_THE_WORKER = 2
KILLS_ON_POSTGRES = 6
ENDS = 5
MANY_ANSWERS = 5_000
"""Of fewer than that, less than a fifth may be faulty by chance."""
MARGIN_S = 30.0
"""What a busy machine may take on top of the grace."""


def check(report: Report, under_way: float = 0.5) -> None:
    """Hold a report to the promise, and the run to what makes it mean something.

    ``under_way`` is the least share of the kills that broke attempts off.
    """
    found = report.findings
    assert found.lost == []
    assert not found.unexplained, "\n".join(found.unexplained[:5])
    assert report.with_attempts_under_way >= under_way
    assert report.faulty >= (0.2 if report.answers >= MANY_ANSWERS else 0.15)
    assert min(report.between) >= 100
    assert found.repeats == found.explained + found.too_late
    assert found.expected == report.events * 2


def fresh_seed() -> int:
    return time.time_ns() % 1_000_000


def run(victim: Victim, kills: int, *, seed: int | None = None, under_way: float = 0.5) -> Report:
    seed = fresh_seed() if seed is None else seed
    print(f"seed {seed}")
    report = crash(victim, kills=kills, seed=seed)
    print(report)
    check(report, under_way)
    return report


def test_whatever_a_killed_server_had_accepted_arrives(tmp_path: Path) -> None:
    run(SqliteServer(tmp_path), KILLS)


def test_a_server_that_is_asked_to_end_loses_nothing_repeats_nothing_and_ends_in_its_time(
    tmp_path: Path,
) -> None:
    server = EndedServer(tmp_path)
    report = run(server, ENDS)
    # All attempts have a deadline that is shorter than the grace.
    assert report.findings.repeats == report.findings.too_late
    assert report.findings.outcomes["interrupted"] == 0
    assert max(server.ended_s) < server.grace_s + MARGIN_S


def test_whatever_servers_on_postgres_had_accepted_arrives_when_they_or_it_are_killed(
    tmp_path: Path,
) -> None:
    seed = fresh_seed()
    victim = PostgresServers(tmp_path, seed, database_every=KILLS_ON_POSTGRES - 1)
    # Of three servers, each of few kills may hit one that sends nothing just then.
    report = run(victim, KILLS_ON_POSTGRES, seed=seed, under_way=1 / KILLS_ON_POSTGRES)
    assert (report.kills, report.of_the_database) == (KILLS_ON_POSTGRES, 1)


def test_whatever_a_killed_worker_had_accepted_arrives() -> None:
    with scratch_folder() as folder:
        run(Worker(folder), KILLS_OF_THE_WORKER)
