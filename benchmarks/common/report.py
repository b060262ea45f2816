"""What all benchmarks have in common on the terminal: arguments, a folder, verdicts."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks.common.processes import ROOT


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser that knows ``--quick``; the program's first paragraph describes it."""
    about, _, details = (doc or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer of everything")
    return parser


def run(program: Callable[[Path], Awaitable[bool]]) -> None:
    """Run in a folder of its own; exit with 1 when a bound was missed.

    The folder lies beside the sources: a temporary one may lie in memory, where FULL costs nothing.
    """
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=cache))
    try:
        kept = asyncio.run(_awaited(program, folder))
    finally:
        shutil.rmtree(folder)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}\n")
    sys.exit(0 if kept else 1)


async def _awaited(program: Callable[[Path], Awaitable[bool]], folder: Path) -> bool:
    return await program(folder)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns, the first to the left and the others to the right."""
    lines = [[str(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        first, *others = zip(line, widths, strict=True)
        print(f"  {first[0]:<{first[1]}}" + "".join(f"  {c:>{w}}" for c, w in others))


def verdict(
    what: str, value: float, *, least: float | None = None, most: float | None = None
) -> bool:
    """Print whether a figure keeps its bound; return it."""
    kept = (least is None or value >= least) and (most is None or value <= most)
    bound = f"at least {least:g}" if least is not None else f"at most {most:g}"
    print(f"{what}: {value:.2f}, {bound}: {'yes' if kept else 'NO'}")
    return kept
