"""A bug on trial: a patch to a copy of the source, and the simulation run against that copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUGS = Path(__file__).parent / "bugs"


class DoesNotApply(Exception):  # noqa: N818 - what the patch does not do
    """The patch is for another state of the source."""


def run_patched(patch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the simulation, with these arguments, against a copy of the source with the patch.

    Raises ``DoesNotApply`` with what git says.
    """
    with tempfile.TemporaryDirectory(prefix="simulation-") as folder:
        shutil.copytree(
            ROOT / "src", Path(folder) / "src", ignore=shutil.ignore_patterns("__pycache__")
        )
        _apply(patch, folder)
        # The copy comes first, so it is what `import webhook` finds; --source makes sure of it.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((f"{folder}/src", str(ROOT)))}
        command = [sys.executable, "-m", "tests.simulation", "--source", folder, *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )


def _apply(patch: Path, folder: str) -> None:
    # Without the ceiling, git would take the folder for a part of a repository around it.
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(Path(folder).parent)}
    applied = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", str(patch.resolve())],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if applied.returncode:
        raise DoesNotApply(
            f"{patch.name} does not apply to src/ any more; bring it up to date:\n{applied.stderr}"
        )
