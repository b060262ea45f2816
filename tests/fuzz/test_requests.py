"""No body, query or path makes the API answer with anything but success or a problem."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.client import opened
from tests.fuzz.bounds import few

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["\ud800", "\0", "__proto__", "2026-01-01T00:00:00Z", "message.sent"])
)
FIELDS = st.sampled_from(
    [
        "id", "type", "data", "events", "url", "event_types", "metadata", "timestamp", "tenant",
        "headers", "retry", "filters", "idempotency_key", "", "a/b", "~", "\ud800", "__proto__",
    ]
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=12,
)
BODIES = (
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    | JSON.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    | st.dictionaries(st.text("idtypea\u00fc", max_size=4), JSON, max_size=3).map(
        lambda extra: json.dumps({"type": "message.sent", "data": extra, **extra}).encode()
    )
    | st.integers(1, 5_000).map(lambda depth: b'{"type":"a","data":' + b"[" * depth)
    | st.integers(1, 5_000).map(lambda digits: b'{"type":"a","data":%s}' % (b"9" * digits))
    | st.just(b'{"type":"a","type":"b","data":1}')
)
POSTS = ["/v1/events", "/v1/endpoints", "/v1/endpoints/batch", "/v1/deliveries/replay"]
LISTS = ["/v1/events", "/v1/endpoints", "/v1/deliveries", "/v1/recoveries"]
NAMES = ["tenant", "limit", "cursor", "type", "status", "since", "until", "endpoint_id", "\u00fc"]
SEGMENTS = st.text(max_size=30) | st.sampled_from(
    ["evt_" + "0" * 26, "ep_" + "z" * 26, "dlv_" + "0" * 52, "..", "%00", "a/b", "\ud800", "\0"]
)


class Client:
    """Sends one request after another to the application, in a loop of its own."""

    def __init__(self, runner: asyncio.Runner, client: httpx2.AsyncClient) -> None:
        self._runner = runner
        self._client = client

    def send(self, method: str, target: str, body: bytes | None = None) -> None:
        """Send a request; the answer must be a success or a problem."""

        async def answered() -> httpx2.Response:
            return await self._client.request(
                method, target, content=body, headers={"content-type": "application/json"}
            )

        answer = self._runner.run(answered())
        shown = (method, target, body, answer.status_code, answer.text)
        assert answer.status_code < 500, shown
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json", shown
            problem: dict[str, Any] = answer.json()
            assert problem["status"] == answer.status_code
            assert problem["detail"]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> httpx2.AsyncClient:
            return (await stack.enter_async_context(opened(auto_start=False))).client

        yield Client(runner, runner.run(start()))
        runner.run(stack.aclose())


@few
@given(st.sampled_from(POSTS), BODIES)
def test_no_body_breaks_the_api(client: Client, path: str, body: bytes) -> None:
    client.send("POST", path, body)


@few
@given(
    st.sampled_from(LISTS),
    st.lists(st.tuples(st.sampled_from(NAMES), st.text(max_size=20)), max_size=3)
    | st.text(max_size=30).map(lambda text: [(text, "")]),
)
def test_no_query_breaks_the_api(client: Client, path: str, query: list[tuple[str, str]]) -> None:
    pairs = [f"{_quoted(name)}={_quoted(value)}" for name, value in query]
    client.send("GET", f"{path}?{'&'.join(pairs)}")


@few
@given(st.sampled_from(LISTS), SEGMENTS, st.sampled_from(["", "/deliveries", "/probe", "/replay"]))
def test_no_id_in_a_path_breaks_the_api(client: Client, path: str, segment: str, rest: str) -> None:
    client.send(
        "GET" if rest in {"", "/deliveries"} else "POST", f"{path}/{_quoted(segment)}{rest}"
    )


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")
