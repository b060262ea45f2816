"""An event that was answered with 202 arrives as it was sent and can be looked at."""

from __future__ import annotations

import json

from standardwebhooks.webhooks import Webhook

from tests.api.client import Api
from tests.receiver import Receiver

# Big and long numbers, names that stand twice, spaces: none of it is ours to change.
DATA = b'{ "b":1.10, "a":[9007199254740993,1e400], "a":"\\u00e9", "__proto__":{"x":null} }'


async def test_an_event_is_accepted_with_its_count_of_deliveries(api: Api) -> None:
    answer = await api.client.post("/v1/events", json={"type": "a.b", "data": None})
    assert answer.status_code == 202
    accepted = answer.json()
    assert accepted.pop("id").startswith("evt_")
    assert accepted == {"type": "a.b", "tenant": "default", "delivery_count": 0, "duplicate": False}


async def test_an_event_arrives_signed_and_byte_for_byte(api: Api) -> None:
    async with Receiver() as receiver:
        endpoint = await api.add_endpoint(receiver.url)
        body = b'{"type":"message.sent","timestamp":"2026-01-31T12:00:00Z","data":%s}' % DATA
        answer = await api.client.post("/v1/events", content=body)
        assert answer.json()["delivery_count"] == 1
        [request] = await receiver.wait(1)
    event_id = answer.json()["id"].encode()
    assert request.body == (
        b'{"id":"%s","type":"message.sent","timestamp":"2026-01-31T12:00:00.000Z",'
        b'"data":%s,"metadata":{},"version":"1.0"}' % (event_id, DATA)
    )
    Webhook(endpoint["secret"]).verify(request.body, dict(request.headers))


async def test_a_batch_is_accepted_in_its_order(api: Api) -> None:
    events = [{"type": f"a.n{index}", "data": index} for index in range(100)]
    answer = await api.client.post("/v1/events", json={"events": events})
    assert answer.status_code == 202
    accepted = answer.json()["events"]
    assert [one["type"] for one in accepted] == [event["type"] for event in events]
    assert await api.event_ids(limit=250) == [one["id"] for one in reversed(accepted)]


async def test_the_order_of_names_does_not_decide_what_a_batch_is(api: Api) -> None:
    answer = await api.client.post(
        "/v1/events", json={"type": "a", "data": {"events": [], "type": 1}}
    )
    assert "events" not in answer.json()


async def test_an_event_is_shown_with_its_data_byte_for_byte(api: Api) -> None:
    body = b'{"type":"a","id":"mine:1","version":"2","metadata":{ "k":1.0 },"data":%s}' % DATA
    assert (await api.client.post("/v1/events", content=body)).status_code == 202
    shown = await api.client.get("/v1/events/mine:1")
    assert b'"data":%s,"metadata":{ "k":1.0 },"version":"2"' % DATA in shown.content
    assert list(shown.json()) == [
        "id", "tenant", "type", "timestamp", "data", "metadata", "version", "ordering_key",
        "accepted_at", "delivery_count", "payload_erased",
    ]  # fmt: skip
    assert (await api.get("/v1/events"))["data"] == [json.loads(shown.content)]


async def test_an_event_is_found_in_its_tenant_only(api: Api) -> None:
    accepted = await api.emit(tenant="other")
    assert accepted["tenant"] == "other"
    path = f"/v1/events/{accepted['id']}"
    assert (await api.client.get(path)).status_code == 404
    assert (await api.get(path, tenant="other"))["tenant"] == "other"
    assert await api.event_ids() == []
    assert await api.event_ids(tenant="other") == [accepted["id"]]


async def test_events_are_listed_by_type_and_time(api: Api) -> None:
    first, second = await api.emit(type="a"), await api.emit(type="b")
    accepted_at = (await api.get(f"/v1/events/{first['id']}"))["accepted_at"]
    assert await api.event_ids(type="b") == [second["id"]]
    assert first["id"] in await api.event_ids(since=accepted_at)
    assert first["id"] not in await api.event_ids(until=accepted_at)
    assert await api.event_ids(since="2100-01-01T00:00:00Z") == []


async def test_the_deliveries_of_an_event_are_listed(api: Api) -> None:
    async with Receiver() as receiver:
        endpoint = await api.add_endpoint(receiver.url)
        accepted = await api.emit()
        await api.emit()
        await receiver.wait(2)
        await api.service.flush()
    path = f"/v1/events/{accepted['id']}/deliveries"
    [delivery] = (await api.get(path))["data"]
    assert delivery["status"] == "success"
    assert (delivery["event_id"], delivery["endpoint_id"]) == (accepted["id"], endpoint["id"])
    assert (await api.get(path, status="success"))["data"] == [delivery]
    assert (await api.get(path, status="failed"))["data"] == []


async def test_filters_look_at_metadata(api: Api) -> None:
    await api.add_endpoint("http://127.0.0.1:9/", filters={"channel": ["sms"]})
    assert (await api.emit(metadata={"channel": "sms"}))["delivery_count"] == 1
    assert (await api.emit(metadata={"channel": "mail"}))["delivery_count"] == 0
    assert (await api.emit())["delivery_count"] == 0
