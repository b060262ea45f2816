"""`import webhook` is light: no server, driver or command line, little CPU on top of msgspec.

Its names load the engine when they are asked for; a receiver never asks.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def cpu_ms(imported: str, bytecode: Path) -> float:
    """Measure the CPU time of one import in an interpreter of its own."""
    code = f"from time import process_time as now; a = now(); {imported}; print(now() - a)"
    return float(run(code, bytecode)) * 1000


def test_the_names_of_webhook_load_no_server_driver_or_command_line(tmp_path: Path) -> None:
    loaded = run("from webhook import *; import sys; print(*sys.modules)", tmp_path).split()
    assert {name.split(".")[0] for name in loaded} & HEAVY == set()


def test_webhook_costs_little_more_cpu_than_import_msgspec(tmp_path: Path) -> None:
    base_line, our_line = "import msgspec", "import webhook"
    for line in (base_line, our_line):
        cpu_ms(line, tmp_path)  # writes the bytecode
    # Taken in turn and by the minimum, so that a busy machine does not decide.
    rounds = [(cpu_ms(base_line, tmp_path), cpu_ms(our_line, tmp_path)) for _ in range(ROUNDS)]
    base, ours = (min(times) for times in zip(*rounds, strict=True))
    assert ours - base <= CPU_MS_MAX, "see `python -X importtime -c 'import webhook'`"


def test_a_client_loads_no_engine_and_no_event_loop(tmp_path: Path) -> None:
    code = "import sys, webhook.client as c; c.Client('http://127.0.0.1'); print(*sys.modules)"
    loaded = run(code, tmp_path).split()
    rooms = {name.split(".")[1] for name in loaded if name.startswith("webhook.")}
    assert rooms == {"client", "domain", "standard_webhooks"}
    assert {name.split(".")[0] for name in loaded} & (HEAVY | {"asyncio"}) == set()


@pytest.mark.parametrize("line", ["import webhook.receive", "from webhook import receive"])
def test_a_receiver_loads_the_standard_library_and_no_engine(line: str, tmp_path: Path) -> None:
    # What the interpreter loads by itself, such as an editable install's helpers, is not ours.
    code = f"import sys; before = {{*sys.modules}}; {line}; print(*({{*sys.modules}} - before))"
    loaded = run(code, tmp_path).split()
    ours = {name for name in loaded if name.split(".")[0] == "webhook"}
    allowed = {"webhook", "webhook.standard_webhooks", "webhook.receive"}
    assert {name for name in ours - allowed if not name.startswith("webhook.receive.")} == set()
    assert {name.split(".")[0] for name in loaded} - {"webhook"} <= set(sys.stdlib_module_names)
    assert set(loaded) & {"sqlite3", "asyncio"} == set()
