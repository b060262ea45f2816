"""`webhook emit` against the real server: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.integration.serving import Server, run
from tests.receiver import Answer, ThreadedReceiver
from tests.sockets import deaf_port
from webhook.cli.app import app
from webhook.client.loopback import is_loopback

SCHEDULE = {"WEBHOOK_RETRY_SCHEDULE": "0.2,0.2"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("emit"), local=True, **SCHEDULE) as started:
        yield started


@pytest.fixture(autouse=True)
def folder(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in the server's folder, with no setting but where it is."""
    monkeypatch.chdir(server.folder)
    for name in [name for name in os.environ if name.startswith("WEBHOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WEBHOOK_URL", server.url)


def emit(*arguments: str, **settings: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["emit", *arguments], input="", env=settings)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_it_takes_the_servers_own_token_and_prints_id_and_count(server: Server) -> None:
    code, out, err = emit("order.paid", '{"n":1.10}', "--tenant", "nobody")
    assert (code, err) == (0, "")
    found = re.fullmatch(r"(evt_\w+)  no endpoint of tenant nobody wants order\.paid\n", out)
    assert found
    assert server.get(f"/v1/events/{found[1]}?tenant=nobody")["data"] == {"n": 1.1}


def test_it_follows_deliveries_through_their_retries(server: Server) -> None:
    with ThreadedReceiver([503, 200]) as receiver:
        endpoint = server.add_endpoint(receiver.url, tenant="retry")
        code, out, err = emit("message.sent", "{}", "--tenant", "retry", "--wait")
    assert (code, err) == (0, "")
    first, failed, delivered = out.splitlines()
    assert first.endswith("  1 delivery")
    assert re.fullmatch(
        rf"{endpoint['id']}  pending   HTTP 503.*; next attempt at \d\d:\d\d:\d\d", failed
    )
    assert re.fullmatch(rf"{endpoint['id']}  success   in \d+ ms, attempt 2", delivered)


def test_it_ends_with_1_when_a_delivery_fails(server: Server) -> None:
    with ThreadedReceiver([410]) as receiver:
        server.add_endpoint(receiver.url, tenant="gone")
        code, out, _ = emit("message.sent", "{}", "--tenant", "gone", "--wait")
    assert code == 1
    assert "failed    the receiver answered 410 Gone" in out


def test_json_is_the_answer_with_the_deliveries(server: Server) -> None:
    with ThreadedReceiver() as receiver:
        server.add_endpoint(receiver.url, tenant="json")
        code, out, _ = emit("message.sent", "--tenant", "json", "--wait", "--json")
        assert receiver.bodies()[0]["data"] == {}
    answer = json.loads(out)
    assert code == 0
    assert answer["delivery_count"] == 1
    assert [delivery["status"] for delivery in answer["deliveries"]] == ["success"]


def test_data_comes_from_a_file_or_from_standard_input(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text('[1, "ü", 12345678901234567890]', "utf-8")
    _, out, _ = emit("a.file", f"@{file}", "--json")
    event = server.get(f"/v1/events/{json.loads(out)['id']}")
    assert event["data"] == [1, "ü", 12345678901234567890]
    code, _, err = emit("a.file", "-")  # nothing comes in
    assert (code, err.startswith("Error: The data is not JSON")) == (2, True)


def test_metadata_and_key_are_passed_on(server: Server) -> None:
    meta = ["--meta", "lang=en", "--meta", "to=a", "--meta", "to=b=c"]
    arguments = ["order.paid", "1", "--key", "order-7", *meta, "--json"]
    first, again = (json.loads(emit(*arguments)[1]) for _ in range(2))
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    event = server.get(f"/v1/events/{first['id']}")
    assert event["metadata"] == {"lang": "en", "to": ["a", "b=c"]}
    code, _, err = emit("order.paid", "2", "--key", "order-7")
    assert code == 1
    assert "/idempotency_key: " in err


def test_what_the_service_refuses_is_a_sentence_that_names_the_field() -> None:
    code, out, err = emit("Not A Type")
    assert (code, out) == (1, "")
    assert err.startswith("Error: /type: ")
    assert err.count("\n") == 1


def test_a_wrong_token_is_said() -> None:
    code, _, err = emit("a.b", "--token", "wrong")
    assert (code, err) == (1, "Error: The token is not the right one.\n")


def test_the_servers_own_token_goes_to_this_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "webhook.db.token").write_text("of-this-machine")
    with ThreadedReceiver([200]) as receiver:
        emit("a.b", "--url", receiver.url)
        # Another machine's name, for all that the command can tell.
        monkeypatch.setattr("webhook.cli.remote.is_loopback", lambda _: False)
        emit("a.b", "--url", receiver.url)
        first, second = receiver.requests
    assert first.headers["authorization"] == "Bearer of-this-machine"
    assert "authorization" not in second.headers


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8787", True),
        ("http://127.8.9.1", True),
        ("http://[::1]:8787", True),
        ("http://localhost:8787", True),
        ("http://10.0.0.1:8787", False),
        ("https://localhost.example.com", False),
        ("https://127.0.0.1.example.com", False),
        ("https://127.0.0.1@example.com", False),
    ],
)
def test_which_addresses_are_this_machine(url: str, *, loopback: bool) -> None:
    assert is_loopback(url) is loopback


def test_nobody_answers_is_3() -> None:
    with deaf_port() as port:
        code, _, err = emit("a.b", WEBHOOK_URL="", WEBHOOK_PORT=str(port))
    assert code == 3
    assert f"No service answers at http://127.0.0.1:{port}" in err


def test_nothing_there_is_4(server: Server) -> None:
    code, _, err = emit("a.b", "--url", f"{server.url}/elsewhere")
    assert code == 4
    assert err.startswith("Error: ")


def test_another_program_at_the_address_is_told() -> None:
    moved = Answer(302, [("Location", "/elsewhere")])
    with ThreadedReceiver([200, moved, Answer(500, body=b"<html>")]) as receiver:
        for count in range(1, 4):
            code, _, err = emit("a.b", "--url", receiver.url, "--token", "t")
            assert (code, len(receiver.requests)) == (1, count)
            assert "no webhook service" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.b", "{"], "not JSON"),
        (["a.b", "NaN"], "JSON has no NaN"),
        (["a.b", "1}, {"], "not JSON"),
        (["a.b", "@missing.json"], "cannot be read"),
        (["a.b", "--meta", "lang"], "NAME=VALUE"),
        (["a.b", "--url", "ftp://x"], "no URL of a service"),
    ],
)
def test_used_wrongly_is_2(arguments: list[str], words: str) -> None:
    code, out, err = emit(*arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_as_a_program_of_its_own_it_does_the_same(server: Server) -> None:
    done = run("emit", "a.b", "--json", cwd=server.folder, WEBHOOK_URL=server.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["type"] == "a.b"
