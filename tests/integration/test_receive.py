"""`webhook receive` beside the real server: it verifies, prints, records, and fails on purpose."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.integration.serving import COMMAND, Server, clean_environment
from tests.sockets import deaf_port
from webhook.cli.app import app
from webhook.cli.misbehaving import WAYS
from webhook.cli.receiving import Receiving, Secrets
from webhook.receive.testing import WebhookSender, make_secret, post, signed_request

WAIT_S = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"WEBHOOK_RETRY_SCHEDULE": "0.2,0.2", "WEBHOOK_JITTER": "0"}
    with Server(tmp_path_factory.mktemp("receive"), local=True, **settings) as started:
        yield started


class Receive:
    """The command as a process; ``url`` says where it listens."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.url = ""

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def told(self) -> Any:
        return json.loads(self.line())


@contextmanager
def receiving(folder: Path, *arguments: str, as_json: bool = True, **env: str) -> Iterator[Receive]:
    given = [*COMMAND, "receive", "0", *arguments, *(["--json"] if as_json else [])]
    with subprocess.Popen(
        given, cwd=folder, env=clean_environment(**env), stdout=subprocess.PIPE, text=True
    ) as process:
        receive = Receive(process)
        try:
            if as_json:
                receive.url = receive.told()["listening"]
            else:
                receive.url = receive.line().split()[-1]
                assert receive.line() == f"webhook endpoints add {receive.url}"
            yield receive
            process.send_signal(signal.SIGINT)
            assert process.wait(WAIT_S) == 0
        finally:
            process.kill()


def test_it_asks_the_service_for_the_secret_and_prints_what_comes(server: Server) -> None:
    with receiving(server.folder, as_json=False, WEBHOOK_URL=server.url) as receive:
        endpoint = server.add_endpoint(receive.url, tenant="asks")
        emit = {"type": "message.sent", "data": {"text": "hü"}, "tenant": "asks"}
        event = server.post("/v1/events", emit)
        assert receive.line()[10:] == f"204  verified  message.sent  {event['id']}"
        assert receive.line() == '  {"text": "hü"}'
        server.wait_for_status(event["id"], "success", tenant="asks")
        rotate = f"/v1/endpoints/{endpoint['id']}/secret/rotate"
        server.post(rotate, {"overlap_s": 0})
        event = server.post("/v1/events", emit)
        assert receive.line()[10:] == f"204  verified  message.sent  {event['id']}"


def test_it_fails_so_often_and_then_takes_it(server: Server) -> None:
    with receiving(
        server.folder, "--fail", "503", "--times", "2", WEBHOOK_URL=server.url
    ) as receive:
        server.add_endpoint(receive.url, tenant="twice")
        event = server.post("/v1/events", {"type": "a.b", "data": 1, "tenant": "twice"})
        [delivery] = server.wait_for_status(event["id"], "success", tenant="twice")
        assert [receive.told()["answered"] for _ in range(3)] == ["HTTP 503", "HTTP 503", "204"]
        assert [attempt["status_code"] for attempt in delivery["attempts"]] == [503, 503, 204]


def test_what_is_not_verified_is_told_and_recorded(tmp_path: Path) -> None:
    sender, stranger = WebhookSender(), make_secret()
    record = tmp_path / "record"
    with receiving(
        tmp_path, "--record", str(record), "--delay", "1ms", WEBHOOK_SECRET=sender.secret
    ) as receive:
        event = {"type": "a.b", "data": 1}
        assert sender.send(receive.url, event, id="msg_1") == 204
        assert receive.told()["verified"]
        body, headers = signed_request(stranger, event, id="a/b")
        assert post(receive.url, body, headers) == 400
        told = receive.told()
        assert (told["verified"], told["answered"]) == (False, "400")
        assert "none of the signatures" in told["problem"]
        assert sender.send(receive.url, event, timestamp=1) == 400
        assert "old" in receive.told()["problem"]
        assert sender.send(receive.url, b"[]") == 400
        assert "no JSON object" in receive.told()["problem"]
    first, second, *_ = sorted(record.iterdir())
    assert first.name == "0001-msg_1.http"
    assert second.name == "0002-a_b.http"
    head, _, kept = first.read_bytes().partition(b"\r\n\r\n")
    assert head.startswith(b"POST / HTTP/1.1\r\n")
    assert json.loads(kept)["type"] == "a.b"


