"""How `webhook serve` ends, asked to or not: nothing that was accepted is lost."""

from __future__ import annotations

import signal
import socket
import threading
import time
import urllib.error
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.serving import WAIT_S, Server
from tests.receiver import Answer, Request, ThreadedReceiver

NEVER_S = 600.0
# The shortest lease that the service takes; what a killed one held is due again after it.
LEASE_S = 40
# Longer than anything is waited for here: who waited for one of these would be found out.
LONG_GRACE, LONG_LEASE_MS = "600", "900000"


def can_connect(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", urlsplit(server.url).port), WAIT_S).close()
    except ConnectionError:  # refused, or reset when it was in line as the listener closed
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_finishes_what_is_under_way(tmp_path: Path, number: int) -> None:
    with ThreadedReceiver([Answer(200, delay_s=1)]) as receiver, Server(tmp_path) as server:
        server.add_endpoint(receiver.url)
        event = server.emit()
        receiver.wait(1)
        server.process.send_signal(number)
        assert server.wait() == 0
        assert "Of the attempts under way 1 finished." in server.output
        server.start()
        [delivery] = server.wait_for_status(event["id"], "success")
        assert [attempt["status_code"] for attempt in delivery["attempts"]] == [200]
        assert len(receiver.requests) == 1


def test_asked_to_end_with_nothing_to_do_it_ends_soon(tmp_path: Path) -> None:
    with Server(tmp_path, "--grace-s", LONG_GRACE) as server:
        server.get("/health")
        assert server.end() == 0
        assert server.output.endswith("Stopped. Nothing was under way.\n")


def test_while_it_ends_it_accepts_nothing(tmp_path: Path) -> None:
    with ThreadedReceiver([Answer(200, delay_s=NEVER_S)]) as receiver, Server(tmp_path) as server:
        server.add_endpoint(receiver.url)
        server.emit()
        receiver.wait(1)
        server.terminate()
        server.wait_for_line("Stopping")
        end = time.monotonic() + WAIT_S
        while can_connect(server):  # it looks at its signals ten times a second
            assert time.monotonic() < end
        assert server.process.poll() is None


def test_what_takes_longer_than_the_grace_is_sent_again_after_the_start(tmp_path: Path) -> None:
    with (
        ThreadedReceiver([Answer(200, delay_s=NEVER_S), 200]) as receiver,
        Server(tmp_path, "--grace-s", "0.3", WEBHOOK_LEASE_MS=LONG_LEASE_MS) as server,
    ):
        server.add_endpoint(receiver.url)
        event = server.emit()
        receiver.wait(1)
        assert server.end() == 0
        assert "0 finished, 1 broken off" in server.output
        server.start()
        # Its lease was ended: it would be waited for longer than anything is waited for here.
        [delivery] = server.wait_for_status(event["id"], "success")
        interrupted, sent = delivery["attempts"]
        assert (interrupted["error_kind"], sent["status_code"]) == ("interrupted", 200)
        assert delivery["attempt_count"] == 1


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with (
        ThreadedReceiver([Answer(200, delay_s=NEVER_S)]) as receiver,
        Server(tmp_path, "--grace-s", LONG_GRACE) as server,
    ):
        server.add_endpoint(receiver.url)
        server.emit()
        receiver.wait(1)
        server.terminate()
        server.wait_for_line("Stopping")
        server.terminate()
        assert server.wait() == 128 + signal.SIGTERM
        assert "Ended at once." in server.output


class Emitters:
    """Callers that emit as fast as they can, and remember what was accepted."""

    def __init__(self, server: Server, count: int) -> None:
        self.server = server
        self.accepted: list[str] = []
        self.refused = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._emit) for _ in range(count)]

    def __enter__(self) -> list[str]:
        for thread in self._threads:
            thread.start()
        return self.accepted

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(WAIT_S)

    def _emit(self) -> None:
        while not self._stop.is_set():
            try:
                self.accepted.append(self.server.emit({"n": len(self.accepted)})["id"])
            except (urllib.error.URLError, HTTPException, OSError):
                return  # the server is gone


def test_killed_twice_it_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    stuck: set[str] = set()
    holding = threading.Event()

    def answer(request: Request) -> Answer:
        # So that some are under way whenever the process dies.
        if holding.is_set() and len(receiver.requests) % 10 == 1:
            stuck.add(request.headers["webhook-id"])
            return Answer(200, delay_s=NEVER_S)
        return Answer(200)

    settings = {"WEBHOOK_LEASE_MS": f"{LEASE_S}000"}
    accepted: set[str] = set()
    with ThreadedReceiver(answer) as receiver, Server(tmp_path, local=True, **settings) as server:
        server.add_endpoint(receiver.url)
        for _ in range(2):
            holding.set()
            with Emitters(server, 4) as now:
                end = time.monotonic() + WAIT_S
                while len(now) < 30:
                    assert time.monotonic() < end, server.log()
                    time.sleep(0.01)
                server.kill()
            holding.clear()
            accepted.update(now)
            server.start()
        assert stuck & accepted
        while accepted - {request.headers["webhook-id"] for request in receiver.requests}:
            receiver.wait(len(receiver.requests) + 1, LEASE_S + WAIT_S)
        for event_id in stuck & accepted:
            server.wait_for_status(event_id, "success")
