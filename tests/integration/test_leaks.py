"""After a run that uses what there is, no secret stands where it does not belong."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from tests import planted
from tests.integration.serving import Server, run
from tests.postgres.servers import NEWEST, PostgresServer
from tests.receiver import Answer, ThreadedReceiver

ENVIRONMENT = {
    "WEBHOOK_API_TOKEN": planted.TOKEN,
    "WEBHOOK_ENCRYPTION_KEYS": planted.written(planted.ENCRYPTION_KEY, "whek_"),
    "WEBHOOK_LOG_LEVEL": "debug",
    "WEBHOOK_RETRY_SCHEDULE": "0.1",
}


def test_a_search_finds_each_form_wherever_it_stands() -> None:
    for before in (b"", b"x", b"xy", b"xyz"):
        for around in (
            base64.b64encode(before + planted.SECRET + b"tail"),
            base64.urlsafe_b64encode(before + planted.SECRET),
            before + planted.SECRET.hex().encode(),
            before + planted.SECRET,
        ):
            assert planted.searched(b"\0" + around, **planted.SIGNING)
    assert planted.searched(planted.written(planted.SECRET).encode(), **planted.SIGNING)
    assert planted.searched(b"planted-signing", **planted.ALL) == []


@pytest.fixture(params=["sqlite", "postgresql"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Give the address of a store, and what reads all that stands in its files."""
    if request.param == "sqlite":
        yield "sqlite:///webhook.db", lambda: _files(tmp_path)
        return
    # A server of its own: it is the files of a whole server that are searched.
    server = PostgresServer(NEWEST)
    yield (
        f"{server.address}&password={planted.DATABASE_PASSWORD}",
        lambda: _files_of_postgres(server),
    )
    server.remove()


def test_no_secret_stands_in_files_logs_answers_or_the_command_line(
    tmp_path: Path, store: tuple[str, Callable[[], bytes]]
) -> None:
    address, files_of = store
    environment = {**ENVIRONMENT, "WEBHOOK_STORE": address}
    with (
        ThreadedReceiver([Answer(200)]) as good,
        ThreadedReceiver([Answer(500, body=b"no")]) as bad,
        Server(tmp_path, local=True, **environment) as server,
    ):
        call = planted.caller(server.url)
        answers = planted.exercise(call, good.url, bad.url)
        command_line = Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
        while_it_runs = files_of()
        assert any(request.headers.get("x-api-key") for request in good.requests)
        assert server.end() == 0
        output = server.output.encode()
    rotated = run("keys", "rotate", cwd=tmp_path, **environment)
    assert rotated.returncode == 0, rotated.stderr
    for files in (while_it_runs, files_of()):
        assert b"sealed." in files
        assert planted.searched(files, **planted.ALL) == []
    logs = server.log().encode() + output + (rotated.stdout + rotated.stderr).encode()
    assert b"attempt 2" in logs
    assert planted.searched(logs, **planted.ALL, **planted.URLS) == []
    assert planted.searched(command_line, **planted.ALL) == []
    planted.check(answers)


def _files(folder: Path) -> bytes:
    """Return what stands in the database's files, its log and its lock."""
    files = sorted(folder.glob("webhook.db*"))
    assert files
    return b"\0".join(file.read_bytes() for file in files)


def _files_of_postgres(server: PostgresServer) -> bytes:
    """Return what stands in tables, indexes and WAL of a server, all of it written."""
    asyncio.run(_checkpoint(server.address))
    found = []
    for file in sorted((server.folder / "data").rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            if file.is_file():
                found.append(file.read_bytes())
    return b"\0".join(found)


async def _checkpoint(address: str) -> None:
    connection = await asyncpg.connect(address)
    await connection.execute("CHECKPOINT")
    await connection.close()
