"""SIGKILL while events pour in, for a minute; `make crash KILLS=1000` does it for longer."""

from __future__ import annotations

import time
from pathlib import Path

from tests.crash.kills import Report, crash
from tests.crash.victims import SqliteServer, Victim, Worker
from tests.worker.conftest import scratch_folder

KILLS = 15
KILLS_OF_THE_WORKER = 2


def check(report: Report) -> None:
    """Hold a report to the promise, and the run to what makes it mean something."""
    found = report.findings
    assert found.lost == []
    assert found.unexplained == []
    assert report.with_attempts_under_way >= 0.5
    assert report.faulty > 0.15
    assert report.events >= report.kills * 100
    assert found.expected == report.events * 2


def run(victim: Victim, kills: int) -> None:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    report = crash(victim, kills=kills, seed=seed)
    print(report)
    check(report)


def test_whatever_a_killed_server_had_accepted_arrives(tmp_path: Path) -> None:
    run(SqliteServer(tmp_path), KILLS)


def test_whatever_a_killed_worker_had_accepted_arrives() -> None:
    with scratch_folder() as folder:
        run(Worker(folder), KILLS_OF_THE_WORKER)
