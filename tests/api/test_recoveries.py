"""Recoveries over HTTP: started, counted, looked at, stopped; and a delivery canceled by hand."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from tests.api.client import Api, opened
from tests.receiver import Receiver
from webhook import WebhookPersistence, create_in_memory_webhook_persistence

NO_RETRY = {"max_retries": 0}
LONG_AGO = "2020-01-01T00:00:00Z"
UNKNOWN = "0" * 26


async def post(api: Api, path: str, body: object = None, **params: str) -> httpx2.Response:
    return await api.client.post(path, json=body if body is not None else {}, params=params)


async def dead_letters(api: Api, receiver: Receiver, count: int = 3) -> str:
    """Make so many dead letters of a new endpoint and return its id."""
    endpoint = await api.add_endpoint(receiver.url, retry=NO_RETRY)
    for number in range(count):
        await api.emit(data=number)
    await receiver.wait(count)
    await api.service.flush()
    made: str = endpoint["id"]
    return made


async def test_what_failed_is_sent_to_an_endpoint_again(api: Api) -> None:
    async with Receiver([500, 500, 500, 200]) as receiver:
        endpoint_id = await dead_letters(api, receiver)
        path = f"/v1/endpoints/{endpoint_id}/recover"
        wish = {"since": LONG_AGO, "which": "failed"}
        counted = await post(api, path, wish | {"dry_run": True})
        assert (counted.status_code, counted.json()) == (
            200,
            {"scanned": 3, "replayed": 3, "made": 0, "more": False},
        )
        assert (await api.get("/v1/recoveries"))["data"] == []
        answer = await post(api, path, wish)
        assert answer.status_code == 202
        recovery = answer.json()
        await receiver.wait(6)
        await api.service.flush()
    assert recovery["id"].startswith("rcv_")
    assert recovery.pop("updated_at") >= recovery["created_at"]
    assert recovery.pop("created_at") <= recovery.pop("until")
    shown = await api.get(f"/v1/recoveries/{recovery['id']}")
    assert {name: shown[name] for name in recovery} == recovery
    assert recovery.pop("id") == shown["id"]
    assert recovery == {
        "tenant": "default",
        "kind": "failed",
        "status": "done",
        "reason": None,
        "endpoint_id": endpoint_id,
        "event_type": None,
        "delivery_status": None,
        "error_kind": None,
        "since": "2020-01-01T00:00:00.000Z",
        "scanned": 3,
        "replayed": 3,
        "made": 0,
    }
    statuses = [found["status"] for found in (await api.get("/v1/deliveries"))["data"]]
    assert statuses == ["success"] * 3
    assert (await api.get("/v1/recoveries"))["data"] == [shown]


async def test_what_was_missed_is_sent_after_a_pause(api: Api) -> None:
    async with Receiver() as receiver:
        endpoint = await api.add_endpoint(receiver.url)
        one = f"/v1/endpoints/{endpoint['id']}"
        await api.client.patch(one, json={"active": False})
        missed = await api.emit()
        await api.client.patch(one, json={"active": True})
        answer = await post(api, f"{one}/recover", {"since": LONG_AGO, "which": "missed"})
        assert (answer.status_code, answer.json()["made"]) == (202, 1)
        await receiver.wait(1)
        await api.service.flush()
    [delivery] = (await api.get(f"/v1/events/{missed['id']}/deliveries"))["data"]
    assert (delivery["status"], delivery["endpoint_id"]) == ("success", endpoint["id"])


async def test_whatever_matches_a_filter_is_sent_again(api: Api) -> None:
    async with Receiver([500, 500, 500, 200]) as receiver:
        endpoint_id = await dead_letters(api, receiver)
        filters = {
            "status": "exhausted",
            "error_kind": "http_status",
            "event_type": "message.sent",
            "endpoint_id": endpoint_id,
            "since": LONG_AGO,
            "until": "2099-01-01T00:00:00Z",
        }
        counted = await post(api, "/v1/deliveries/replay", filters | {"dry_run": True})
        assert (counted.status_code, counted.json()["replayed"]) == (200, 3)
        other = await post(api, "/v1/deliveries/replay", filters | {"tenant": "acme"})
        assert (other.status_code, other.json()["replayed"]) == (202, 0)
        answer = await post(api, "/v1/deliveries/replay", filters)
        assert answer.status_code == 202
        recovery = answer.json()
        assert (recovery["kind"], recovery["delivery_status"]) == ("filter", "exhausted")
        assert (recovery["replayed"], recovery["status"]) == (3, "done")
        await receiver.wait(6)
        await api.service.flush()
    assert (await api.get("/v1/deliveries", status="exhausted"))["data"] == []


async def test_two_that_click_at_once_get_the_same_recovery(api: Api) -> None:
    async with Receiver([500, 500, 500, 200]) as receiver:
        endpoint_id = await dead_letters(api, receiver)
        wish = {"since": LONG_AGO, "which": "all"}
        path = f"/v1/endpoints/{endpoint_id}/recover"
        answers = await asyncio.gather(*(post(api, path, wish) for _ in range(5)))
        assert len({answer.json()["id"] for answer in answers}) == 1
        await receiver.wait(6)
        await api.service.flush()
        again = (await post(api, path, wish)).json()
        assert again["id"] == answers[0].json()["id"]
        await api.service.flush()
        assert len(receiver.requests) == 6
    assert len((await api.get("/v1/recoveries"))["data"]) == 1


async def test_a_recovery_is_stopped_once() -> None:
    async with opened(auto_start=False) as api, Receiver() as receiver:
        endpoint = await api.add_endpoint(receiver.url, retry=NO_RETRY)
        batch = {"events": [{"type": "message.sent", "data": n} for n in range(100)]}
        for _ in range(3):
            await api.client.post("/v1/events", json=batch)
        await api.service.flush()
        wish = {"since": LONG_AGO, "which": "all"}
        recovery = (await post(api, f"/v1/endpoints/{endpoint['id']}/recover", wish)).json()
        assert recovery["status"] == "running"
        assert 0 < recovery["replayed"] < 300
        path = f"/v1/recoveries/{recovery['id']}/cancel"
        assert (await post(api, path, tenant="acme")).status_code == 404
        first = await post(api, path)
        assert first.status_code == 200
        assert first.json()["canceled"] is True
        assert first.json()["recovery"]["status"] == "canceled"
        assert first.json()["recovery"]["reason"] == "canceled by hand"
        second = await post(api, path, tenant="default")
        assert second.json() == first.json() | {"canceled": False}
        await api.service.sweep()
        assert await api.get(f"/v1/recoveries/{recovery['id']}") == first.json()["recovery"]


async def test_recoveries_are_paged(api: Api) -> None:
    made = []
    for year in range(2020, 2025):
        body = {"since": f"{year}-01-01T00:00:00Z"}
        made.append((await post(api, "/v1/deliveries/replay", body)).json()["id"])
    first = await api.get("/v1/recoveries", limit=3)
    rest = await api.get("/v1/recoveries", limit=3, cursor=first["next_cursor"])
    found = [recovery["id"] for recovery in [*first["data"], *rest["data"]]]
    assert (found, rest["next_cursor"]) == (made[::-1], None)
    assert (await api.get("/v1/recoveries", tenant="acme"))["data"] == []


async def test_a_pending_delivery_is_canceled_and_a_finished_one_is_not(api: Api) -> None:
    async with Receiver([503]) as receiver:
        await api.add_endpoint(receiver.url)
        await api.emit()
        await receiver.wait(1)
        await api.service.flush()
    [pending] = (await api.get("/v1/deliveries"))["data"]
    path = f"/v1/deliveries/{pending['id']}/cancel"
    assert (await post(api, path, tenant="acme")).status_code == 404
    answer = await post(api, path)
    assert answer.status_code == 200
    canceled = answer.json()["delivery"]
    assert answer.json()["canceled"] is True
    assert (canceled["status"], canceled["reason"]) == ("canceled", "canceled by hand")
    assert (canceled["attempt_count"], canceled["next_attempt_at"]) == (1, None)
    assert (await post(api, path)).json() == {"delivery": canceled, "canceled": False}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/recoveries"),
        ("GET", f"/v1/recoveries/rcv_{UNKNOWN}"),
        ("POST", f"/v1/recoveries/rcv_{UNKNOWN}/cancel"),
        ("POST", "/v1/deliveries/replay"),
    ],
)
async def test_stores_without_recoveries_say_so(method: str, path: str) -> None:
    memory = create_in_memory_webhook_persistence()
    bare = WebhookPersistence(
        endpoint_store=memory.endpoint_store, delivery_store=memory.delivery_store, joint=True
    )
    body = {"status": "failed"} if path.endswith("replay") else None
    async with opened(persistence=bare) as api:
        answer = await api.client.request(method, path, json=body)
    assert answer.status_code == 501
    assert answer.json()["type"] == "/docs#problem-not-supported"
    assert "recovery_store" in answer.json()["detail"]
