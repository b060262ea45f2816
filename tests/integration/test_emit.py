"""`webhook emit` and `webhook migrate` against the real server and real files."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.serving import Server, run
from tests.receiver import ThreadedReceiver

SCHEDULE = {"WEBHOOK_RETRY_SCHEDULE": "0.2,0.2"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("emit"), local=True, **SCHEDULE) as started:
        yield started


def emit(server: Server, *arguments: str, **settings: str) -> tuple[int, str, str]:
    settings = {"WEBHOOK_URL": server.url, **settings}
    done = run("emit", *arguments, cwd=server.folder, **settings)
    return done.returncode, done.stdout, done.stderr


def test_it_takes_the_servers_own_token_and_prints_id_and_count(server: Server) -> None:
    code, out, err = emit(server, "order.paid", '{"n":1.10}', "--tenant", "nobody")
    assert (code, err) == (0, "")
    found = re.fullmatch(r"(evt_\w+)  no endpoint of tenant nobody wants order\.paid\n", out)
    assert found
    assert server.get(f"/v1/events/{found[1]}?tenant=nobody")["data"] == {"n": 1.1}


def test_it_follows_deliveries_through_their_retries(server: Server) -> None:
    with ThreadedReceiver([503, 200]) as receiver:
        endpoint = server.add_endpoint(receiver.url, tenant="retry")
        code, out, err = emit(server, "message.sent", "{}", "--tenant", "retry", "--wait")
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
        code, out, _ = emit(server, "message.sent", "{}", "--tenant", "gone", "--wait")
    assert code == 1
    assert "failed    the receiver answered 410 Gone" in out


def test_json_is_the_answer_with_the_deliveries(server: Server) -> None:
    with ThreadedReceiver() as receiver:
        server.add_endpoint(receiver.url, tenant="json")
        code, out, _ = emit(server, "message.sent", "--tenant", "json", "--wait", "--json")
        assert receiver.bodies()[0]["data"] == {}
    answer = json.loads(out)
    assert code == 0
    assert answer["delivery_count"] == 1
    assert [delivery["status"] for delivery in answer["deliveries"]] == ["success"]


def test_data_comes_from_a_file_or_from_standard_input(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text('[1, "ü", 12345678901234567890]', "utf-8")
    _, out, _ = emit(server, "a.file", f"@{file}", "--json")
    event = server.get(f"/v1/events/{json.loads(out)['id']}")
    assert event["data"] == [1, "ü", 12345678901234567890]
    code, _, err = emit(server, "a.file", "-")  # nothing comes in
    assert (code, err.startswith("Error: The data is not JSON")) == (2, True)


def test_metadata_and_key_are_passed_on(server: Server) -> None:
    meta = ["--meta", "lang=en", "--meta", "to=a", "--meta", "to=b=c"]
    arguments = ["order.paid", "1", "--key", "order-7", *meta, "--json"]
    first, again = (json.loads(emit(server, *arguments)[1]) for _ in range(2))
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    event = server.get(f"/v1/events/{first['id']}")
    assert event["metadata"] == {"lang": "en", "to": ["a", "b=c"]}
    code, _, err = emit(server, "order.paid", "2", "--key", "order-7")
    assert code == 1
    assert "/idempotency_key: " in err


def test_what_the_service_refuses_is_a_sentence_that_names_the_field(server: Server) -> None:
    code, out, err = emit(server, "Not A Type")
    assert (code, out) == (1, "")
    assert err.startswith("Error: /type: ")
    assert err.count("\n") == 1


def test_a_wrong_token_is_said(server: Server) -> None:
    code, _, err = emit(server, "a.b", "--token", "wrong")
    assert (code, err) == (1, "Error: The token is not the right one.\n")


def test_the_servers_own_token_goes_to_this_machine_alone(tmp_path: Path) -> None:
    (tmp_path / "webhook.db.token").write_text("secret-of-this-machine")
    with ThreadedReceiver([200]) as receiver:
        run("emit", "a.b", "--url", receiver.url, cwd=tmp_path)
        assert receiver.requests[0].headers["authorization"] == "Bearer secret-of-this-machine"
        other = f"http://{socket.gethostname()}.invalid:1"
        done = run("emit", "a.b", "--url", other, cwd=tmp_path)
    assert done.returncode == 3


def test_nobody_answers_is_3(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = run("emit", "a.b", cwd=tmp_path, WEBHOOK_PORT=str(port))
    assert done.returncode == 3
    assert f"No service answers at http://127.0.0.1:{port}" in done.stderr


def test_nothing_there_is_4(server: Server) -> None:
    code, _, err = emit(server, "a.b", "--url", f"{server.url}/elsewhere")
    assert code == 4
    assert err.startswith("Error: ")


def test_another_program_at_the_address_is_told(tmp_path: Path) -> None:
    with ThreadedReceiver([200, 302]) as receiver:
        for _ in range(2):
            done = run("emit", "a.b", "--url", receiver.url, "--token", "t", cwd=tmp_path)
            assert done.returncode == 1
            assert "no webhook service" in done.stderr


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
def test_used_wrongly_is_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run("emit", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
