"""`webhook doctor` finds each planted fault and names its cure."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from tests.api.server import LOCAL, Served
from tests.receiver import Answer, ThreadedReceiver
from tests.sockets import deaf_port
from webhook import EndpointInput, WebhookRuntimeService
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.cli.app import app
from webhook.client import Client
from webhook.domain.encryption import make_encryption_key

HOOK = "http://127.0.0.1:9/hook"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as server:
        yield server


@pytest.fixture(scope="module")
def idle() -> Iterator[Served]:
    """A service whose loop is not at work."""
    with Served(auto_start=False) as server:
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in an empty folder, with no setting."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WEBHOOK_")]:
        monkeypatch.delenv(name)


def findings(server: Served | str, *arguments: str) -> list[Any]:
    url, token = (server, "t") if isinstance(server, str) else (server.url, server.token)
    given = ["doctor", "--url", url, "--token", token, "--json", *arguments]
    done = CliRunner().invoke(app, given)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    found: list[Any] = json.loads(done.stdout)
    wrong = any(one["verdict"] == "BAD" for one in found)
    assert done.exit_code == (1 if wrong else 0)
    assert all(one["cure"] for one in found if one["verdict"] == "BAD")
    return found


def the_fault(found: list[Any]) -> Any:
    """Return the only thing that is wrong."""
    [fault] = [one for one in found if one["verdict"] == "BAD"]
    return fault


def one_of(found: list[Any], what: str) -> Any:
    [one] = [one for one in found if one["what"] == what]
    return one


def make_database(key: str | None = None) -> None:
    """Make a store with an endpoint, whose secret ``key`` encrypts."""
    asyncio.run(_make(Path("webhook.db"), key))


async def _make(path: Path, key: str | None) -> None:
    persistence = create_sqlite_webhook_persistence(path, encryption_keys=key or ())
    service = WebhookRuntimeService(LOCAL, persistence=persistence, auto_start=False)
    await service.add_endpoint(EndpointInput(url=HOOK, event_types=["*"]))
    await service.shutdown()


def test_a_service_that_is_well_gets_a_real_delivery(served: Served) -> None:
    make_database()
    found = findings(served)
    assert [one for one in found if one["verdict"] == "BAD"] == []
    told = "one was sent, signed, received and verified"
    assert one_of(found, "delivery")["told"] == told
    assert one_of(found, "store")["verdict"] == "ok"
    with Client(served.url, served.token) as client:
        tenants = {entry.tenant for entry in client.list_audit(limit=10)}
        [tenant] = {name for name in tenants if name and name.startswith("doctor-")}
        assert list(client.list_endpoints(tenant=tenant)) == []


# --- the store, on this machine -------------------------------------------------------------------


def test_a_file_that_is_no_database(served: Served) -> None:
    Path("webhook.db").write_text("no database, and long enough to be looked at" * 100)
    fault = the_fault(findings(served, "--no-delivery"))
    assert (fault["what"], "no usable SQLite database" in fault["told"]) == ("store", True)
    assert "backup" in fault["cure"]


def test_a_folder_that_is_not_there(served: Served) -> None:
    fault = the_fault(findings(served, "--no-delivery", "--store", "sqlite:///gone/webhook.db"))
    assert (fault["what"], "does not exist" in fault["told"]) == ("store", True)


def test_a_database_that_does_not_answer(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with deaf_port() as port:
        store = ("--store", f"postgresql://hooks@127.0.0.1:{port}/hooks")
        assert the_fault(findings(served, "--no-delivery", *store))["what"] == "store"
        monkeypatch.setitem(sys.modules, "webhook.adapters.postgres", None)
        monkeypatch.setitem(sys.modules, "asyncpg", None)
        fault = the_fault(findings(served, "--no-delivery", *store))
    assert (fault["what"], "asyncpg" in fault["told"]) == ("store", True)


def test_a_schema_that_is_behind(served: Served) -> None:
    make_database()
    with closing(sqlite3.connect("webhook.db")) as database:
        last = "SELECT max(name) FROM d1_migrations"
        database.execute(f"DELETE FROM d1_migrations WHERE name = ({last})")
        database.commit()
    fault = the_fault(findings(served, "--no-delivery"))
    assert (fault["what"], fault["cure"].split(",")[0]) == ("schema", "webhook migrate")


def test_a_schema_that_is_ahead(served: Served) -> None:
    make_database()
    with closing(sqlite3.connect("webhook.db")) as database:
        database.execute("INSERT INTO d1_migrations (name) VALUES ('9999_future.sql')")
        database.commit()
    fault = the_fault(findings(served, "--no-delivery"))
    assert (fault["what"], "upgrade" in fault["cure"]) == ("store", True)


def test_a_token_that_others_can_read(served: Served) -> None:
    make_database()
    token = Path("webhook.db.token")
    token.write_text("a-token\n")
    token.chmod(0o644)
    fault = the_fault(findings(served, "--no-delivery"))
    assert (fault["what"], fault["cure"].split(",")[0]) == ("token", f"chmod 600 {token}")


def test_a_key_that_is_lost(served: Served) -> None:
    make_database(make_encryption_key(os.urandom(32)))
    fault = the_fault(findings(served, "--no-delivery"))
    assert (fault["what"], "not known here" in fault["told"]) == ("keys", True)
    assert "WEBHOOK_ENCRYPTION_KEYS" in fault["cure"]


def test_a_disk_that_is_nearly_full(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    make_database()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=1024 * 1024))
    fault = the_fault(findings(served, "--no-delivery"))
    assert (fault["what"], fault["told"]) == ("disk", "1 MiB are free")


# --- the service ---------------------------------------------------------------------------------


def test_nothing_answers() -> None:
    with deaf_port() as port:
        fault = the_fault(findings(f"http://127.0.0.1:{port}"))
    assert (fault["what"], "webhook serve" in fault["cure"]) == ("service", True)


def test_another_program_answers() -> None:
    with ThreadedReceiver([Answer(200, [("Connection", "close")], b"<html>")]) as receiver:
        fault = the_fault(findings(f"http://127.0.0.1:{receiver.port}"))
    assert fault["told"].startswith("another program answers")


def test_a_token_that_is_wrong(served: Served) -> None:
    found = findings(served, "--token", "wrong")
    assert the_fault(found)["what"] == "token"


def test_a_clock_that_is_off() -> None:
    health = [("Date", "Thu, 01 Jan 2026 00:00:00 GMT"), ("Connection", "close")]
    with ThreadedReceiver([Answer(200, health, b'{"status":"ok"}')]) as receiver:
        given = ["doctor", "--url", f"http://127.0.0.1:{receiver.port}", "--json"]
        # What stands for the service answers nothing else.
        receiver.receiver.answers = _HealthOnly(health)
        found = json.loads(CliRunner().invoke(app, given).stdout)
    assert (one_of(found, "clock")["verdict"], "NTP" in one_of(found, "clock")["cure"]) == (
        "BAD",
        True,
    )


class _HealthOnly:
    def __init__(self, headers: list[tuple[str, str]]) -> None:
        problem = {"title": "No valid token", "status": 401, "detail": "None.", "errors": []}
        self._refused = Answer(401, headers, json.dumps(problem).encode())
        self._health = Answer(200, headers, b'{"status":"ok"}')

    def __call__(self, request: Any) -> Answer:
        return self._health if request.path == "/health" else self._refused


def test_sending_that_is_paused(served: Served) -> None:
    with Client(served.url, served.token) as client:
        client.pause_sending()
        fault = the_fault(findings(served))
        client.resume_sending()
    assert (fault["what"], fault["cure"]) == ("sending", "webhook resume")


def test_an_endpoint_that_is_disabled(served: Served) -> None:
    with Client(served.url, served.token) as client:
        made = client.add_endpoint(HOOK, event_types=["*"], status="error", tenant="disabled")
    fault = the_fault(findings(served, "--tenant", "disabled", "--no-delivery"))
    assert (fault["what"], made.id in fault["cure"]) == ("endpoint", True)


def test_deliveries_that_nobody_sends(idle: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.cli.checkup_service.OVERDUE_S", -1.0)
    with Client(idle.url, idle.token) as client:
        client.add_endpoint(HOOK, event_types=["*"])
        client.emit("a.b", 1)
    fault = the_fault(findings(idle, "--no-delivery"))
    assert (fault["what"], "overdue" in fault["told"]) == ("sending", True)


def test_a_delivery_that_does_not_arrive(idle: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.cli.checkup_service.DELIVERY_S", 0.1)
    fault = the_fault(findings(idle, "--tenant", "nobody"))
    assert (fault["what"], fault["told"]) == ("delivery", "one was not sent within 0.1 s")


def test_a_person_reads_a_line_and_its_cure(served: Served) -> None:
    done = CliRunner().invoke(app, ["doctor", "--url", served.url, "--token", "wrong"])
    assert done.exit_code == 1
    assert "\nBAD  token     The token is not the right one." in done.stdout
    assert "\n     Give the service's: --token" in done.stdout
