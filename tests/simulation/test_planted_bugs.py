"""The simulation bites: each bug that is planted into the real source is found, and soon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.simulation.batch import run_all
from tests.simulation.patches import BUGS, DoesNotApply, run_patched

SEEDS = range(1, 2_001)
PATCHES = sorted(BUGS.glob("*.patch"))


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_planted_bug_is_found(patch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        done = run_patched(
            patch, "--first", "--start", str(SEEDS.start), "--seeds", str(len(SEEDS))
        )
    except DoesNotApply as error:
        pytest.fail(str(error))
    found = re.search(r"found by seed \d+, number (\d+): (.*)", done.stdout)
    assert found, f"nothing found:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}"
    with capsys.disabled():
        print(f" {patch.stem}: {found[1]} seeds ", end="", flush=True)


def test_without_a_bug_the_same_seeds_find_nothing() -> None:
    failed = [done for done in run_all(SEEDS) if done.violation is not None]
    assert [(done.options.seed, done.violation) for done in failed] == []


def test_a_patch_that_does_not_apply_says_so(tmp_path: Path) -> None:
    outdated = tmp_path / "outdated.patch"
    outdated.write_text(PATCHES[0].read_text("utf-8").replace("\n ", "\n  "), "utf-8")
    with pytest.raises(DoesNotApply, match=r"outdated\.patch does not apply to src/ any more"):
        run_patched(outdated, "--seeds", "1")
