"""`make` alone tells what there is, and every target has its sentence."""

import re
import subprocess

from tests.project.source import ROOT

MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def test_make_alone_prints_every_target_a_person_may_call() -> None:
    shown = subprocess.run(
        ["make"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert targets == set(re.findall(r"^ +make ([a-z-]+) +\S", shown, re.MULTILINE))


def test_ci_runs_the_test_command_that_the_readme_tells() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.partition("## Running the tests")[2]
    assert re.match(r"[^#]*?```\w*\nmake test\n```", section)
