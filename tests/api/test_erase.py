"""``DELETE /v1/events/{id}/payload``: the payload goes for good, all else stays to be seen."""

from __future__ import annotations

from tests.api.client import Api
from tests.receiver import Receiver


async def test_an_erased_payload_is_shown_nowhere_and_its_place_is(api: Api) -> None:
    async with Receiver() as receiver:
        await api.add_endpoint(receiver.url)
        accepted = await api.emit(id="order-1", data="hush", metadata={"k": "hush"})
        await receiver.wait(1)
        await api.service.flush()
        before = await api.get("/v1/events/order-1")
        path = "/v1/events/order-1/payload"
        answers = [await api.client.delete(path) for _ in range(2)]
        assert [(one.status_code, one.content) for one in answers] == [(204, b"")] * 2
        after = await api.get("/v1/events/order-1")
        gone = dict.fromkeys(("timestamp", "data", "metadata", "version"))
        assert before["payload_erased"] is False
        assert after == before | gone | {"payload_erased": True}
        assert (await api.get("/v1/events"))["data"] == [after]
        [delivery] = (await api.get("/v1/deliveries"))["data"]
        assert delivery["payload_erased"] is True
        shown = await api.get(f"/v1/deliveries/{delivery['id']}")
        assert [one["response"] for one in shown["attempts"]] == [None]
        # A repeat is answered as the first time.
        again = await api.emit(id="order-1", data="hush", metadata={"k": "hush"})
        assert again == accepted | {"duplicate": True}
        assert len(receiver.requests) == 1


async def test_a_replay_of_it_is_refused_with_words(api: Api) -> None:
    await api.add_endpoint("http://127.0.0.1:9/")
    accepted = await api.emit()
    assert (await api.client.delete(f"/v1/events/{accepted['id']}/payload")).status_code == 204
    [delivery] = (await api.get("/v1/deliveries"))["data"]
    assert (delivery["status"], delivery["reason"]) == (
        "canceled",
        "the event's payload was erased",
    )
    answer = await api.client.post(f"/v1/deliveries/{delivery['id']}/replay")
    assert answer.status_code == 409
    assert "payload was erased" in answer.json()["detail"]
    dry = {"status": "canceled", "dry_run": True}
    counted = await api.client.post("/v1/deliveries/replay", json=dry)
    assert counted.json()["replayed"] == 0


async def test_only_the_event_of_the_tenant_is_erased(api: Api) -> None:
    await api.emit(id="same", tenant="a")
    await api.emit(id="same", tenant="b")
    path = "/v1/events/same/payload"
    assert (await api.client.delete(path)).status_code == 404
    assert (await api.client.delete(path, params={"tenant": "a"})).status_code == 204
    assert (await api.get("/v1/events/same", tenant="a"))["payload_erased"] is True
    assert (await api.get("/v1/events/same", tenant="b"))["payload_erased"] is False
