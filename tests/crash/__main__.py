"""``python -m tests.crash --kills 1000``, or ``make crash KILLS=1000``: the long version."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.kills import crash
from tests.crash.test_kills import check
from tests.crash.victims import PostgresServers, SqliteServer, Victim, Worker
from tools import CACHE


def main() -> int:
    """Run, print the report, and tell by the exit status whether all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--minutes", type=float, help="stop killing after so long")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--worker", action="store_true", help="kill workerd, not the server")
    which.add_argument(
        "--postgres", action="store_true", help="kill three servers on a PostgreSQL, and that"
    )
    given = parser.parse_args()
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="crash-", dir=CACHE) as folder:
        victim = _victim(given, Path(folder))
        print(f"Killing {type(victim).__name__}, seed {given.seed}", flush=True)
        report = crash(victim, kills=given.kills, seed=given.seed, tell=True, minutes=given.minutes)
    print(report)
    check(report)
    return 0


def _victim(given: argparse.Namespace, folder: Path) -> Victim:
    if given.postgres:
        return PostgresServers(folder, given.seed)
    return Worker(folder) if given.worker else SqliteServer(folder)


if __name__ == "__main__":
    sys.exit(main())
