"""``make simulate``: many seeds, one seed with its trace, or somebody's patch on trial."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from pathlib import Path

import webhook
from tests.simulation.batch import SEEDS_FILE, recorded_seeds, run_all
from tests.simulation.patches import ROOT, DoesNotApply, run_patched
from tests.simulation.world import Run, run

SEEDS_DEFAULT = 2_000
SEED_LIMIT = 1_000_000_000
TRACE_LINES = 60
FAILURES_SHOWN = 5


def main() -> int:
    """Return the exit code: 0 when all promises were kept."""
    parser = argparse.ArgumentParser(prog="make simulate")
    parser.add_argument("--seed", type=int, help="replay one seed and print its whole trace")
    parser.add_argument("--seeds", type=int, default=SEEDS_DEFAULT, help="how many seeds")
    parser.add_argument("--start", type=int, help="the first seed; drawn unless given")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--first", action="store_true", help="stop at the first that fails")
    parser.add_argument("--patch", type=Path, help="a patch to src/, put on trial in a copy")
    parser.add_argument("--source", type=Path, help="where the package must come from")
    given = parser.parse_args()
    if given.source is not None and not Path(webhook.__file__).is_relative_to(given.source):
        raise SystemExit(f"{webhook.__file__} is not the copy in {given.source}")
    start = secrets.randbelow(SEED_LIMIT) if given.start is None else given.start
    if given.patch is not None:
        return _trial(given.patch, given.seeds, start, given.seed)
    if given.seed is not None:
        return _replay(given.seed)
    seeds = range(start, start + given.seeds)
    return _first(seeds) if given.first else _many(seeds, given.jobs)


def _many(seeds: range, jobs: int) -> int:
    print(f"{len(recorded_seeds())} recorded seeds, then {seeds.start} to {seeds.stop - 1}")
    began = time.monotonic()
    failed: list[Run] = []
    count = requests = 0
    for done in run_all([*recorded_seeds(), *seeds], jobs=jobs):
        count += 1
        requests += done.requests
        if done.violation is not None:
            failed.append(done)
            if len(failed) == FAILURES_SHOWN:
                break
    took_s = time.monotonic() - began
    print(f"{count} seeds, {requests} requests, {took_s:.1f} s: {count / took_s:.0f} seeds/s")
    for one in failed:
        print(f"\nseed {one.options.seed}: {one.violation}\n  drawn: {one.options}")
    if failed:
        seed = failed[0].options.seed
        print(f"\n{end_of_trace(seed)}\n\n{how_to_go_on(seed)}")
    return 1 if failed else 0


def _first(seeds: range) -> int:
    for count, done in enumerate(run_all(seeds), 1):
        if done.violation is not None:
            seed = done.options.seed
            print(f"found by seed {seed}, number {count}: {done.violation}\n{end_of_trace(seed)}")
            return 1
    print(f"not found within {len(seeds)} seeds")
    return 0


def end_of_trace(seed: int) -> str:
    """Replay a seed and return the last that happened."""
    trace = run(seed, tracing=True).trace
    return "\n".join(trace[-TRACE_LINES:])


def how_to_go_on(seed: int) -> str:
    """Say what to do with a seed that fails."""
    return (
        f"`make simulate SEED={seed}` replays it and shows all of it. Once it is mended, record "
        f"it: `{seed} what it found`, a line of {SEEDS_FILE.relative_to(ROOT)}"
    )


def _replay(seed: int) -> int:
    done = run(seed, tracing=True)
    print("\n".join(done.trace))
    print(f"seed {seed}: {done.violation or 'all promises kept'}")
    return 0 if done.violation is None else 1


def _trial(patch: Path, seeds: int, start: int, seed: int | None) -> int:
    chosen = ("--start", str(start)) if seed is None else ("--seed", str(seed))
    try:
        done = run_patched(patch, "--first", "--seeds", str(seeds), *chosen)
    except DoesNotApply as error:
        print(error)
        return 1
    print(done.stdout, done.stderr, sep="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
