"""Bad input as a table: what is sent, and which problem must come back.

It speaks to a base URL only, so that the server and the Worker are held to the same table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.api.wire import Answered, exchange

PROBLEM = "application/problem+json"
JSON = {"content-type": "application/json"}
EVENTS, ENDPOINTS, DELIVERIES = "/v1/events", "/v1/endpoints", "/v1/deliveries"
UNKNOWN_KEY = "0" * 26
MEGABYTE = 1_000_000
# What sockets and proxies on the way may hold of 50 MB while the answer is under way.
FAR_FROM_ALL = 25 * MEGABYTE
LEFT_OUT = "(left out)"


@dataclass(frozen=True, slots=True)
class BadInput:
    """One bad request. ``pointer`` is the first error's, None where no field is to blame.

    ``token`` None sends none, "" the right one. ``remedy`` must stand in the answer's detail.
    """

    name: str
    method: str
    path: str
    status: int
    pointer: str | None
    remedy: str
    body: bytes | Callable[[], Iterable[bytes]] = b""
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    token: str | None = ""
    bytes_sent_max: int | None = None
    answer_headers: Mapping[str, str] = field(default_factory=dict)

    def send(self, base_url: str, token: str) -> Answered:
        """Send it to a service whose token is ``token``."""
        headers = dict(self.headers)
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token or token}"
        body = self.body if isinstance(self.body, bytes) else self.body()
        return exchange(base_url, self.method, self.path, headers, body)

    def check(self, answered: Answered, *, answers_early: bool = True) -> None:
        """Assert that the answer is the problem that it must be.

        ``answers_early`` False is for a platform that answers only once a body was taken, though
        not kept: workerd.
        """
        assert answered.status == self.status, answered.body
        assert answered.headers["content-type"] == PROBLEM
        problem = answered.json()
        check_shape(problem, self.status)
        pointers = [error["pointer"] for error in problem["errors"]]
        assert pointers[:1] == ([] if self.pointer is None else [self.pointer])
        assert self.remedy in problem["detail"]
        for name, value in self.answer_headers.items():
            assert answered.headers[name] == value
        if self.bytes_sent_max is not None and answers_early:
            assert answered.bytes_sent <= self.bytes_sent_max


def check_shape(problem: dict[str, Any], status: int) -> None:
    """Assert that a document is a problem as RFC 9457 and the design have it."""
    assert list(problem) == ["type", "title", "status", "detail", "errors", "request_id"]
    assert problem["type"].startswith("/docs#problem-")
    assert problem["title"]
    assert problem["status"] == status
    assert problem["detail"]
    assert "Traceback" not in problem["detail"]
    for error in problem["errors"]:
        assert list(error) == ["pointer", "detail"]
        assert error["detail"]


def stored(base_url: str, token: str) -> tuple[list[str], list[str]]:
    """Return the ids of the events and endpoints of the default tenant, to compare."""

    def ids(path: str) -> list[str]:
        headers = {"authorization": f"Bearer {token}"}
        answered = exchange(base_url, "GET", f"{path}?limit=250", headers)
        assert answered.status == 200, answered.body
        return [item["id"] for item in answered.json()["data"]]

    return ids(EVENTS), ids(ENDPOINTS)


def _document(fields: dict[str, object]) -> bytes:
    """Return a body without the fields whose value says so."""
    return json.dumps({name: value for name, value in fields.items() if value != LEFT_OUT}).encode()


def _event(**changes: object) -> bytes:
    event = {"type": "message.sent", "data": {"n": 1}} | changes
    return json.dumps({name: value for name, value in event.items() if value != LEFT_OUT}).encode()


def _events(*changes: dict[str, object]) -> bytes:
    return b'{"events":[%s]}' % b",".join(_event(**change) for change in changes)


def _endpoint(**changes: object) -> bytes:
    given = {"url": "https://example.com/hook", "event_types": ["message.*"]} | changes
    return json.dumps({name: value for name, value in given.items() if value != LEFT_OUT}).encode()


def _fifty_megabytes() -> Iterable[bytes]:
    yield b'{"type":"message.sent","data":"'
    for _ in range(50):
        yield b"x" * MEGABYTE
    yield b'"}'


def _post(
    name: str,
    body: bytes,
    pointer: str | None,
    remedy: str,
    *,
    status: int = 422,
    path: str = EVENTS,
    headers: Mapping[str, str] | None = None,
) -> BadInput:
    sent = JSON if headers is None else headers
    return BadInput(name, "POST", path, status, pointer, remedy, body, sent)


def _patch(name: str, body: bytes, pointer: str, remedy: str) -> BadInput:
    path = f"{ENDPOINTS}/ep_{UNKNOWN_KEY}"
    return BadInput(name, "PATCH", path, 422, pointer, remedy, body)


def _get(name: str, path: str, pointer: str | None, remedy: str, status: int = 422) -> BadInput:
    return BadInput(name, "GET", path, status, pointer, remedy, headers={})


_BEARER = {"www-authenticate": "Bearer"}
TOKENS = [
    BadInput(
        "no token", "POST", EVENTS, 401, None, "send authorization: Bearer", _event(),
        token=None, answer_headers=_BEARER,
    ),
    BadInput(
        "wrong token", "POST", EVENTS, 401, None, "not the right one", _event(),
        token="wrong", answer_headers=_BEARER,
    ),
    BadInput(
        "token of another scheme", "POST", EVENTS, 401, None, "send authorization: Bearer",
        _event(), {**JSON, "authorization": "Basic YTpi"}, token=None, answer_headers=_BEARER,
    ),
    BadInput(
        "empty authorization", "GET", EVENTS, 401, None, "send authorization: Bearer",
        headers={"authorization": ""}, token=None, answer_headers=_BEARER,
    ),
    BadInput(
        "wrong token and a body over the limit", "POST", EVENTS, 401, None, "not the right one",
        _fifty_megabytes, token="wrong", bytes_sent_max=FAR_FROM_ALL,
    ),
]  # fmt: skip

TEXTS = [
    _post("no body", b"", "", "send a JSON object", status=400),
    _post("only space", b" \n ", "", "send a JSON object", status=400),
    _post("not JSON", b'{"type": message.sent}', "", "line 1, column 10", status=400),
    _post("cut short", b'{"type": "message.sent", "da', "", "Not JSON", status=400),
    _post("trailing text", _event() + b" x", "", "extra data", status=400),
    _post("NaN", b'{"type":"a","data":NaN}', "", "send null or a number", status=400),
    _post("Infinity", b'{"type":"a","data":[-Infinity]}', "", "send null", status=400),
    _post("byte order mark", b"\xef\xbb\xbf" + _event(), "", "without it", status=400),
    _post("not UTF-8", b'{"type":"a","data":"\xff"}', "", "encode it as UTF-8", status=400),
    _post("UTF-16", _event().decode().encode("utf-16"), "", "UTF-8", status=400),
    _post("2,000 levels", _event(data=0)[:-2] + b"[" * 2000 + b"]" * 2000 + b"}", "", "flatten it"),
    _post("100,000 levels, unclosed", b'{"a":' * 100_000, "", "flatten it"),
    _post("an array", b"[]", "", "Must be an object, not an array"),
    _post("a string", b'"message.sent"', "", "Must be an object"),
    _post("null", b"null", "", "Must be an object"),
    _post("half a surrogate pair", b'{"type":"a","data":["\\ud800"]}', "/data/0", "leave them out"),
    _post("half a pair in a name", b'{"type":"a","metadata":{"x\\udc00":1}}', "/metadata", "leave"),
    _post("NUL", b'{"type":"a","data":"\\u0000"}', "/data", "leave them out"),
    _post("form", b"type=a", "content-type", "send content-type: application/json", status=415,
          headers={"content-type": "application/x-www-form-urlencoded"}),
    _post("another charset", _event(), "content-type", "UTF-8", status=415,
          headers={"content-type": "application/json; charset=latin-1"}),
    _post("compressed", b"\x1f\x8b", "content-encoding", "not compressed", status=415,
          headers={**JSON, "content-encoding": "gzip"}),
]  # fmt: skip

REPEATED_NAMES = [
    _post("field twice", b'{"type":"a","type":"a","data":1}', "/type", "keep one"),
    _post("data twice", b'{"type":"a","data":1,"data":2}', "/data", "keep one"),
    _post("field twice, once escaped", b'{"type":"a","t\\u0079pe":"a","data":1}', "/type", "keep"),
    _post("metadata name twice", b'{"type":"a","data":1,"metadata":{"k":1,"k":1}}',
          "/metadata/k", "keep one"),
    _post("name twice deep in metadata", b'{"type":"a","data":1,"metadata":{"k":[{"a":1,"a":2}]}}',
          "/metadata/k/0/a", "keep one"),
    _post("field twice beside long data",
          b'{"type":"a","data":"%s","id":"x","id":"x"}' % (b"x" * 5000), "/id", "keep one"),
    _post("field of a batch's event twice", b'{"events":[{"type":"a","data":1,"data":1}]}',
          "/events/0/data", "keep one"),
    _post("batch twice", b'{"events":[],"events":[]}', "/events", "keep one"),
    _post("endpoint's header twice", _endpoint()[:-1] + b',"headers":{"x-a":"1","x-a":"2"}}',
          "/headers/x-a", "keep one", path=ENDPOINTS),
]  # fmt: skip

FIELDS = [
    _post("unknown field", _event(typ=1), "/typ", "did you mean type?"),
    _post("field like no other", _event(priority="a"), "/priority", "Known are type, data"),
    _post("unknown field with a slash", _event(**{"a/b~": 1}), "/a~1b~0", "Is unknown here"),
    _post("missing type", b'{"data":1}', "/type", "Is required"),
    _post("missing data", b'{"type":"message.sent"}', "/data", "Is required"),
    _post("null data is data, a missing type is not", b'{"data":null}', "/type", "Is required"),
    _post("type of another kind", _event(type=7), "/type", "Must be a string, not an integer"),
    _post("ill-formed type", _event(type="Message Sent"), "/type", "lower-case words"),
    _post("type of 129 characters", _event(type="a" * 129), "/type", "at most 128"),
    _post("empty type", _event(type=""), "/type", "lower-case words"),
    _post("the service's own type", _event(type="endpoint.disabled"), "/type", "emit another type"),
    _post("id with a dot", _event(id="a.b"), "/id", "no dot"),
    _post("id of 300 characters", _event(id="a" * 300), "/id", "1 to 256"),
    _post("empty id", _event(id=""), "/id", "1 to 256"),
    _post("id of another kind", _event(id=[]), "/id", "Must be a string or null, not an array"),
    _post("tenant with a space", _event(tenant="a b"), "/tenant", "1 to 128"),
    _post("timestamp without a zone", _event(timestamp="2026-01-31T12:00:00"), "/timestamp",
          "Needs a time zone"),
    _post("timestamp of no time", _event(timestamp="yesterday"), "/timestamp", "RFC 3339"),
    _post("timestamp as a number", _event(timestamp=1), "/timestamp", "Must be a string"),
    _post("metadata of another kind", _event(metadata=[1]), "/metadata", "Must be an object"),
    _post("version with a space", _event(version="1 0"), "/version", "1 to 32"),
    _post("id and key", _event(id="a", idempotency_key="b"), "/idempotency_key", "not both"),
    _post("empty key", _event(idempotency_key=""), "/idempotency_key", "1 to 256"),
    _post("id and key header", _event(id="a"), "/id", "not both",
          headers={**JSON, "idempotency-key": "b"}),
    _post("key and another key header", _event(idempotency_key="a"), "/idempotency_key", "Differs",
          headers={**JSON, "idempotency-key": "b"}),
    _post("key header with a space", _event(), "Idempotency-Key", "1 to 256",
          headers={**JSON, "idempotency-key": "a b"}),
    _post("unknown parameter of a POST", _event(), "?dry_run", "leave it out",
          path=f"{EVENTS}?dry_run=1"),
]  # fmt: skip

BATCHES = [
    _post("one bad event in a batch", _events({}, {}, {}, {"type": "Bad"}), "/events/3/type",
          "lower-case words"),
    _post("field of another kind in a batch", _events({}, {"type": 1}), "/events/1/type",
          "Must be a string"),
    _post("missing field in a batch", _events({}, {"data": LEFT_OUT}), "/events/1/data",
          "Is required"),
    _post("unknown field in a batch", _events({}, {"metdata": {}}), "/events/1/metdata",
          "did you mean metadata?"),
    _post("unknown field beside a batch", b'{"events":[],"tenant":"a"}', "/tenant",
          "Known are events"),
    _post("empty batch", _events(), "/events", "1 to 100 events"),
    _post("101 events", _events(*[{}] * 101), "/events", "1 to 100 events"),
    _post("a batch of something else", b'{"events":{}}', "/events", "Must be an array"),
    _post("id in a batch with the key header", _events({}, {"id": "a"}), "/events/1/id", "not both",
          headers={**JSON, "idempotency-key": "b"}),
    _post("other content under one name in a batch",
          _events({"id": "bad-input-same"}, {"id": "bad-input-same", "data": 2}),
          "/events/1/id", "other content", status=409),
]  # fmt: skip

_FIVE_LONG_ONES: list[dict[str, object]] = [{"data": "x" * 250_000}] * 5
SIZES = [
    _post("payload over 256 KiB", _event(data="x" * 262_144), "/data", "send a reference",
          status=413),
    _post("one payload of a batch over 256 KiB", _events({}, {"data": "x" * 262_144}),
          "/events/1/data", "send a reference", status=413),
    _post("batch over 1 MiB", _events(*_FIVE_LONG_ONES), "/events",
          "send fewer events", status=413),
    BadInput("body over the limit by its length", "POST", EVENTS, 413, "", "send less at once",
             headers={**JSON, "content-length": "50000000"}, bytes_sent_max=0),
    BadInput("absurd length", "POST", EVENTS, 413, "", "send less at once",
             headers={**JSON, "content-length": "9" * 18}, bytes_sent_max=0),
    BadInput("50 MB chunked", "POST", EVENTS, 413, "", "send less at once", _fifty_megabytes,
             bytes_sent_max=FAR_FROM_ALL),
    BadInput("50 MB chunked to an endpoint", "POST", ENDPOINTS, 413, "", "send less at once",
             _fifty_megabytes, bytes_sent_max=FAR_FROM_ALL),
]  # fmt: skip

LISTS = [
    _get("limit=0", f"{EVENTS}?limit=0", "?limit", "Must be 1 to 250"),
    _get("limit=9999", f"{EVENTS}?limit=9999", "?limit", "Must be 1 to 250"),
    _get("limit=-1", f"{DELIVERIES}?limit=-1", "?limit", "Must be 1 to 250"),
    _get("limit=x", f"{EVENTS}?limit=x", "?limit", "Must be an integer"),
    _get("limit=1e1", f"{EVENTS}?limit=1e1", "?limit", "Must be an integer"),
    _get("limit=", f"{ENDPOINTS}?limit=", "?limit", "Must be an integer"),
    _get("limit twice", f"{EVENTS}?limit=1&limit=2", "?limit", "keep one"),
    _get("unknown parameter", f"{EVENTS}?limits=1", "?limits", "did you mean limit?"),
    _get("unknown delivery status", f"{DELIVERIES}?status=done", "?status", "pending, success"),
    _get("unknown error kind", f"{DELIVERIES}?error_kind=x", "?error_kind", "http_status"),
    _get("unknown endpoint status", f"{ENDPOINTS}?status=on", "?status", "active, inactive"),
    _get("since of no time", f"{EVENTS}?since=yesterday", "?since", "2026-01-31T12:00:00Z"),
    _get("since as a number", f"{EVENTS}?since=1767225600", "?since", "2026-01-31T12:00:00Z"),
    _get("until without a zone", f"{EVENTS}?until=2026-01-31T12:00:00", "?until", "time zone"),
    _get("ill-formed type of a list", f"{EVENTS}?type=A", "?type", "lower-case words"),
    _get("ill-formed endpoint id", f"{DELIVERIES}?endpoint_id=a", "?endpoint_id", "ep_ and 26"),
    _get("ill-formed event id", f"{DELIVERIES}?event_id=a.b", "?event_id", "no dot"),
    _get("tenant of a list with a space", f"{EVENTS}?tenant=a%20b", "?tenant", "1 to 128"),
    _get("query over 8 KiB", f"{EVENTS}?type={'x' * 8192}", "?", "at most 8192 bytes"),
    _get("query that is no UTF-8", f"{EVENTS}?type=%ff", "?", "UTF-8"),
    _get("cursor of nothing", f"{EVENTS}?cursor=abc", "?cursor", "begin without one"),
    _get("cursor of no base64", f"{EVENTS}?cursor=%00%C3%A9", "?cursor", "begin without one"),
    _get("empty cursor", f"{EVENTS}?cursor=", "?cursor", "begin without one"),
]  # fmt: skip

_PROBE = f"{ENDPOINTS}/ep_{UNKNOWN_KEY}/probe"
PLACES = [
    _get("unknown path", "/v1/nothing", None, "/docs lists", 404),
    _get("path with a slash too many", f"{EVENTS}/", None, "/docs lists", 404),
    _get("unknown event", f"{EVENTS}/evt_{UNKNOWN_KEY}", None, "no event", 404),
    _get("deliveries of an unknown event", f"{EVENTS}/a/deliveries", None, "no event", 404),
    _get("event's id with a dot", f"{EVENTS}/a.b", None, "no event", 404),
    _get("unknown endpoint", f"{ENDPOINTS}/ep_{UNKNOWN_KEY}", None, "no endpoint", 404),
    _get("ill-formed endpoint", f"{ENDPOINTS}/1%00", None, "no endpoint", 404),
    _get("unknown delivery", f"{DELIVERIES}/dlv_{UNKNOWN_KEY * 2}", None, "no delivery", 404),
    BadInput("unknown endpoint removed", "DELETE", f"{ENDPOINTS}/ep_{UNKNOWN_KEY}", 404, None,
             "no endpoint", headers={}),
    BadInput("unknown endpoint changed", "PATCH", f"{ENDPOINTS}/ep_{UNKNOWN_KEY}", 404, None,
             "no endpoint", b"{}"),
    _post("unknown endpoint probed", b"", None, "no endpoint", status=404, path=_PROBE),
    BadInput("unknown payload", "DELETE", f"{EVENTS}/evt_a/payload", 404, None, "no event"),
    BadInput("payload typo", "DELETE", f"{EVENTS}/a/payload?tenan=a", 422, "?tenan", "tenant?"),
    BadInput("unknown delivery replayed", "POST", f"{DELIVERIES}/dlv_{UNKNOWN_KEY * 2}/replay", 404,
             None, "no delivery"),
    BadInput("wrong method", "PUT", EVENTS, 405, None, "takes GET, HEAD, OPTIONS, POST", _event(),
             answer_headers={"allow": "GET, HEAD, OPTIONS, POST"}),
    BadInput("wrong method of one", "POST", f"{ENDPOINTS}/ep_{UNKNOWN_KEY}", 405, None, "takes",
             answer_headers={"allow": "DELETE, GET, HEAD, OPTIONS, PATCH"}),
    _post("body where none is taken", b'{"a":1}', "", "leave it out", path=_PROBE),
]  # fmt: skip

ENDPOINT_FIELDS = [
    _post("missing url", _endpoint(url=LEFT_OUT), "/url", "Is required", path=ENDPOINTS),
    _post("url of http", _endpoint(url="ftp://example.com/"), "/url", "Use https", path=ENDPOINTS),
    _post("no event types", _endpoint(event_types=[]), "/event_types", "1 to 100", path=ENDPOINTS),
    _post("ill-formed pattern", _endpoint(event_types=["*.sent"]), "/event_types/0", "* for all",
          path=ENDPOINTS),
    _post("event types of another kind", _endpoint(event_types="*"), "/event_types",
          "Must be an array, not a string", path=ENDPOINTS),
    _post("unknown status of an endpoint", _endpoint(status="on"), "/status", "active, ",
          path=ENDPOINTS),
    _post("header of another kind", _endpoint(headers={"x-a": "1", "x-b": 2}), "/headers/x-b",
          "Must be a string", path=ENDPOINTS),
    _post("filter of another kind", _endpoint(filters={"a": ["x"], "b/c": [None]}),
          "/filters/b~1c/0", "not null", path=ENDPOINTS),
    _post("retry over its bound", _endpoint(retry={"max_retries": 101}), "/retry/max_retries",
          "Must be", path=ENDPOINTS),
    _post("unknown field of retry", _endpoint(retry={"max_retry": 1}), "/retry/max_retry",
          "did you mean max_retries?", path=ENDPOINTS),
    _post("one bad endpoint of two",
          b'{"endpoints":[%s,%s]}' % (_endpoint(), _endpoint(url="x")), "/endpoints/1/url",
          "https://", path=f"{ENDPOINTS}/batch"),
    _post("no endpoints", b'{"endpoints":[]}', "/endpoints", "1 to 100",
          path=f"{ENDPOINTS}/batch"),
    _patch("unknown field of a change", b'{"tenant":"a"}', "/tenant", "Known are url"),
    _patch("change of another kind", b'{"active":"yes"}', "/active", "Must be true or false"),
]  # fmt: skip

_RECOVER = f"{ENDPOINTS}/ep_{UNKNOWN_KEY}/recover"
_REPLAY = f"{DELIVERIES}/replay"
RECOVERIES = [
    _post("recovery since never", b'{"which":"all"}', "/since", "Is required", path=_RECOVER),
    _post("recovery of what", b'{"since":"2026-01-31T12:00:00Z","which":"filter"}', "/which",
          "failed, missed, all", path=_RECOVER),
    _post("recovery of an unknown endpoint", b'{"since":"2026-01-31T12:00:00Z","which":"all"}',
          None, "no endpoint", status=404, path=_RECOVER),
    _post("replay of everything", b'{"dry_run":true}', "", "at least one filter", path=_REPLAY),
    _post("replay of what is pending", b'{"status":"pending"}', "/status", "an end", path=_REPLAY),
    _post("replay until before since", b'{"since":"2026-01-31T12:00:00Z",'
          b'"until":"2026-01-31T12:00:00Z"}', "/until", "before since", path=_REPLAY),
    _post("replay to an ill-formed endpoint", b'{"endpoint_id":"a"}', "/endpoint_id", "ep_ and 26",
          path=_REPLAY),
    _post("replay of a tenant with a space", b'{"tenant":"a b"}', "/tenant", "1 to 128",
          path=_REPLAY),
    _get("unknown recovery", f"/v1/recoveries/rcv_{UNKNOWN_KEY}", None, "no recovery", 404),
    _post("unknown recovery stopped", b"", None, "no recovery", status=404,
          path="/v1/recoveries/a/cancel"),
    _post("unknown delivery canceled", b"", None, "no delivery", status=404,
          path=f"{DELIVERIES}/dlv_{UNKNOWN_KEY * 2}/cancel"),
]  # fmt: skip

BAD_INPUT: list[BadInput] = [
    *TOKENS,
    *TEXTS,
    *REPEATED_NAMES,
    *FIELDS,
    *BATCHES,
    *SIZES,
    *LISTS,
    *PLACES,
    *ENDPOINT_FIELDS,
    *RECOVERIES,
]
