"""Accepted means on disk: what was synced when a 202 went out has the event in it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash import turned_down
from tests.crash.durable import STRACE, Answer, answers
from tests.integration.serving import COMMAND, Server
from tests.receiver import ThreadedReceiver

EVENTS = 40
AT_ONCE = 4
# So much that the log is written back into the database meanwhile, and begun anew.
BYTES = 150_000
CHECKPOINTED = 1_000_000


def why_not() -> str | None:
    """Say why system calls cannot be traced here; CI installs what it takes, if it may."""
    if os.environ.get("CI") and os.geteuid() == 0:
        return None
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], check=False)
    return "strace may not trace here" if done.returncode else None


pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"{why_not()}")


def traced(folder: Path, command: Sequence[str]) -> list[Answer]:
    """Emit events, several at a time, while others are delivered, and return the 202s."""
    trace = folder / "trace.txt"
    data = folder / "data"
    data.mkdir()
    server = Server(data, WEBHOOK_API_TOKEN="t", command=[*STRACE, "-o", str(trace), *command])
    with ThreadedReceiver() as receiver, server:
        server.add_endpoint(receiver.url)

        def emit(number: int) -> None:
            event = {"id": f"e{number}", "type": "message.sent", "data": "x" * BYTES}
            server.post("/v1/events", event)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(emit, range(EVENTS)))
        receiver.wait(EVENTS)
        assert server.end() == 0
    found = list(answers(trace.read_text("ascii")))
    assert {answer.event_id for answer in found} == {f"e{number}" for number in range(EVENTS)}
    return found


def lost(folder: Path, found: Sequence[Answer]) -> list[str]:
    """Return the events that a loss of power right after their 202 would have undone."""
    undone = []
    for number, answer in enumerate(found):
        place = folder / f"{number}"
        place.mkdir()
        for path, content in answer.files.items():
            (place / Path(path).name).write_bytes(content)
        with closing(sqlite3.connect(place / "webhook.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            try:
                query = "SELECT count(*) FROM events AS e JOIN deliveries AS d ON d.key = e.key"
                rows = connection.execute(f"{query} WHERE e.id = ?", (answer.event_id,)).fetchone()
            except sqlite3.OperationalError:  # not even the tables are there
                rows = (0,)
        if rows != (1,):
            undone.append(answer.event_id)
    return undone


def test_what_was_answered_with_202_survives_a_loss_of_power(tmp_path: Path) -> None:
    found = traced(tmp_path, COMMAND)
    assert lost(tmp_path, found) == []
    [database] = [content for path, content in found[-1].files.items() if path.endswith(".db")]
    assert len(database) > CHECKPOINTED


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_the_check_notices_when_less_is_synced(tmp_path: Path, synchronous: str) -> None:
    command = [sys.executable, str(Path(turned_down.__file__)), synchronous]
    assert lost(tmp_path, traced(tmp_path, command))
