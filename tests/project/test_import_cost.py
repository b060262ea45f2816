"""`import webhook` is light: no server, driver or command line, little CPU on top of msgspec."""

import os
import subprocess
import sys
from pathlib import Path

from tests.project.source import ROOT

HEAVY = frozenset(
    {
        "aiohttp",
        "anyio",
        "asyncpg",
        "js",
        "pyodide",
        "rich",
        "sqlite3",
        "starlette",
        "typer",
        "uvicorn",
        "workers",
    }
)
CPU_MS_MAX = 60
ROUNDS = 7


def run(code: str, bytecode: Path) -> str:
    """Run code in a fresh interpreter that may keep bytecode, as an installed package does."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment | {"PYTHONPYCACHEPREFIX": str(bytecode)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def cpu_ms(module: str, bytecode: Path) -> float:
    """Measure the CPU time of one import in an interpreter of its own."""
    code = f"from time import process_time as now; a = now(); import {module}; print(now() - a)"
    return float(run(code, bytecode)) * 1000


def test_import_webhook_loads_no_server_driver_or_command_line(tmp_path: Path) -> None:
    loaded = run("import webhook, sys; print(*sys.modules)", tmp_path).split()
    assert {name.split(".")[0] for name in loaded} & HEAVY == set()


def test_import_webhook_costs_little_more_cpu_than_import_msgspec(tmp_path: Path) -> None:
    for module in ("msgspec", "webhook"):
        cpu_ms(module, tmp_path)  # writes the bytecode
    # Taken in turn and by the minimum, so that a busy machine does not decide.
    rounds = [(cpu_ms("msgspec", tmp_path), cpu_ms("webhook", tmp_path)) for _ in range(ROUNDS)]
    base, ours = (min(times) for times in zip(*rounds, strict=True))
    assert ours - base <= CPU_MS_MAX, "see `python -X importtime -c 'import webhook'`"
