"""A delivery shows what became of an event at an endpoint, and can be sent once more."""

from __future__ import annotations

from typing import Any

from tests.api.client import Api
from tests.receiver import Answer, Receiver

NO_RETRY = {"max_retries": 0}


async def only_delivery(api: Api, **params: str | int) -> dict[str, Any]:
    """Return the one delivery that is listed."""
    [delivery] = (await api.get("/v1/deliveries", **params))["data"]
    found: dict[str, Any] = delivery
    return found


async def test_a_success_is_shown_with_its_attempt(api: Api) -> None:
    async with Receiver([Answer(201, body=b"thanks")]) as receiver:
        endpoint = await api.add_endpoint(receiver.url)
        accepted = await api.emit()
        await receiver.wait(1)
        await api.service.flush()
    listed = await only_delivery(api)
    shown = await api.get(f"/v1/deliveries/{listed['id']}")
    [attempt] = shown["attempts"]
    assert attempt.pop("response") == "thanks"
    assert attempt.pop("started_at") >= shown["created_at"]
    assert attempt.pop("latency_ms") >= 0
    assert attempt == {
        "number": 1,
        "status_code": 201,
        "error_kind": None,
        "error": None,
        "note": None,
        "manual": False,
    }
    assert "response" not in listed["attempts"][0]
    assert shown.pop("id").startswith("dlv_")
    assert shown.pop("completed_at") >= shown.pop("created_at")
    assert shown == {
        "event_id": accepted["id"],
        "event_type": "message.sent",
        "endpoint_id": endpoint["id"],
        "tenant": "default",
        "status": "success",
        "reason": None,
        "attempt_count": 1,
        "attempts": [attempt],
        "next_attempt_at": None,
        "ordering_key": None,
        "waits_for": None,
        "payload_erased": False,
    }


async def test_a_delivery_that_will_be_tried_again_says_why_and_when(api: Api) -> None:
    async with Receiver([503]) as receiver:
        await api.add_endpoint(receiver.url)
        await api.emit()
        await receiver.wait(1)
        await api.service.flush()
    delivery = await only_delivery(api, status="pending")
    assert delivery["reason"] == "HTTP 503"
    assert delivery["next_attempt_at"] > delivery["created_at"]
    assert delivery["completed_at"] is None


async def test_a_delivery_that_failed_says_why(api: Api) -> None:
    async with Receiver([410]) as receiver:
        await api.add_endpoint(receiver.url)
        await api.emit()
        await receiver.wait(1)
        await api.service.flush()
    delivery = await only_delivery(api)
    assert delivery["status"] == "failed"
    assert delivery["reason"]
    assert delivery["completed_at"] is not None


async def test_deliveries_are_narrowed_by_all_that_is_given(api: Api) -> None:
    async with Receiver([200]) as good, Receiver([500]) as bad:
        one = await api.add_endpoint(good.url)
        two = await api.add_endpoint(bad.url, retry=NO_RETRY)
        first = await api.emit(type="a")
        await api.emit(type="b")
        await good.wait(2)
        await bad.wait(2)
        await api.service.flush()
    both = await api.get("/v1/deliveries", event_id=first["id"])
    assert {found["endpoint_id"] for found in both["data"]} == {one["id"], two["id"]}
    found = await only_delivery(
        api,
        endpoint_id=two["id"],
        event_id=first["id"],
        event_type="a",
        status="exhausted",
        error_kind="http_status",
        since=both["data"][0]["created_at"],
    )
    assert (found["endpoint_id"], found["event_type"]) == (two["id"], "a")
    for nothing in (
        {"event_id": "unknown"},
        {"endpoint_id": one["id"], "status": "exhausted"},
        {"error_kind": "dns"},
        {"until": found["created_at"], "event_type": "a"},
        {"tenant": "other"},
    ):
        assert (await api.get("/v1/deliveries", **nothing))["data"] == []


async def test_a_finished_delivery_is_sent_once_more(api: Api) -> None:
    async with Receiver([500, 200]) as receiver:
        await api.add_endpoint(receiver.url, retry=NO_RETRY)
        await api.emit()
        await receiver.wait(1)
        await api.service.flush()
        before = await only_delivery(api, status="exhausted")
        answer = await api.client.post(f"/v1/deliveries/{before['id']}/replay")
        assert answer.status_code == 202
        assert answer.json()["started"] is True
        assert answer.json()["delivery"]["status"] == "pending"
        await receiver.wait(2)
        await api.service.flush()
    after = await only_delivery(api)
    assert (after["id"], after["status"], after["attempt_count"]) == (before["id"], "success", 2)
    assert [attempt["status_code"] for attempt in after["attempts"]] == [500, 200]


async def test_a_pending_delivery_is_left_as_it_is(api: Api) -> None:
    async with Receiver([503]) as receiver:
        await api.add_endpoint(receiver.url)
        await api.emit()
        await receiver.wait(1)
        await api.service.flush()
        before = await only_delivery(api)
        answer = await api.client.post(f"/v1/deliveries/{before['id']}/replay", json={})
    assert answer.status_code == 202
    assert answer.json()["started"] is False
    assert (await only_delivery(api)) == before


async def test_the_delivery_of_a_removed_endpoint_cannot_be_sent_once_more(api: Api) -> None:
    async with Receiver() as receiver:
        endpoint = await api.add_endpoint(receiver.url)
        await api.emit()
        await receiver.wait(1)
        await api.service.flush()
    delivery = await only_delivery(api)
    await api.client.delete(f"/v1/endpoints/{endpoint['id']}")
    answer = await api.client.post(f"/v1/deliveries/{delivery['id']}/replay")
    assert answer.status_code == 409
    assert answer.json()["detail"]


async def test_a_delivery_of_another_tenant_is_not_there(api: Api) -> None:
    await api.add_endpoint("http://127.0.0.1:9/", tenant="acme")
    await api.emit(tenant="acme")
    delivery = await only_delivery(api, tenant="acme")
    path = f"/v1/deliveries/{delivery['id']}"
    assert (await api.client.get(path, params={"tenant": "x"})).status_code == 404
    replay = await api.client.post(f"{path}/replay", params={"tenant": "x"})
    assert replay.status_code == 404
    assert (await api.get(path, tenant="acme"))["id"] == delivery["id"]
    assert (await api.get(path))["id"] == delivery["id"]
