"""What is tried again and what is not: told by the steps, nothing is sent and no time passes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from webhook.client import (
    ApiError,
    BadAnswer,
    Client,
    Conflict,
    HttpRequest,
    HttpResponse,
    NotFound,
    Request,
    TooManyRequests,
    Unavailable,
    Unreachable,
)
from webhook.client.exchange import Service, exchange

RETRIES = 3
LOST, UNSENT = Unreachable("lost", sent=True), Unreachable("refused", sent=False)
SERVICE = Service("http://service", "t0ken", 30, RETRIES)
ACCEPTED = {"id": "e", "type": "a.b", "tenant": "t", "delivery_count": 1, "duplicate": False}
EMIT = Client.emit("a.b", {"n": 1})
CREATE = Client.create_token("shop", scopes=["emit"])


def problem(status: int, slug: str = "x", **headers: str) -> HttpResponse:
    document = {
        "type": f"/docs#problem-{slug}",
        "title": "A title",
        "status": status,
        "detail": "A detail.",
        "errors": [{"pointer": "/type", "detail": "Is wrong."}],
        "request_id": "req_1",
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, json.dumps(document).encode())


def good(value: object, status: int = 200) -> HttpResponse:
    return HttpResponse(status, {}, json.dumps(value).encode())


def run(
    request: Request[Any], answers: Sequence[HttpResponse | Unreachable]
) -> tuple[Any, list[HttpRequest], list[float]]:
    """Return the result or the error, what was sent, and the pauses; all answers must be used."""
    sent: list[HttpRequest] = []
    pauses: list[float] = []
    left = list(answers)
    steps = exchange(request, SERVICE)
    try:
        step = next(steps)
        while True:
            if not isinstance(step, HttpRequest):
                pauses.append(step)
                step = steps.send(None)
                continue
            sent.append(step)
            answer = left.pop(0)
            step = steps.throw(answer) if isinstance(answer, Unreachable) else steps.send(answer)
    except StopIteration as end:
        assert left == []
        return end.value, sent, pauses
    except (ApiError, BadAnswer, Unreachable) as error:
        assert left == []
        return error, sent, pauses


def test_a_request_carries_the_token_and_its_body() -> None:
    result, [sent], _ = run(EMIT, [good(ACCEPTED, 202)])
    assert (sent.method, sent.url, sent.timeout_s) == ("POST", "http://service/v1/events", 30)
    assert sent.headers["authorization"] == "Bearer t0ken"
    assert sent.headers["content-type"] == "application/json"
    assert msgspec.json.decode(sent.body or b"")["data"] == {"n": 1}
    assert result.id == "e"


@pytest.mark.parametrize(
    "failure",
    [LOST, UNSENT, problem(503), problem(429), problem(507), HttpResponse(502, {}, b"<html>")],
    ids=repr,
)
def test_an_emit_is_tried_again_with_the_same_key(failure: HttpResponse | Unreachable) -> None:
    result, sent, pauses = run(EMIT, [failure, failure, good(ACCEPTED, 202)])
    assert result.id == "e"
    assert len(sent) == 3
    assert sent[0] == sent[1] == sent[2]
    assert len(msgspec.json.decode(sent[0].body or b"")["idempotency_key"]) == 32
    assert 0 < pauses[0] <= 0.2 < 2 * pauses[1] <= 0.8


def test_each_emit_has_a_key_of_its_own() -> None:
    assert EMIT.body != Client.emit("a.b", {"n": 1}).body


def test_a_callers_own_name_is_kept_and_a_duplicate_told() -> None:
    again = good({**ACCEPTED, "duplicate": True}, 202)
    for named in (Client.emit("a.b", 1, id="mine"), Client.emit("a.b", 1, idempotency_key="mine")):
        result, [sent], _ = run(named, [again])
        assert result.duplicate
        assert (sent.body or b"").count(b"mine") == 1
        assert (b"idempotency_key" in (sent.body or b"")) == (b'"id"' not in (sent.body or b""))


def test_our_own_repeat_is_no_duplicate() -> None:
    again = {**ACCEPTED, "duplicate": True}
    assert not run(EMIT, [LOST, good(again, 202)])[0].duplicate
    batch = Client.emit_many([{"type": "a.b", "data": 1}, {"type": "a.b", "data": 1, "id": "x"}])
    result, _, _ = run(batch, [LOST, good({"events": [again, again]}, 202)])
    assert [one.duplicate for one in result] == [False, True]


def test_it_gives_up_after_its_retries() -> None:
    for failure, kind in ((LOST, Unreachable), (problem(503), Unavailable)):
        error, sent, pauses = run(EMIT, [failure] * (RETRIES + 1))
        assert (type(error), len(sent), len(pauses)) == (kind, RETRIES + 1, RETRIES)


def test_it_waits_as_long_as_it_is_asked_to() -> None:
    _, _, pauses = run(EMIT, [problem(429, retry_after="7"), good(ACCEPTED)])
    assert pauses == [7.0]
    error, sent, _ = run(EMIT, [problem(429, retry_after="3600")])
    assert (type(error), error.retry_after_s, len(sent)) == (TooManyRequests, 3600, 1)


def test_what_may_have_been_done_is_not_done_twice() -> None:
    for failure in (LOST, problem(503), HttpResponse(504, {}, b"")):
        assert len(run(CREATE, [failure])[1]) == 1


def test_what_was_surely_not_done_is_tried_again() -> None:
    made = {"token": "whtok_x", "details": {"id": "tok_1", "name": "shop", "scopes": ["emit"]}}
    made["details"] |= {  # type: ignore[operator]
        "tenant": None,
        "created_at": "2026-01-31T12:00:00.000Z",
        "expires_at": None,
        "last_used_at": None,
    }
    result, sent, _ = run(CREATE, [UNSENT, problem(429), good(made, 201)])
    assert (result.token, len(sent)) == ("whtok_x", 3)
    assert "whtok" not in repr(result)


def test_a_removal_that_was_done_after_all_is_done() -> None:
    remove = Client.remove_endpoint("ep_1")
    assert run(remove, [LOST, problem(404)])[0] is None
    assert isinstance(run(remove, [problem(404)])[0], NotFound)
    assert isinstance(run(remove, [UNSENT, problem(404)])[0], NotFound)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 501])
def test_what_would_be_refused_again_is_not_tried_again(status: int) -> None:
    assert len(run(EMIT, [problem(status)])[1]) == 1


def test_without_a_token_on_the_other_side_trying_again_is_no_use() -> None:
    assert len(run(EMIT, [problem(503, "no-token-configured")])[1]) == 1


def test_an_error_has_the_problems_fields() -> None:
    error, _, _ = run(EMIT, [problem(409, "conflict", retry_after="never")])
    assert isinstance(error, Conflict)
    assert (error.status, error.title, error.detail) == (409, "A title", "A detail.")
    assert (error.type, error.request_id) == ("/docs#problem-conflict", "req_1")
    assert [(e.pointer, e.detail) for e in error.errors] == [("/type", "Is wrong.")]
    assert (error.message, error.retry_after_s) == ("A detail.", None)


@pytest.mark.parametrize(
    "answer",
    [
        HttpResponse(200, {}, b"<html>"),
        HttpResponse(200, {}, b"{}"),
        HttpResponse(200, {}, b""),
        HttpResponse(302, {"location": "/elsewhere"}, b""),
        HttpResponse(404, {}, b"nothing here"),
        HttpResponse(500, {}, b"[1]"),
    ],
    ids=repr,
)
def test_another_program_is_told_and_not_asked_again(answer: HttpResponse) -> None:
    error, sent, _ = run(EMIT, [answer])
    assert (type(error), len(sent)) == (BadAnswer, 1)
    assert "no webhook service" in error.message


def test_what_a_newer_service_adds_is_passed_over() -> None:
    assert run(EMIT, [good({**ACCEPTED, "new": [1]})])[0].id == "e"


@pytest.mark.parametrize("url", ["", "ftp://x", "service:80", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no URL of a service"):
        Service(url, None, 1, 1)
