"""What every answer keeps to on the wire: methods, headers, connections, hang-ups."""

from __future__ import annotations

import logging
import socket
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.api.client import Api
from tests.api.server import Served
from tests.api.wire import exchange

EVENT = b'{"type":"a","data":1}'


def bearer(served: Served) -> dict[str, str]:
    return {"authorization": f"Bearer {served.token}", "content-type": "application/json"}


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/events", "GET, HEAD, OPTIONS, POST"),
        ("/v1/endpoints/x", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/v1/endpoints/batch", "OPTIONS, POST"),
        ("/health", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_lists_the_methods_of_a_path(api: Api, path: str, allow: str) -> None:
    answer = await api.client.options(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == allow


def test_head_answers_as_get_without_the_body(served: Served) -> None:
    for path in ("/v1/events", "/health", "/docs", "/v1/nothing"):
        get = exchange(served.url, "GET", path, bearer(served))
        head = exchange(served.url, "HEAD", path, bearer(served))
        assert head.body == b""
        assert head.status == get.status
        for name in ("content-type", "content-length"):
            assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/nothing", "/v1/events?limit=0"])
async def test_answers_of_the_api_are_not_cached_nor_guessed_at(api: Api, path: str) -> None:
    for headers in ({}, {"authorization": ""}):
        answer = await api.client.get(path, headers=headers)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/vnd.acme+json",
    ],
)
def test_json_is_taken_by_any_of_its_names(served: Served, content_type: str | None) -> None:
    headers = bearer(served)
    del headers["content-type"]
    if content_type is not None:
        headers["content-type"] = content_type
    assert exchange(served.url, "POST", "/v1/events", headers, EVENT).status == 202


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", " Bearer "])
def test_the_scheme_of_the_token_is_read_in_any_case(served: Served, scheme: str) -> None:
    headers = {"authorization": f"{scheme} {served.token}"}
    assert exchange(served.url, "GET", "/v1/events", headers).status == 200


def test_a_chunked_body_is_taken(served: Served) -> None:
    pieces = [EVENT[index : index + 5] for index in range(0, len(EVENT), 5)]
    assert exchange(served.url, "POST", "/v1/events", bearer(served), pieces).status == 202


def test_a_payload_of_exactly_256_kib_is_taken(served: Served) -> None:
    event_id = b"exactly"
    frame = (
        b'{"id":"%s","type":"a","timestamp":"2026-01-31T12:00:00.000Z","data":"","metadata":{},'
        b'"version":"1.0"}' % event_id
    )
    data = b"x" * (256 * 1024 - len(frame))
    for filling, status in ((data, 202), (data + b"x", 413)):
        body = b'{"id":"%s","type":"a","timestamp":"2026-01-31T12:00:00Z","data":"%s"}' % (
            event_id,
            filling,
        )
        assert exchange(served.url, "POST", "/v1/events", bearer(served), body).status == status


def test_an_oversized_body_ends_its_connection(served: Served) -> None:
    headers = {**bearer(served), "content-length": "50000000"}
    answered = exchange(served.url, "POST", "/v1/events", headers)
    assert answered.status == 413
    assert answered.headers["connection"] == "close"


def test_who_sends_all_before_reading_still_gets_the_answer(served: Served) -> None:
    # Closing at once would reset the connection under the answer.
    url = urlsplit(served.url)
    for body in (bytes(20_000_000), iter([bytes(1_000_000)] * 20)):
        connection = HTTPConnection(url.hostname or "", url.port, timeout=30)
        connection.request("POST", "/v1/events", body, bearer(served))
        response = connection.getresponse()
        assert response.status == 413
        assert response.headers["connection"] == "close"
        connection.close()


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}])
def test_the_rest_of_a_body_is_not_waited_for(served: Served, headers: dict[str, str]) -> None:
    # None of it is sent; who waited for it would say 408 in the end.
    for method, path in (("POST", "/v1/events"), ("PUT", "/v1/events"), ("POST", "/nothing")):
        announced = {**bearer(served), **headers, "content-length": "50000000"}
        assert exchange(served.url, method, path, announced).status in {401, 404, 405, 413}


def test_a_short_body_that_nobody_reads_costs_no_connection(served: Served) -> None:
    url = urlsplit(served.url)
    connection = HTTPConnection(url.hostname or "", url.port, timeout=30)
    local = None
    for path, status in (("/v1/nothing", 404), ("/v1/events", 202)):
        connection.request("POST", path, EVENT, bearer(served))
        response = connection.getresponse()
        response.read()
        assert response.status == status
        assert local in {None, connection.sock.getsockname()}
        local = connection.sock.getsockname()
    connection.close()


def test_who_hangs_up_halfway_leaves_nothing_behind(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    url = urlsplit(served.url)
    with (
        caplog.at_level(logging.DEBUG),
        socket.create_connection((url.hostname or "", url.port or 0)) as connection,
    ):
        connection.sendall(
            f"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {served.token}\r\n"
            "content-length: 100\r\n\r\n".encode()
            + EVENT
        )
    # A later call on the same service goes through, and nobody has complained by then.
    assert exchange(served.url, "GET", "/health", {}).status == 200
    assert [record for record in caplog.records if record.name.startswith("webhook")] == []
