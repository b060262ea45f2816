"""Runs the benchmarks: all of them in their quick form, or one with its own arguments.

``python -m benchmarks``, or ``python -m benchmarks throughput --pairs 7``; each file here answers a
question, and its docstring says how. Each prints its figures and, where it has a bound, whether
that is kept; the exit status is 1 when one is missed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
QUESTIONS = sorted(path.stem for path in HERE.glob("[a-z]*.py"))


def ask(question: str, *arguments: str) -> bool:
    """Run one benchmark; return whether it keeps its bounds."""
    command = [sys.executable, "-m", f"{HERE.name}.{question}", *arguments]
    return subprocess.run(command, cwd=HERE.parent, check=False).returncode == 0  # noqa: S603 - programs of ours


def main() -> None:
    """Read the arguments and run."""
    name, *arguments = sys.argv[1:] or ["--quick"]
    if not name.startswith("-"):
        if name not in QUESTIONS:
            sys.exit(f"There is no benchmark {name!r}, only {', '.join(QUESTIONS)}.")
        sys.exit(0 if ask(name, *arguments) else 1)
    kept = [ask(question, name, *arguments) for question in QUESTIONS]
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
