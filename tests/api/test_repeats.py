"""A call that is repeated accepts nothing twice, and a name never stands for two contents."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from tests.api.client import Api
from tests.api.server import Served
from tests.api.wire import Answered, exchange

EVENT = {"type": "message.sent", "data": {"n": 1}}


async def test_the_same_id_and_content_is_answered_as_the_first_time(api: Api) -> None:
    await api.add_endpoint("http://127.0.0.1:9/")
    first = await api.emit(id="order-1")
    assert first == {
        "id": "order-1",
        "type": "message.sent",
        "tenant": "default",
        "delivery_count": 1,
        "duplicate": False,
    }
    # One more endpoint would receive a new event; a repeat tells the first count.
    await api.add_endpoint("http://127.0.0.1:9/")
    assert await api.emit(id="order-1") == first | {"duplicate": True}
    assert await api.event_ids() == ["order-1"]


@pytest.mark.parametrize("place", ["header", "body"])
async def test_the_same_key_gives_the_same_event(api: Api, place: str) -> None:
    headers = {"idempotency-key": "k1"} if place == "header" else {}
    body = EVENT if place == "header" else EVENT | {"idempotency_key": "k1"}
    answers = [
        (await api.client.post("/v1/events", json=body, headers=headers)).json() for _ in range(2)
    ]
    assert answers[1] == answers[0] | {"duplicate": True}
    assert await api.event_ids() == [answers[0]["id"]]


async def test_header_and_body_may_say_the_same_key(api: Api) -> None:
    headers = {"idempotency-key": "k1"}
    await api.client.post("/v1/events", json=EVENT, headers=headers)
    again = await api.client.post(
        "/v1/events", json=EVENT | {"idempotency_key": "k1"}, headers=headers
    )
    assert again.json()["duplicate"]


@pytest.mark.parametrize(
    "change",
    [
        {"type": "message.read"},
        {"data": {"n": 2}},
        {"metadata": {"a": 1}},
        {"timestamp": "2026-01-31T12:00:00Z"},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("field", ["id", "idempotency_key"])
async def test_the_same_name_with_other_content_is_a_conflict_that_points_to_it(
    api: Api, field: str, change: dict[str, Any]
) -> None:
    await api.emit(**{field: "n1"})
    answer = await api.client.post("/v1/events", json=EVENT | {field: "n1"} | change)
    assert answer.status_code == 409
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{field}"]
    assert len(await api.event_ids()) == 1


async def test_data_is_compared_as_it_was_written(api: Api) -> None:
    for text, status in ((b'{"n":1}', 202), (b'{"n":1}', 202), (b'{"n": 1}', 409)):
        body = b'{"type":"a","id":"n1","data":%s}' % text
        assert (await api.client.post("/v1/events", content=body)).status_code == status


async def test_an_id_and_a_key_of_the_same_text_are_two_names(api: Api) -> None:
    await api.emit(id="n1")
    assert not (await api.emit(idempotency_key="n1", data=2))["duplicate"]


async def test_names_belong_to_their_tenant(api: Api) -> None:
    await api.emit(id="n1")
    assert not (await api.emit(id="n1", data=2, tenant="other"))["duplicate"]


async def test_equal_names_in_a_batch_are_one_event(api: Api) -> None:
    batch = {"events": [EVENT | {"id": "n1"}, EVENT, EVENT | {"id": "n1"}]}
    accepted = (await api.client.post("/v1/events", json=batch)).json()["events"]
    assert [one["duplicate"] for one in accepted] == [False, False, True]
    assert accepted[0]["id"] == accepted[2]["id"] == "n1"
    assert len(await api.event_ids()) == 2


async def test_one_conflict_refuses_the_whole_batch(api: Api) -> None:
    await api.emit(id="n1")
    batch = {"events": [EVENT, EVENT | {"id": "n1", "data": 2}, EVENT]}
    answer = await api.client.post("/v1/events", json=batch)
    assert answer.status_code == 409
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/events/1/id"]
    assert await api.event_ids() == ["n1"]


async def test_a_header_on_a_batch_names_each_event_by_its_place(api: Api) -> None:
    headers = {"idempotency-key": "call"}
    batch = {"events": [EVENT, EVENT]}
    first = (await api.client.post("/v1/events", json=batch, headers=headers)).json()["events"]
    again = (await api.client.post("/v1/events", json=batch, headers=headers)).json()["events"]
    assert [one["duplicate"] for one in first + again] == [False, False, True, True]
    assert [one["id"] for one in again] == [one["id"] for one in first]
    assert (await api.emit(idempotency_key="call:1"))["id"] == first[1]["id"]
    assert len(await api.event_ids()) == 2


async def test_a_header_on_a_batch_leaves_room_for_the_place(api: Api) -> None:
    answers = [
        await api.client.post(
            "/v1/events", json={"events": [EVENT]}, headers={"idempotency-key": "k" * length}
        )
        for length in (254, 255)
    ]
    assert [answer.status_code for answer in answers] == [202, 422]
    assert answers[1].json()["errors"][0]["pointer"] == "Idempotency-Key"


async def test_a_header_that_stands_twice_is_refused(api: Api) -> None:
    answer = await api.client.post(
        "/v1/events", json=EVENT, headers=[("idempotency-key", "a"), ("idempotency-key", "a")]
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "Idempotency-Key"


_calls = itertools.count()


def emit_at_once(base_url: str, token: str, event: bytes, callers: int) -> list[Answered]:
    """Let so many callers emit the same event at the same time."""

    async def all_at_once() -> list[Answered]:
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        calls = [
            asyncio.to_thread(exchange, base_url, "POST", "/v1/events", headers, event)
            for _ in range(callers)
        ]
        return await asyncio.gather(*calls)

    return asyncio.run(all_at_once())


def test_of_20_concurrent_callers_of_one_name_exactly_one_makes_the_event(served: Served) -> None:
    event = b'{"type":"a","data":1,"id":"at-once-%d","tenant":"at-once"}' % next(_calls)
    answers = emit_at_once(served.url, served.token, event, 20)
    assert [answer.status for answer in answers] == [202] * 20
    bodies = [answer.json() for answer in answers]
    assert sorted(body.pop("duplicate") for body in bodies) == [False] + [True] * 19
    assert bodies == [bodies[0]] * 20
    headers = {"authorization": f"Bearer {served.token}"}
    listed = exchange(served.url, "GET", "/v1/events?tenant=at-once", headers).json()["data"]
    assert [one["id"] for one in listed] == [bodies[0]["id"]]
