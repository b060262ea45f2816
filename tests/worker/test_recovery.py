"""A recovery in the Worker: a few pieces by each invocation, woken by the queue or the cron."""

from __future__ import annotations

from typing import Any

from tests.receiver import ThreadedReceiver
from tests.worker.harness import Api, until

EVENTS = 250
WAIT_S = 120


def _start(api: Api, receiver: ThreadedReceiver) -> Any:
    """Let an endpoint miss events and begin to recover them; the first piece is done then."""
    endpoint = api.endpoint(receiver.url, active=False)
    for start in range(0, EVENTS, 50):
        batch = [
            {"type": "message.sent", "data": n, "tenant": api.tenant}
            for n in range(start, start + 50)
        ]
        assert api.post("/v1/events", {"events": batch}).status == 202
    one = f"/v1/endpoints/{endpoint['id']}"
    assert api.send("PATCH", f"{one}?tenant={api.tenant}", b'{"active": true}').status == 200
    wish = {"since": "2020-01-01T00:00:00Z", "which": "missed"}
    reply = api.post(f"{one}/recover", wish)
    assert reply.status == 202, reply.text
    assert (reply.json["status"], reply.json["made"]) == ("running", 100)
    return reply.json


def _data(receiver: ThreadedReceiver) -> set[int]:
    return {request.json()["data"] for request in receiver.requests}


def test_the_queue_goes_on_with_a_recovery_without_waiting_for_the_cron(api: Api) -> None:
    with ThreadedReceiver() as receiver:
        recovery = _start(api, receiver)
        until(lambda: len(_data(receiver)) == EVENTS, WAIT_S)
        shown = api.get(f"/v1/recoveries/{recovery['id']}")
    assert (shown["status"], shown["made"], shown["scanned"]) == ("done", EVENTS, EVENTS)


def test_without_a_queue_each_cron_does_a_few_pieces(lonely: Api) -> None:
    with ThreadedReceiver() as receiver:
        recovery = _start(lonely, receiver)
        assert lonely.worker.fire_cron() == "ok"
        shown = lonely.get(f"/v1/recoveries/{recovery['id']}")
        assert (shown["status"], shown["made"]) == ("done", EVENTS)
        while len(_data(receiver)) < EVENTS:
            before = len(receiver.requests)
            assert lonely.worker.fire_cron() == "ok"
            assert len(receiver.requests) > before
    assert len(receiver.requests) == EVENTS