def test_without_secret_or_service_it_says_what_is_missing(tmp_path: Path) -> None:
    with (
        deaf_port() as port,
        receiving(tmp_path, WEBHOOK_URL=f"http://127.0.0.1:{port}") as receive,
    ):
        assert WebhookSender().send(receive.url, {"type": "a.b"}) == 400
        assert "give --secret" in receive.told()["problem"]


def answer_to_one_request(url: str, enough: int) -> bytes:
    """Return the beginning of a raw answer: so many bytes, or less if it ends before."""
    host, _, port = url.removeprefix("http://").partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=WAIT_S)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        found = b""
        try:
            while len(found) < enough and (data := connection.recv(enough - len(found))):
                found += data
        except ConnectionResetError:
            found += b"RST"
        return found


def test_it_ends_though_somebody_waits_for_ever(tmp_path: Path) -> None:
    secret = make_secret()
    with receiving(tmp_path, "--fail", "never", WEBHOOK_SECRET=secret) as receive:
        host, _, port = receive.url.removeprefix("http://").partition(":")
        waiting = socket.create_connection((host, int(port)), timeout=WAIT_S)
        waiting.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        assert receive.told()["answered"] == "never answers"
    with closing(waiting):
        assert waiting.recv(1) == b""


# How each begins, as far as it is told by its first bytes.
BEGINNINGS = {
    "close": b"",
    "reset": b"RST",
    "reset-in-body": b"HTTP/1.1 200 OK",
    "half": b"HTTP/1.1 200 OK\r\nContent-",
    "not-http": b"220 mail",
    "drip": b"HTTP/1.1 200 OK",
    "drip-headers": b"HTTP/1.1 200 OK\r\nX-1: 1",
    "huge-body": b"HTTP/1.1 200 OK",
    "huge-header": b"HTTP/1.1 200 OK",
    "many-headers": b"HTTP/1.1 200 OK",
    "gzip-bomb": b"HTTP/1.1 200 OK",
    "not-utf8": b"HTTP/1.1 500 Internal",
    "204-with-body": b"HTTP/1.1 204 No Content",
    "redirect-loop": b"HTTP/1.1 301 Moved",
    "retry-after-huge": b"HTTP/1.1 503",
    "retry-after-negative": b"HTTP/1.1 503",
    "retry-after-2099": b"HTTP/1.1 503",
    "retry-after-garbage": b"HTTP/1.1 503",
    "status-999": b"HTTP/1.1 999",
}


def test_every_way_to_fail_is_tried() -> None:
    assert set(BEGINNINGS) | {"never"} == set(WAYS)


@pytest.mark.parametrize("way", BEGINNINGS)
async def test_it_fails_in_every_way(way: str) -> None:
    receiving = Receiving(Secrets(make_secret(), list), tell=lambda _: None, way=WAYS[way])
    server = await asyncio.start_server(receiving.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    expected = BEGINNINGS[way]
    url = f"http://127.0.0.1:{port}"
    begun = await asyncio.to_thread(answer_to_one_request, url, len(expected) or 1)
    assert begun == expected
    server.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fail", "nonsense"], "no way to fail"),
        (["--fail", "1000"], "no way to fail"),
        (["--times", "2"], "say how"),
        (["--delay", "soon"], "no span"),
        (["--secret", "whsec_x"], "--secret"),
        (["70000"], "65535"),
    ],
)
def test_used_wrongly_is_2(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["receive", *arguments])
    assert done.exit_code == 2
    assert words in done.stderr


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = CliRunner().invoke(app, ["receive", str(listener.getsockname()[1])])
    assert done.exit_code == 1
    assert "is taken by another program" in done.stderr
