"""The API in the Worker: the same answers as on the server, and never a traceback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import monotonic

import pytest

from tests.api.bad_input import BAD_INPUT, SIZES, BadInput, check_shape, stored
from tests.receiver import ThreadedReceiver
from tests.worker.conftest import scratch_folder
from tests.worker.harness import LOCAL, TOKEN, Api, direct_url, processes, project, without_tables
from tools.dev_worker import DevWorker

MEMORY_MB_MAX = 60
TRACEBACK = re.compile(r"Traceback|PythonError|\.py\b|line \d+, in")


@pytest.fixture(scope="module")
def direct(worker: DevWorker) -> str:
    """The Worker without wrangler's proxy before it, which is not there in production either."""
    return direct_url(worker)


@pytest.mark.parametrize("case", BAD_INPUT, ids=lambda case: case.name)
def test_bad_input_is_refused_as_on_the_server(direct: str, case: BadInput) -> None:
    answered = case.send(direct, TOKEN)
    case.check(answered, answers_early=False)
    assert TRACEBACK.search(answered.body.decode()) is None


@pytest.mark.parametrize("case", SIZES, ids=lambda case: case.name)
def test_what_is_too_large_is_refused_through_wranglers_proxy_too(
    worker: DevWorker, case: BadInput
) -> None:
    # An answer whose request was not taken whole never got past that proxy.
    for _ in range(3 if case.body else 1):
        case.check(case.send(worker.url, TOKEN), answers_early=False)


def test_nothing_of_all_that_bad_input_is_stored(direct: str) -> None:
    # The table speaks of the default tenant, and every other test here of one of its own.
    assert stored(direct, TOKEN) == ([], [])


def test_fifty_megabytes_are_refused_in_bounded_memory(worker: DevWorker, direct: str) -> None:
    [case] = [case for case in BAD_INPUT if case.name == "50 MB chunked"]
    case.check(case.send(direct, TOKEN), answers_early=False)
    before = _memory_mb(worker)
    for _ in range(5):
        case.check(case.send(direct, TOKEN), answers_early=False)
    grown = _memory_mb(worker) - before
    print(f"five bodies of 50 MB: workerd grew by {grown:.0f} MB")
    assert grown < MEMORY_MB_MAX


def _memory_mb(worker: DevWorker) -> float:
    """Return the memory of wrangler and its two workerds."""
    statuses = [Path(f"/proc/{pid}/status").read_text("utf-8") for pid in processes(worker)]
    return sum(int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) for status in statuses) / 1024


# --- repeats -------------------------------------------------------------------------------------


def test_a_name_given_twice_is_accepted_once(api: Api) -> None:
    first = api.emit(id="order-7:paid")
    again = api.emit(id="order-7:paid")
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert {**again, "duplicate": False} == first
    assert len(api.get("/v1/events")["data"]) == 1
    assert api.get("/v1/events/order-7:paid")["id"] == "order-7:paid"


def test_the_same_name_with_other_content_is_a_conflict(api: Api) -> None:
    event = {"type": "message.sent", "data": 1, "tenant": api.tenant}
    assert api.post("/v1/events", event, {"idempotency-key": "k"}).status == 202
    reply = api.post("/v1/events", {**event, "data": 2}, {"idempotency-key": "k"})
    assert reply.status == 409
    assert reply.pointers == ["/idempotency_key"]


def test_equal_names_in_a_batch_are_one_event_and_a_conflict_stores_nothing(api: Api) -> None:
    event = {"type": "message.sent", "data": 1, "tenant": api.tenant}
    same = api.post("/v1/events", {"events": [{**event, "id": "a"}, {**event, "id": "a"}]})
    assert [one["duplicate"] for one in same.json["events"]] == [False, True]
    other = {**event, "id": "a", "data": 2}
    reply = api.post("/v1/events", {"events": [{**event, "id": "b"}, other]})
    assert (reply.status, reply.pointers) == (409, ["/events/1/id"])
    assert [one["id"] for one in api.get("/v1/events")["data"]] == ["a"]


def test_the_header_on_a_batch_names_each_event_by_its_place(api: Api) -> None:
    event = {"type": "message.sent", "data": 1, "tenant": api.tenant}
    batch = {"events": [event, event]}
    first = api.post("/v1/events", batch, {"idempotency-key": "call"}).json["events"]
    assert [one["duplicate"] for one in first] == [False, False]
    again = api.post("/v1/events", batch, {"idempotency-key": "call"}).json["events"]
    assert [one["id"] for one in again] == [one["id"] for one in first]
    alone = api.post("/v1/events", event, {"idempotency-key": "call:1"}).json
    assert (alone["id"], alone["duplicate"]) == (first[1]["id"], True)


def test_of_twenty_concurrent_callers_of_one_name_one_makes_the_event(api: Api) -> None:
    with ThreadedReceiver() as receiver:
        api.endpoint(receiver.url)
        with ThreadPoolExecutor(max_workers=20) as pool:
            answers = list(pool.map(lambda _: api.emit(id="only-one"), range(20)))
        assert sorted(answer["duplicate"] for answer in answers) == [False] + [True] * 19
        assert {answer["delivery_count"] for answer in answers} == {1}
        assert len(api.get("/v1/events")["data"]) == 1
        api.ended(answers[0])
        assert len(receiver.requests) == 1


# --- what is passed through ----------------------------------------------------------------------


