"""``webhook serve`` keeps a key of its own, and says what to do when the right one is missing."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.serving import Server, run
from tests.receiver import Answer, ThreadedReceiver
from webhook.domain.encryption import make_encryption_key

HEADER = "planted-header-value"


def test_a_server_makes_and_keeps_a_key_and_goes_on_with_it(tmp_path: Path) -> None:
    with ThreadedReceiver([200]) as receiver:
        with Server(tmp_path) as server:
            server.add_endpoint(receiver.url, headers={"x-key": HEADER})
            assert "key kept in webhook.db.key" in server.output
            assert server.end() == 0
        file = tmp_path / "webhook.db.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        key = file.read_text("ascii")
        assert HEADER.encode() not in (tmp_path / "webhook.db").read_bytes()
        with Server(tmp_path) as server:
            server.wait_for_status(server.emit()["id"], "success")
            assert key.strip() not in server.output + server.log()
        assert file.read_text("ascii") == key
        [request] = receiver.requests
    assert request.headers["x-key"] == HEADER
    file.rename(tmp_path / "elsewhere")
    done = run("serve", "--port", "0", cwd=tmp_path)
    assert done.returncode == 1
    assert "Add that key" in done.stderr
    assert "webhook keys create" in done.stderr
    assert not file.exists()


def test_a_database_of_before_is_encrypted_before_the_server_listens(tmp_path: Path) -> None:
    assert run("migrate", cwd=tmp_path).returncode == 0
    path = tmp_path / "webhook.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute(
            "INSERT INTO endpoints (lane, id, tenant, status, settings, headers, secrets, revision,"
            " created_at, updated_at) VALUES ('0', 'ep_0', 'default', 'active',"
            """ '{"url":"https://a.example/","event_types":["*"]}', ?, '[]', 1, 1, 1)""",
            (f'{{"x-key":"{HEADER}"}}',),
        )
    with Server(tmp_path) as server:
        assert "Encrypted  secrets of 1 endpoints" in server.output
        found = b"".join(one.read_bytes() for one in tmp_path.glob("webhook.db*"))
        assert HEADER.encode() not in found
        assert server.get("/v1/endpoints")["data"][0]["header_names"] == ["x-key"]


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_the_switch_needs_no_key(tmp_path: Path, command: str) -> None:
    with ThreadedReceiver([200]) as receiver, Server(tmp_path) as server:
        server.add_endpoint(receiver.url, headers={"x-key": HEADER})
        server.end()
    (tmp_path / "webhook.db.key").unlink()
    done = run(command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_rotation_beside_a_server_that_delivers_fails_nothing(tmp_path: Path) -> None:
    old, new = (make_encryption_key(bytes([n]) * 32) for n in (1, 2))
    name = "WEBHOOK_ENCRYPTION_KEYS"
    with ThreadedReceiver([Answer(200)]) as receiver:
        with Server(tmp_path, local=True, **{name: f"{old},{new}"}) as server:
            for _ in range(50):
                server.add_endpoint(receiver.url, headers={"x-key": HEADER})
            rotating = threading.Thread(
                target=lambda: done.append(
                    run("keys", "rotate", cwd=tmp_path, **{name: f"{new},{old}"})
                )
            )
            done: list[subprocess.CompletedProcess[str]] = []
            rotating.start()
            emitted: list[str] = []
            while rotating.is_alive() or len(emitted) < 3:
                emitted.append(server.emit()["id"])
            rotating.join()
            for event in emitted:
                assert len(server.wait_for_status(event, "success")) == 50
            assert server.end() == 0
            assert "ERROR" not in server.log()
        assert done[0].returncode == 0, done[0].stderr
        assert "50 endpoints encrypted anew" in done[0].stdout
        assert "is not needed any more" in done[0].stdout
        assert len(receiver.requests) >= 50 * len(emitted)
        assert {request.headers["x-key"] for request in receiver.requests} == {HEADER}
        # The new key alone is enough from now on.
        with Server(tmp_path, local=True, **{name: new}) as server:
            server.wait_for_status(server.emit()["id"], "success")
