"""SIGKILL between a program's own insert and its commit, and after; `-m tests.outbox` does more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.outbox.kills import Report, kill_again_and_again
from tests.outbox.programs import KINDS
from tests.postgres.servers import fresh_address

KILLS = 10


def place_of(kind: str, folder: Path) -> str:
    return str(folder / "shop.db") if kind == "sqlite" else fresh_address()


def check(report: Report, kills: int) -> None:
    """Hold a report to the promise: before the commit neither half is there, after it both are."""
    assert len(report.committed) == kills // 3
    assert len(report.committed) + len(report.broken_off) == kills
    assert sorted(report.orders) == sorted(report.committed)
    assert sorted(report.events) == sorted(report.committed)
    assert sorted(report.arrived) == sorted(report.committed)


@pytest.mark.parametrize("kind", list(KINDS))
async def test_a_killed_program_leaves_both_halves_or_neither(kind: str, tmp_path: Path) -> None:
    report = await kill_again_and_again(kind, place_of(kind, tmp_path), KILLS)
    print(report)
    check(report, KILLS)
