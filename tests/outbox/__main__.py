"""``python -m tests.outbox --kills 200``: the long version of the kill test, on each store."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from tests.outbox.kills import kill_again_and_again
from tests.outbox.programs import KINDS
from tests.outbox.test_killed import check, place_of


def main() -> int:
    """Run, print the reports, and tell by the exit status whether all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.outbox", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    kills = parser.parse_args().kills
    logging.disable(logging.WARNING)
    for kind in KINDS:
        with tempfile.TemporaryDirectory(prefix="outbox-") as folder:
            place = place_of(kind, Path(folder))
            report = asyncio.run(kill_again_and_again(kind, place, kills))
            print(f"{kind}: {report}")
            check(report, kills)
    return 0


if __name__ == "__main__":
    sys.exit(main())
