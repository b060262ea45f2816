"""The same run over HTTP on each store: the address is the whole change."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import standardwebhooks

from tests.integration.serving import Server, run
from tests.postgres.servers import fresh_address
from tests.receiver import ThreadedReceiver

TOKEN = "t0ken-of-the-run"
STORES = ("memory", "sqlite", "postgresql")


def address_of(store: str) -> str:
    """Return an address of that kind with nothing behind it."""
    return {"memory": "memory://", "sqlite": "sqlite:///run.db"}.get(store) or fresh_address()


@pytest.mark.parametrize("store", STORES)
def test_the_same_run_passes_on_each_store(tmp_path: Path, store: str) -> None:
    with (
        ThreadedReceiver([503, 200, 200, 410]) as receiver,
        Server(
            tmp_path,
            WEBHOOK_STORE=address_of(store),
            WEBHOOK_API_TOKEN=TOKEN,
            WEBHOOK_RETRY_SCHEDULE="0.05",
        ) as server,
    ):
        endpoint = server.add_endpoint(
            receiver.url, filters={"provider": ["a", 2]}, external_id="mine"
        )

        def emit(event_id: str, provider: object, data: object = None) -> Any:
            event = {"id": event_id, "type": "message.sent", "data": data}
            return server.post("/v1/events", {**event, "metadata": {"provider": provider}})

        # A retry, signed by what the endpoint got; a filter; a repeat and what is none.
        assert emit("evt-1", "a", {"text": "안녕"})["delivery_count"] == 1
        [delivery] = server.wait_for_status("evt-1", "success")
        assert len(receiver.requests) == 2
        for request in receiver.requests:
            standardwebhooks.Webhook(endpoint["secret"]).verify(request.body, request.headers)
        assert receiver.requests[0].json()["data"] == {"text": "안녕"}
        assert emit("evt-2", "b")["delivery_count"] == 0
        assert emit("evt-1", "a", {"text": "안녕"})["duplicate"]
        with pytest.raises(HTTPError, match="409"):
            emit("evt-1", "a", "other")
        with pytest.raises(HTTPError, match="409"):
            server.add_endpoint(receiver.url, external_id="mine")

        # A replay; then the receiver is gone, and its endpoint with it.
        server.post(f"/v1/deliveries/{delivery['id']}/replay", {})
        receiver.wait(3)
        server.wait_for_status("evt-1", "success")
        emit("evt-3", 2)
        server.wait_for_status("evt-3", "failed")
        assert server.get(f"/v1/endpoints/{endpoint['id']}")["status"] == "error"
        assert emit("evt-4", "a")["delivery_count"] == 0
        listed = server.get("/v1/events?type=message.sent&limit=2")
        assert [event["id"] for event in listed["data"]] == ["evt-4", "evt-3"]
        after = server.get(f"/v1/events?type=message.sent&limit=2&cursor={listed['next_cursor']}")
        assert [event["id"] for event in after["data"]] == ["evt-2", "evt-1"]
        assert server.end() == 0


def test_on_postgresql_all_commands_take_the_address(tmp_path: Path) -> None:
    settings = {"WEBHOOK_STORE": fresh_address()}
    missing = run("migrate", "--dry-run", cwd=tmp_path, **settings)
    assert missing.stdout.startswith("missing  0001_initial.sql"), missing.stderr
    assert run("migrate", cwd=tmp_path, **settings).stdout.startswith("applied  0001_initial.sql")
    assert "nothing to do" in run("migrate", cwd=tmp_path, **settings).stdout
    assert "sending is paused" in run("pause", cwd=tmp_path, **settings).stdout
    assert "sending goes on" in run("resume", cwd=tmp_path, **settings).stdout
    made = run("tokens", "create", "shop", "--scope", "read", cwd=tmp_path, **settings)
    assert made.returncode == 0, made.stderr
    assert "its schema is up to date" in run("doctor", cwd=tmp_path, **settings).stdout
    key = run("keys", "create", cwd=tmp_path).stdout.strip()
    rotated = run("keys", "rotate", cwd=tmp_path, WEBHOOK_ENCRYPTION_KEYS=key, **settings)
    assert rotated.returncode == 0, rotated.stderr


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    address = "postgresql://somebody:s3cret@127.0.0.1:1/hooks"
    found = run("serve", cwd=tmp_path, WEBHOOK_STORE=address)
    assert found.returncode != 0
    assert "postgresql://somebody@127.0.0.1:1/hooks" in found.stderr
    assert "s3cret" not in found.stdout + found.stderr
