"""The processes of a benchmark: ``webhook serve``, the receiver, and others beside them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.common.caller import Caller

ROOT = Path(__file__).resolve().parents[2]
_START_S = 60.0
_SOURCES = f"{ROOT / 'src'}{os.pathsep}{ROOT}"


class Server(NamedTuple):
    """A running ``webhook serve`` on the SQLite file ``database``, synchronous=FULL."""

    port: int
    token: str
    database: Path

    def caller(self) -> Caller:
        """Open a connection of its own to the API."""
        return Caller(self.port, self.token)


@contextlib.asynccontextmanager
async def child(
    *command: str, cwd: Path = ROOT, log: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a Python program until the end of the block."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WEBHOOK_")}
    environment["PYTHONPATH"] = _SOURCES
    with (log or Path(os.devnull)).open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            cwd=cwd,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors if log else None,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[int]:
    """Run the receiver in a process of its own; gives its port."""
    async with child("-m", "benchmarks.common.receiver") as process:
        yield int(await first_line(process))


@contextlib.asynccontextmanager
async def serving(folder: Path, *arguments: str) -> AsyncIterator[Server]:
    """Run ``webhook serve`` in ``folder``, as a person would start it; its log goes to a file."""
    log = folder / "log.txt"
    command = ("-m", "webhook", "serve", "--port", "0", "--allow-private-hosts", "--allow-http")
    async with child(*command, *arguments, cwd=folder, log=log) as process:
        assert process.stdout is not None
        shown = b""
        while b"Emit an event" not in shown:
            line = await asyncio.wait_for(process.stdout.readline(), _START_S)
            if not line:
                sys.exit("The server did not start: " + log.read_text("utf-8"))
            shown += line
        port = re.search(rb"Listening +http://127\.0\.0\.1:(\d+)", shown)
        assert port is not None
        database = folder / "webhook.db"
        token = (folder / "webhook.db.token").read_text("utf-8").strip()
        yield Server(int(port[1]), token, database)


async def first_line(process: asyncio.subprocess.Process) -> str:
    """Wait for the first line that a program prints."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), _START_S)
    assert line, "the program ended before it said anything"
    return line.decode().strip()


async def at_once(workers: int, work: Callable[[], Awaitable[None]]) -> None:
    """Do the same several times at once."""
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(_awaited(work))


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()
