"""A full disk: told in words, nothing half-written, and over as soon as there is room."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.crash.emitters import TOKEN, call
from tests.integration.serving import Server, run
from tests.receiver import ThreadedReceiver
from webhook.adapters.sqlite.database import SqliteDatabase
from webhook.adapters.sqlite.persistence import initialize_webhook_schema
from webhook.domain.errors import StoreFull

# SQLite's log grows to 4 MB before it is written back, which takes as much again.
DISK_MB = 14
BALLAST_BYTES = 6 * 1024 * 1024
EVENT_BYTES = 100_000
EVENTS_MAX = 200
WAIT_S = 60.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a small disk, with something on it that can be thrown away."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0755", "tmpfs", str(folder)]
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        assert os.geteuid() or not os.environ.get("CI"), done.stderr
        pytest.skip(f"only root may mount a small disk: {done.stderr.strip()}")
    try:
        ballast(folder).write_bytes(bytes(BALLAST_BYTES))
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def ballast(disk: Path) -> Path:
    return disk / "ballast"


def fill(disk: Path) -> None:
    """Leave not a byte."""
    with (disk / "filling").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def store(disk: Path) -> str:
    return f"sqlite:///{disk / 'webhook.db'}"


def serving(folder: Path, disk: Path) -> Server:
    settings = {"WEBHOOK_API_TOKEN": TOKEN, "WEBHOOK_LOG_LEVEL": "warning"}
    return Server(folder, "--store", store(disk), local=True, **settings)


def refuses(folder: Path, disk: Path) -> str:
    """Return what a server says that does not start."""
    done = run("serve", "--port", "0", "--store", store(disk), cwd=folder, WEBHOOK_API_TOKEN="t")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


def emit(server: Server, number: int) -> tuple[int, Any]:
    event = {"id": f"e{number}", "type": "message.sent", "data": "x" * EVENT_BYTES}
    status, text = call(server.url, "POST", "/v1/events", json.dumps(event).encode())
    return status, json.loads(text)


def wait_until_all_are_delivered(server: Server, count: int) -> None:
    """Ask until all that was accepted has been delivered; nothing tells when it is written."""
    end = time.monotonic() + WAIT_S
    while True:
        _, text = call(server.url, "GET", "/v1/deliveries?status=success&limit=250")
        if len(json.loads(text)["data"]) == count:
            return
        assert time.monotonic() < end, text
        time.sleep(0.05)


def test_a_full_disk_is_told_and_the_service_goes_on_when_there_is_room(
    tmp_path: Path, disk: Path
) -> None:
    with ThreadedReceiver() as receiver, serving(tmp_path, disk) as server:
        server.add_endpoint(receiver.url)
        accepted = 0
        while (answer := emit(server, accepted))[0] == 202:
            accepted += 1
            assert accepted < EVENTS_MAX
        for status, problem in (answer, emit(server, accepted)):
            assert status == 507
            assert problem["type"] == "/docs#problem-store-full"
            assert problem["detail"] == "The disk of the store is full: make room, then try again."
        assert accepted
        # What can be read can be read, and nothing of the refused call is there.
        assert call(server.url, "GET", f"/v1/events/e{accepted - 1}")[0] == 200
        assert call(server.url, "GET", f"/v1/events/e{accepted}")[0] == 404

        ballast(disk).unlink()
        for number in range(accepted, accepted + 5):
            status, event = emit(server, number)
            assert status == 202, event
            assert (event["delivery_count"], event["duplicate"]) == (1, False)
        wait_until_all_are_delivered(server, accepted + 5)
        assert {request.headers["webhook-id"] for request in receiver.requests} == {
            f"e{number}" for number in range(accepted + 5)
        }
        assert server.end() == 0
        assert "Traceback" not in server.log()
    with closing(sqlite3.connect(disk / "webhook.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_without_room_to_open_its_database_it_says_so_and_does_not_start(
    tmp_path: Path, disk: Path
) -> None:
    fill(disk)
    refused = f"Error: {store(disk)}: SQLite: the disk is full "
    assert refuses(tmp_path, disk).startswith(refused)
    ballast(disk).unlink()
    with serving(tmp_path, disk) as server:
        assert server.end() == 0
    fill(disk)
    # Not even the index of its log, which it makes when it opens a database, has room.
    before = (disk / "webhook.db").read_bytes()
    assert refuses(tmp_path, disk).startswith(refused)
    assert (disk / "webhook.db").read_bytes() == before


def test_killed_and_started_on_a_full_disk_it_goes_on_when_there_is_room(
    tmp_path: Path, disk: Path
) -> None:
    with ThreadedReceiver() as receiver, serving(tmp_path, disk) as server:
        server.add_endpoint(receiver.url)
        assert emit(server, 0)[0] == 202
        wait_until_all_are_delivered(server, 1)
        server.kill()
        fill(disk)
        server.start()
        assert call(server.url, "GET", "/v1/events/e0")[0] == 200
        status = emit(server, 1)[0]
        ballast(disk).unlink()
        assert (status, emit(server, 1)[0]) == (507, 202)
        wait_until_all_are_delivered(server, 2)
        assert server.end() == 0
        assert "Traceback" not in server.log()


async def test_a_database_that_may_not_grow_is_full_until_it_may(tmp_path: Path) -> None:
    file = tmp_path / "webhook.db"
    await initialize_webhook_schema(file)
    database = SqliteDatabase(file, "OFF")
    insert = """INSERT INTO events (tenant, key, type, targets, payload)
        VALUES ('t', ?1, 'a.b', '[]', ?2)"""
    [[pages]] = await database.batch([("PRAGMA page_count", ())])
    await database.batch([(f"PRAGMA max_page_count = {pages['page_count'] + 4}", ())])
    with pytest.raises(StoreFull):
        await database.batch([(insert, ("1", "small")), (insert, ("2", "x" * EVENT_BYTES))])
    await database.batch([("PRAGMA max_page_count = 100000", ())])
    [[count]] = await database.read([("SELECT count(*) AS n FROM events", ())])
    assert count["n"] == 0
    await database.batch([(insert, ("2", "x" * EVENT_BYTES))])
    await database.close()
