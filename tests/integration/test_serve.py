"""`webhook serve` as a real process: what it prints works, what is emitted arrives, signed."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import standardwebhooks
import svix.webhooks

from tests.integration.serving import Server, clean_environment
from tests.receiver import Answer, ThreadedReceiver


def curl_lines(output: str) -> list[str]:
    """Cut the commands out of what the server printed, as somebody who pastes them would."""
    return re.findall(r"^curl .*?(?:[^\\]\n)", output, re.MULTILINE | re.DOTALL)


def paste(command: str, **settings: str) -> Any:
    done = subprocess.run(
        ["bash", "-c", command],
        env=clean_environment(**settings),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_it_starts_and_says_where_it_is(tmp_path: Path) -> None:
    with Server(tmp_path, local=False) as server:
        assert re.search(r"^Listening +http://127\.0\.0\.1:\d+", server.output, re.MULTILINE)
        assert re.search(rf"^Token +{re.escape(server.token)} ", server.output, re.MULTILINE)
        assert str(tmp_path / "webhook.db") in server.output
        assert re.search(r"^Store +sqlite:///webhook\.db$", server.output, re.MULTILINE)
        assert "Migrated   0001_initial.sql" in server.output
        assert server.get("/health") == {"status": "ok"}


@pytest.mark.parametrize("local", [False, True])
def test_the_curl_lines_work_as_printed(tmp_path: Path, *, local: bool) -> None:
    with Server(tmp_path, local=local) as server:
        add, emit = curl_lines(server.output)
        endpoint, event = paste(add), paste(emit)
        assert endpoint["id"].startswith("ep_")
        expected = "http://127.0.0.1:9000" if local else "https://example.com/hook"
        assert endpoint["url"].rstrip("/") == expected
        assert event["delivery_count"] == 1


def test_a_token_of_the_callers_own_is_taken_and_not_printed_into_a_log(tmp_path: Path) -> None:
    own = "t0ken-of-my-own"
    with Server(tmp_path, local=False, WEBHOOK_API_TOKEN=own) as server:
        assert own not in server.output
        assert not (tmp_path / "webhook.db.token").exists()
        for command in curl_lines(server.output):
            assert paste(command, WEBHOOK_API_TOKEN=own)["id"]


def test_the_token_is_kept_for_its_owner_alone_and_over_restarts(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        token = server.token
        mode = (tmp_path / "webhook.db.token").stat().st_mode
        assert stat.S_IMODE(mode) == stat.S_IRUSR | stat.S_IWUSR
        assert server.end() == 0
        server.start()
        assert server.token == token
        assert token in server.output
        server.get("/v1/endpoints")


def test_the_api_is_closed_without_the_token(tmp_path: Path) -> None:
    with Server(tmp_path, WEBHOOK_API_TOKEN="right") as server:
        server.settings["WEBHOOK_API_TOKEN"] = "wrong"
        with pytest.raises(HTTPError) as raised:
            server.get("/v1/endpoints")
        assert raised.value.code == 401
        raised.value.close()


def test_insecure_asks_for_no_token(tmp_path: Path) -> None:
    with Server(tmp_path, "--insecure", local=False) as server:
        assert "Authorization" not in server.output
        assert [paste(command)["id"][:3] for command in curl_lines(server.output)] == ["ep_", "evt"]


def test_an_event_arrives_once_signed_for_other_peoples_verifiers(tmp_path: Path) -> None:
    with ThreadedReceiver() as receiver, Server(tmp_path) as server:
        endpoint = server.add_endpoint(receiver.url)
        event = server.emit({"text": "grüße"})
        deliveries = server.wait_for_status(event["id"], "success")
        [request] = receiver.wait(1)
        for verifier in (standardwebhooks.Webhook, svix.webhooks.Webhook):
            verifier(endpoint["secret"]).verify(request.body, request.headers)
        assert request.method == "POST"
        assert request.json()["data"] == {"text": "grüße"}
        assert request.headers["webhook-id"] == event["id"]
        assert server.get("/v1/deliveries")["data"] == deliveries
        [delivery] = deliveries
        assert delivery["endpoint_id"] == endpoint["id"]
        [attempt] = delivery["attempts"]
        assert (attempt["number"], attempt["status_code"]) == (1, 200)
        assert server.end() == 0
        assert len(receiver.requests) == 1


def test_restarted_it_knows_everything(tmp_path: Path) -> None:
    paths = ["/v1/endpoints", "/v1/events", "/v1/deliveries"]
    with ThreadedReceiver() as receiver, Server(tmp_path) as server:
        server.add_endpoint(receiver.url, name="mine")
        event = server.emit({"a": 1})
        server.wait_for_status(event["id"], "success")
        before = [server.get(path) for path in paths]
        assert server.end() == 0
        server.start()
        assert [server.get(path) for path in paths] == before
        assert all(len(page["data"]) == 1 for page in before)
        assert "Migrated" not in server.output


def test_a_receiver_that_fails_twice_is_tried_again_by_the_schedule(tmp_path: Path) -> None:
    with (
        ThreadedReceiver([503, 503, 200]) as receiver,
        Server(tmp_path, WEBHOOK_RETRY_SCHEDULE="0.2,0.2") as server,
    ):
        server.add_endpoint(receiver.url)
        event = server.emit()
        [delivery] = server.wait_for_status(event["id"], "success")
        assert [a["status_code"] for a in delivery["attempts"]] == [503, 503, 200]
        ids = {request.headers["webhook-id"] for request in receiver.requests}
        assert ids == {event["id"]}
        first, second, third = (request.at for request in receiver.requests)
        assert min(second - first, third - second) > 0.15
        log = server.log()
        assert "[503] message.sent to 127.0.0.1" in log
        assert f"attempt 3, success ({delivery['id']})" in log


def test_its_log_shows_neither_path_nor_secret(tmp_path: Path) -> None:
    with ThreadedReceiver([Answer(200)]) as receiver, Server(tmp_path) as server:
        endpoint = server.add_endpoint(receiver.url + "/private?key=hidden")
        event = server.emit()
        server.wait_for_status(event["id"], "success")
        assert server.end() == 0
        shown = server.output.replace(server.token, "") + server.log()
        for hidden in ("private", "hidden", endpoint["secret"]):
            assert hidden not in shown


def test_in_memory_it_leaves_no_file(tmp_path: Path) -> None:
    with Server(tmp_path, "--store", "memory://", WEBHOOK_API_TOKEN="t") as server:
        server.emit()
        assert server.end() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]
