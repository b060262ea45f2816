"""Ordered delivery as an operator sees it: what waits, for whom, and what lets it go on."""

from __future__ import annotations

from typing import Any

from tests.api.client import Api
from tests.receiver import Receiver

NO_RETRY = {"max_retries": 0}
STOP = {"ordering_on_failure": "stop"}


async def deliveries(api: Api) -> dict[int, dict[str, Any]]:
    """Return each event's only delivery by the event's number."""
    found = {}
    for delivery in (await api.get("/v1/deliveries"))["data"]:
        event = await api.get(f"/v1/events/{delivery['event_id']}")
        found[event["data"]["n"]] = await api.get(f"/v1/deliveries/{delivery['id']}")
    return found


async def emit_line(api: Api, count: int = 3) -> None:
    for number in range(count):
        await api.emit(data={"n": number}, ordering_key="order-1")
    await api.service.flush()


async def test_an_ordering_key_is_shown_and_does_not_reach_the_receiver(api: Api) -> None:
    async with Receiver() as receiver:
        await api.add_endpoint(receiver.url)
        keyed = await api.emit(ordering_key="order-1")
        plain = await api.emit(ordering_key=None)
        await receiver.wait(2)
    assert (await api.get(f"/v1/events/{keyed['id']}"))["ordering_key"] == "order-1"
    assert (await api.get(f"/v1/events/{plain['id']}"))["ordering_key"] is None
    assert not any(b"order-1" in request.body for request in receiver.requests)


async def test_what_is_stopped_says_by_what_and_a_replay_lets_it_go_on(api: Api) -> None:
    async with Receiver([503, 200]) as receiver:
        made = await api.add_endpoint(receiver.url, retry=NO_RETRY, **STOP)
        assert made["ordering_on_failure"] == "stop"
        await emit_line(api)
        found = await deliveries(api)
        dead, second, third = found[0], found[1], found[2]
        assert dead["status"] == "exhausted"
        assert "its ordering key waits until it is replayed or canceled" in dead["reason"]
        for waiting in (second, third):
            assert (waiting["status"], waiting["next_attempt_at"]) == ("pending", None)
            assert waiting["ordering_key"] == "order-1"
            assert waiting["waits_for"] == dead["id"]
            assert dead["id"] in waiting["reason"]
        replay = await api.client.post(f"/v1/deliveries/{dead['id']}/replay")
        assert replay.json()["started"] is True
        await api.service.flush()
    found = await deliveries(api)
    assert [found[n]["status"] for n in range(3)] == ["success"] * 3
    assert [found[n]["reason"] for n in range(3)] == [None] * 3


async def test_canceling_what_stops_a_key_lets_it_go_on(api: Api) -> None:
    async with Receiver([503, 200]) as receiver:
        await api.add_endpoint(receiver.url, retry=NO_RETRY, **STOP)
        await emit_line(api)
        dead = (await deliveries(api))[0]
        canceled = await api.client.post(f"/v1/deliveries/{dead['id']}/cancel")
        assert canceled.json()["canceled"] is True
        assert canceled.json()["delivery"]["status"] == "canceled"
        await api.service.flush()
    found = await deliveries(api)
    assert [found[n]["status"] for n in range(3)] == ["canceled", "success", "success"]


async def test_changing_the_endpoint_lets_its_keys_go_on(api: Api) -> None:
    async with Receiver([503, 200]) as receiver:
        made = await api.add_endpoint(receiver.url, retry=NO_RETRY, **STOP)
        await emit_line(api)
        changed = await api.client.patch(
            f"/v1/endpoints/{made['id']}", json={"ordering_on_failure": "continue"}
        )
        assert changed.json()["ordering_on_failure"] == "continue"
        await api.service.flush()
    found = await deliveries(api)
    assert [found[n]["status"] for n in range(3)] == ["exhausted", "success", "success"]


async def test_the_same_id_under_another_ordering_key_is_a_conflict(api: Api) -> None:
    await api.emit(id="one", ordering_key="a")
    assert (await api.emit(id="one", ordering_key="a"))["duplicate"] is True
    for other in ({"ordering_key": "b"}, {}):
        body = {"type": "message.sent", "data": {"n": 1}, "id": "one"} | other
        answer = await api.client.post("/v1/events", json=body)
        assert answer.status_code == 409
        assert answer.json()["errors"][0]["pointer"] == "/id"