def test_data_is_passed_through_byte_for_byte(api: Api) -> None:
    data = b'{"z": 1.10, "a": 123456789012345678901234567890, "e": "\\u00e9\xc3\xa9"}'
    with ThreadedReceiver() as receiver:
        api.endpoint(receiver.url)
        body = b'{"type":"message.sent","tenant":"%s","data":%s}' % (api.tenant.encode(), data)
        assert api.send("POST", "/v1/events", body).status == 202
        [request] = receiver.wait(1)
    assert b'"data":' + data + b"," in request.body


def test_a_list_is_paged_by_its_cursor(api: Api) -> None:
    made = [api.emit()["id"] for _ in range(5)]
    seen: list[str] = []
    path = "/v1/events?limit=2"
    while True:
        page = api.get(path)
        seen += [one["id"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        path = f"/v1/events?limit=2&cursor={page['next_cursor']}"
    assert seen == made[::-1]


def test_an_endpoint_shows_its_secret_once_and_its_headers_never(api: Api) -> None:
    made = api.endpoint("https://example.com/hook", headers={"x-key": "hidden"})
    assert made["secret"].startswith("whsec_")
    shown = api.get(f"/v1/endpoints/{made['id']}")
    assert "secret" not in shown
    assert shown["header_names"] == ["x-key"]
    assert "hidden" not in json.dumps(shown)


def test_an_external_id_is_taken_once(api: Api) -> None:
    api.endpoint("https://example.com/a", external_id="mine")
    given = {"url": "https://example.com/b", "event_types": ["*"], "external_id": "mine"}
    reply = api.post("/v1/endpoints", {**given, "tenant": api.tenant})
    assert (reply.status, reply.pointers) == (409, ["/external_id"])


def test_a_removed_endpoint_is_gone_and_gets_nothing_more(api: Api) -> None:
    made = api.endpoint("https://example.com/a")
    path = f"/v1/endpoints/{made['id']}?tenant={api.tenant}"
    assert api.send("DELETE", path).status == 204
    assert api.send("GET", path).status == 404
    assert api.emit()["delivery_count"] == 0


def test_a_probe_sends_one_request_and_tells_what_came_of_it(api: Api) -> None:
    with ThreadedReceiver([503]) as receiver:
        made = api.endpoint(receiver.url)
        reply = api.send("POST", f"/v1/endpoints/{made['id']}/probe?tenant={api.tenant}")
        assert len(receiver.requests) == 1
    assert (reply.json["success"], reply.json["status_code"]) == (False, 503)


def test_strange_requests_are_answered_too(api: Api) -> None:
    assert api.send("OPTIONS", "/v1/events").status == 204
    assert api.send("HEAD", "/health").status == 200
    for method, path in (("PROPFIND", "/v1/events"), ("GET", "/%00"), ("GET", "/v1/events/%ff%2f")):
        reply = api.send(method, path, headers={"x-odd": "\u00e9", "cookie": "a=b; c"})
        assert reply.status in {404, 405}, (method, path)
        check_shape(reply.json, reply.status)


# --- documents -----------------------------------------------------------------------------------


def test_the_documentation_is_served(api: Api) -> None:
    document = api.send("GET", "/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert {"/v1/events", "/v1/endpoints", "/v1/deliveries", "/health"} <= set(document["paths"])
    page = api.send("GET", "/docs")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "<html" in page.text
    assert api.send("GET", "/health").json == {"status": "ok"}


def test_accepting_and_first_byte_take_milliseconds(api: Api) -> None:
    first_byte, answer = [], []
    with ThreadedReceiver() as receiver:
        api.endpoint(receiver.url)
        for number in range(40):
            began = monotonic()
            api.emit()
            answer.append((monotonic() - began) * 1000)
            first_byte.append((receiver.wait(number + 1)[number].at - began) * 1000)
    print(f"p50 of 40: answer {median(answer):.1f} ms, at the receiver {median(first_byte):.1f} ms")
    assert median(first_byte) < 1_000


# --- not configured ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def without_token() -> Iterator[Api]:
    """A Worker to which nobody has given a token."""
    env = {name: value for name, value in LOCAL.items() if name != "WEBHOOK_API_TOKEN"}
    with scratch_folder() as state, DevWorker(state_dir=state, env=env) as running:
        yield Api(running)


@pytest.fixture(scope="module")
def without_database() -> Iterator[Api]:
    """A Worker whose configuration binds no database."""
    with scratch_folder() as folder:
        config = project(folder, without_tables("d1_databases"))
        with DevWorker(
            state_dir=folder / "state", env=LOCAL, config=config, migrate=False
        ) as running:
            yield Api(running)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/endpoints", "/v1/deliveries"])
def test_a_missing_token_is_a_503_that_says_how_to_set_it(without_token: Api, path: str) -> None:
    reply = without_token.send("GET", path)
    assert reply.status == 503
    check_shape(reply.json, 503)
    assert "wrangler secret put WEBHOOK_API_TOKEN" in reply.json["detail"]


def test_a_missing_token_leaves_health_and_documents_open(without_token: Api) -> None:
    for path in ("/health", "/docs", "/openapi.json"):
        assert without_token.send("GET", path).status == 200


@pytest.mark.parametrize("path", ["/health", "/v1/events", "/nothing"])
def test_a_missing_database_is_a_problem_without_a_traceback(
    without_database: Api, path: str
) -> None:
    reply = without_database.send("GET", path)
    assert reply.status in {404, 500, 503}
    check_shape(reply.json, reply.status)
    assert TRACEBACK.search(reply.text) is None


def test_a_missing_database_is_named_in_the_log(without_database: Api) -> None:
    assert without_database.send("GET", "/v1/events").status == 500
    assert "binding DB" in without_database.worker.log_tail(200)
