"""The promise of the service under every fault that a seed can draw, and the harness's own word."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import pytest

from tests.simulation.__main__ import SEED_LIMIT, end_of_trace, how_to_go_on
from tests.simulation.batch import recorded_seeds, run_all
from tests.simulation.patches import ROOT
from tests.simulation.world import run

FRESH_SEEDS = 2_000
# Of both stores and both platforms, in asyncio's order and shuffled.
TRACED_SEEDS = range(1, 13)


def hold(seeds: range | list[int]) -> None:
    for done in run_all(seeds):
        if done.violation is not None:
            seed = done.options.seed
            pytest.fail(
                f"seed {seed}: {done.violation}\n{end_of_trace(seed)}\n{how_to_go_on(seed)}"
            )


def traces_in_another_process(hash_seed: str) -> str:
    program = (
        "from tests.simulation.world import run\n"
        f"for seed in range({TRACED_SEEDS.start}, {TRACED_SEEDS.stop}):\n"
        "    print('\\n'.join(run(seed, tracing=True).trace))\n"
    )
    path = os.pathsep.join((f"{ROOT}/src", str(ROOT)))
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_the_same_seed_gives_the_same_trace_to_the_letter() -> None:
    first, second = traces_in_another_process("1"), traces_in_another_process("2")
    assert len(first.splitlines()) > 50 * len(TRACED_SEEDS)
    assert first == second


def test_other_seeds_before_it_change_nothing_about_a_seed() -> None:
    alone = [run(seed, tracing=True).trace for seed in TRACED_SEEDS]
    turned_round = [run(seed, tracing=True).trace for seed in reversed(TRACED_SEEDS)]
    assert alone == turned_round[::-1]


def test_tracing_changes_nothing() -> None:
    for seed in TRACED_SEEDS:
        assert run(seed).requests == run(seed, tracing=True).requests


def test_a_trace_shows_no_secret() -> None:
    trace = "\n".join(run(TRACED_SEEDS[0], tracing=True).trace)
    assert "endpoint 1 (r1) is active" in trace
    for prefix in ("whsec_", "whsk_"):
        assert prefix not in trace


def test_the_seeds_that_once_found_something_pass() -> None:
    hold(recorded_seeds())


def test_fresh_seeds_pass(capsys: pytest.CaptureFixture[str]) -> None:
    start = secrets.randbelow(SEED_LIMIT)
    with capsys.disabled():
        print(f" seeds {start} to {start + FRESH_SEEDS - 1} ", end="", flush=True)
    hold(range(start, start + FRESH_SEEDS))
