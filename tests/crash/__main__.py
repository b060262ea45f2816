"""``python -m tests.crash --kills 1000``, or ``make crash KILLS=1000``: the long version."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.kills import crash
from tests.crash.test_kills import check
from tests.crash.victims import SqliteServer, Worker
from tools import CACHE


def main() -> int:
    """Run, print the report, and tell by the exit status whether all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--minutes", type=float, help="stop killing after so long")
    parser.add_argument("--worker", action="store_true", help="kill workerd, not the server")
    given = parser.parse_args()
    print(f"Killing {'workerd' if given.worker else 'webhook serve'}, seed {given.seed}")
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="crash-", dir=CACHE) as folder:
        victim = Worker(Path(folder)) if given.worker else SqliteServer(Path(folder))
        report = crash(victim, kills=given.kills, seed=given.seed, tell=True, minutes=given.minutes)
    print(report)
    check(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
