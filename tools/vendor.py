"""Vendor the Worker's packages into ``python_modules/``, which wrangler uploads beside ``src/``.

``pywrangler sync`` does the same with ordinary internet; this does it with the package registry
alone, checks every hash of the lock file, and leaves out what a Worker never needs. It is quick
when nothing has changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools import CACHE, ROOT
from tools.toolchain import ToolError, locked

LOCK_FILE = ROOT / "requirements" / "worker.txt"
TARGET = ROOT / "python_modules"
RECIPE = "1"
"""Change this when the way of vendoring changes, so that everybody vendors anew."""

PLATFORM = ["--platform", "pyemscripten_2026_0_wasm32", "--python-version", "314"]
ABI = ["--implementation", "cp", "--abi", "cp314", "--abi", "abi3", "--abi", "none"]

NEVER_NEEDED = (
    "*.dist-info",
    "*.pyi",
    "**/*.pyi",
    "**/py.typed",
    "**/__pycache__",
    "bin",
    "**/tests",
    # Threads, processes and another event loop do not exist in a Worker.
    "anyio/_backends/_trio.py",
    "anyio/pytest_plugin.py",
    "anyio/to_interpreter.py",
    "anyio/to_process.py",
    "starlette/testclient.py",
)
"""What is removed after the installation, as patterns below the vendored folder."""


def _pip_command() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    for environment in (".venv", ".tools"):
        python = ROOT / environment / "bin" / "python"
        if list((ROOT / environment).glob("lib/python*/site-packages/pip")):
            return [str(python), "-m", "pip"]
    raise ToolError("vendoring needs pip: install it into .venv or .tools (uv leaves it out)")


def _prune(folder: Path, patterns: Sequence[str]) -> None:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def vendor(lock_file: Path, target: Path, prune: Sequence[str] = NEVER_NEEDED) -> bool:
    """Fill *target* from the hash-locked *lock_file*; return whether there was anything to do."""
    recipe = RECIPE + repr(prune) + lock_file.read_text("utf-8")
    wanted = hashlib.sha256(recipe.encode()).hexdigest()
    stamp = target / ".vendored-from"
    with locked("vendor"):
        if stamp.exists() and stamp.read_text("utf-8") == wanted:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            fresh = Path(scratch) / "fresh"
            options = ["--no-deps", "--no-compile", "--only-binary=:all:", "--require-hashes"]
            command = [*_pip_command(), "install", "--quiet", "--disable-pip-version-check"]
            command += ["--target", str(fresh), *options, *PLATFORM, *ABI, "-r", str(lock_file)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                raise ToolError(f"pip could not vendor the Worker's packages:\n{result.stderr}")
            _prune(fresh, prune)
            (fresh / stamp.name).write_text(wanted, "utf-8")
            # The new folder takes the old one's place only when it is whole.
            if target.exists():
                target.rename(Path(scratch) / "old")
            fresh.rename(target)
    return True


def ensure_python_modules() -> Path:
    """Vendor the released Worker's packages when needed and return their folder."""
    vendor(LOCK_FILE, TARGET)
    return TARGET


def main() -> int:
    """Vendor from the command line."""
    try:
        changed = vendor(LOCK_FILE, TARGET)
    except ToolError as error:
        print(f"vendor: {error}", file=sys.stderr)
        return 1
    print(f"python_modules: {'vendored' if changed else 'up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
