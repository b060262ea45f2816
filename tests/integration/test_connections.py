"""``webhook serve`` against callers that are slow, many, or say too much."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.serving import WAIT_S, Server

CONNECTIONS = 4
POST = "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("slow"), WEBHOOK_REQUEST_S="1") as server:
        yield server


def connect(server: Server) -> socket.socket:
    url = urlsplit(server.url)
    return socket.create_connection((url.hostname or "", url.port or 0), WAIT_S)


def answer_on(connection: socket.socket) -> tuple[int, dict[str, str], Any]:
    """Read the answer and then the end of the connection."""
    with closing(http.client.HTTPResponse(connection)) as response:
        response.begin()
        content = json.loads(response.read())
        headers = {name.lower(): value for name, value in response.getheaders()}
    # The end may come over what is still being sent.
    with suppress(ConnectionResetError):
        assert connection.recv(1) == b""
    return response.status, headers, content


def drip(connection: socket.socket, piece: bytes) -> None:
    """Send a piece now and then until there is an answer."""
    connection.settimeout(0.1)
    while True:
        try:
            connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            connection.sendall(piece)
        else:
            connection.settimeout(WAIT_S)
            return


@pytest.mark.parametrize("framing", ["content-length: 100000", "transfer-encoding: chunked"])
def test_a_body_that_drips_is_cut_off_with_a_408(server: Server, framing: str) -> None:
    with connect(server) as connection:
        connection.sendall(f"{POST.format(server.token)}{framing}\r\n\r\n".encode())
        drip(connection, b" " if "length" in framing else b"1\r\n \r\n")
        status, headers, problem = answer_on(connection)
    assert status == 408
    assert headers["connection"] == "close"
    assert headers["content-type"] == "application/problem+json"
    assert "body did not come within 1 s" in problem["detail"]


def test_headers_that_drip_are_cut_off_with_a_408(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        drip(connection, b"x: y\r\n")
        status, _, problem = answer_on(connection)
    assert status == 408
    assert "headers did not come" in problem["detail"]


def test_headers_that_drip_after_a_first_request_are_cut_off_too(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        with closing(http.client.HTTPResponse(connection)) as response:
            response.begin()
            assert response.read()
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        drip(connection, b"x: y\r\n")
        assert answer_on(connection)[0] == 408


def test_a_body_that_drips_after_its_answer_ends_too(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
        with closing(http.client.HTTPResponse(connection)) as response:
            response.begin()
            assert (response.status, bool(response.read())) == (200, True)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            drip_for_ever(connection)


def drip_for_ever(connection: socket.socket) -> None:
    connection.settimeout(0.1)
    while True:
        connection.sendall(b" ")
        try:
            if connection.recv(1) == b"":
                raise BrokenPipeError
        except TimeoutError:
            pass


def test_who_says_nothing_is_let_go(server: Server) -> None:
    with connect(server) as connection, suppress(ConnectionResetError):
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    "head",
    ["GET /" + "x" * 40_000, "GET /health HTTP/1.1\r\nx: " + "y" * 40_000],
    ids=["url", "header"],
)
def test_headers_over_the_limit_get_a_431(server: Server, head: str) -> None:
    with connect(server) as connection:
        connection.sendall(head.encode())
        status, _, problem = answer_on(connection)
    assert status == 431
    assert "more than 32768 bytes" in problem["detail"]


def test_what_is_not_http_gets_a_problem(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"hello\r\n\r\n")
        status, headers, problem = answer_on(connection)
    assert (status, problem["type"]) == (400, "/docs#problem-not-http")
    assert headers["content-type"] == "application/problem+json"


def test_a_compressed_body_is_refused_unread(server: Server) -> None:
    with connect(server) as connection:
        head = POST.format(server.token) + "content-encoding: gzip\r\ncontent-length: 9\r\n"
        connection.sendall(f"{head}connection: close\r\n\r\n".encode() + b"\x1f\x8b1234567")
        status, _, problem = answer_on(connection)
    assert status == 415
    assert problem["errors"][0]["pointer"] == "content-encoding"


def test_more_connections_than_are_served_get_503_but_health_answers(tmp_path: Path) -> None:
    with (
        Server(tmp_path, WEBHOOK_CONNECTIONS_MAX=str(CONNECTIONS)) as server,
        ExitStack() as held,
    ):
        for _ in range(CONNECTIONS):
            connection = held.enter_context(connect(server))
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            with closing(http.client.HTTPResponse(connection)) as response:
                response.begin()
                response.read()
        with connect(server) as refused:
            head = POST.format(server.token) + "content-length: 2\r\n\r\n"
            refused.sendall(f"{head}{{}}".encode())
            status, headers, problem = answer_on(refused)
        assert (status, headers["retry-after"]) == (503, "2")
        assert problem["type"] == "/docs#problem-busy"
        with connect(server) as checked:
            checked.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert answer_on(checked)[0] == 200
        held.pop_all().close()
        assert server.emit(1)["id"]
