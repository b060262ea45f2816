"""Lock what the Worker vendors: resolve ``worker.in`` and ``pyodide-test.in``.

uv resolves for CPython 3.14 and writes the hashes of *all* files of each chosen version. So the
WebAssembly wheels are covered too, although uv does not know their platform yet; pip picks them
later by name (see ``vendor.py``). The lock files name no registry: the caller's own settings say
where packages come from.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from tools import ROOT
from tools.toolchain import ToolError

NAMES = ("worker.in", "pyodide-test.in")
HEADER = "# Made by `python -m tools.lock` from {name}; do not edit.\n"


def _uv_command() -> list[str]:
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    for environment in (".tools", ".venv"):
        if (uv := ROOT / environment / "bin" / "uv").exists():
            return [str(uv)]
    if found := shutil.which("uv"):
        return [found]
    raise ToolError("locking needs uv: install it into .tools or .venv")


def lock(source: Path, *, upgrade: bool = False) -> Path:
    """Write the lock file of *source*; keep its versions unless *upgrade* or they do not fit."""
    target = source.with_suffix(".txt")
    command = [*_uv_command(), "pip", "compile", "--quiet", "--generate-hashes", "--no-header"]
    command += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--python-version", "3.14", "--python-platform", "x86_64-unknown-linux-gnu"]
    command += ["--upgrade"] if upgrade else []
    command += ["--output-file", str(target), str(source)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ToolError(f"uv could not lock {source.name}:\n{result.stderr}")
    text = target.read_text("utf-8")
    if "://" in text:
        raise ToolError(f"{target.name} names an address; lock files must not")
    target.write_text(HEADER.format(name=source.name) + text, "utf-8")
    return target


def main() -> int:
    """Lock what is vendored; ``--upgrade`` takes the newest versions."""
    try:
        for name in NAMES:
            source = ROOT / "requirements" / name
            print(lock(source, upgrade="--upgrade" in sys.argv[1:]).relative_to(ROOT))
    except ToolError as error:
        print(f"lock: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
