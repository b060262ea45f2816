"""From POST to signed POST: the Worker in the real workerd, with D1, Queues and the cron."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import standardwebhooks
import svix

from tests import ed25519
from tests.hostile import TenGigabytes, drips, never_answers
from tests.receiver import Answer, Request, ThreadedReceiver, encode
from tests.worker.harness import LOCAL, Api, until
from tools.dev_worker import DevWorker

KEPT_BYTES = 4096


class Gate:
    """A receiver's answer that is held back until ``open`` is called."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    async def __call__(self, _request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.to_thread(self._open.wait, 60)
        writer.write(encode(Answer(200)))


def test_an_event_arrives_once_and_two_other_libraries_verify_it(api: Api) -> None:
    with ThreadedReceiver([Answer(200, body=b"thanks")]) as receiver:
        secret = api.endpoint(receiver.url, event_types=["message.*"])["secret"]
        event = api.emit(data={"text": "h\u00e9", "number": 1e100})
        [delivery] = api.ended(event)
        [request] = receiver.requests
    for library in (standardwebhooks.Webhook, svix.Webhook):
        library(secret).verify(request.body, request.headers)  # raises unless all is well
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == request.json()["id"] == event["id"]
    assert request.headers["webhook-event-type"] == "message.sent"
    assert request.headers["webhook-delivery-id"] == delivery["id"]
    assert request.headers["webhook-attempt"] == "1"
    assert list(request.json()) == ["id", "type", "timestamp", "data", "metadata", "version"]
    assert delivery["status"] == "success"
    [attempt] = delivery["attempts"]
    assert (attempt["number"], attempt["status_code"], attempt["error_kind"]) == (1, 200, None)
    assert attempt["response"] == "thanks"


def test_during_a_move_to_v1a_both_signatures_verify(api: Api) -> None:
    with ThreadedReceiver([Answer(200)]) as receiver:
        made = api.endpoint(receiver.url)
        reply = api.post(f"/v1/endpoints/{made['id']}/secret/rotate", {"signature": "v1a"})
        api.ended(api.emit())
        [request] = receiver.requests
    svix.Webhook(made["secret"]).verify(request.body, request.headers)
    assert ed25519.verify_webhook(reply.json["public_key"], dict(request.headers), request.body)
    assert "whsk_" not in reply.text
    assert reply.json["public_key"] == api.get(f"/v1/endpoints/{made['id']}")["public_key"]


def test_both_lists_show_the_delivery_with_its_attempt(api: Api) -> None:
    with ThreadedReceiver() as receiver:
        endpoint = api.endpoint(receiver.url)
        event = api.emit()
        api.ended(event)
    for path in ("/v1/deliveries", f"/v1/events/{event['id']}/deliveries"):
        [delivery] = api.get(path)["data"]
        assert delivery["endpoint_id"] == endpoint["id"]
        assert delivery["status"] == "success"
        assert [attempt["status_code"] for attempt in delivery["attempts"]] == [200]


def test_the_answer_comes_before_the_receiver_has_answered(lonely: Api) -> None:
    gate = Gate()
    with ThreadedReceiver([gate]) as receiver:
        lonely.endpoint(receiver.url)
        event = lonely.emit()
        receiver.wait(1)
        [delivery] = lonely.deliveries(event)
        assert delivery["status"] == "pending"
        assert delivery["attempts"] == []
        gate.open()
        # No queue and no cron: only waitUntil can have seen this through.
        [delivery] = lonely.ended(event)
    assert delivery["status"] == "success"


def test_of_eight_endpoints_five_are_sent_to_at_once(lonely: Api) -> None:
    with ThreadedReceiver() as receiver:
        for number in range(8):
            lonely.endpoint(f"{receiver.url}/{number}")
        event = lonely.emit()
        assert event["delivery_count"] == 8
        receiver.wait(5)
        statuses = _settled(lonely, event, 5)
        assert sorted(statuses) == ["pending"] * 3 + ["success"] * 5
        # Crons may overlap: each delivery is one cron's.
        with ThreadPoolExecutor(max_workers=4) as pool:
            outcomes = list(pool.map(lambda _: lonely.worker.fire_cron(), range(4)))
        assert outcomes == ["ok"] * 4
        assert {one["status"] for one in lonely.ended(event)} == {"success"}
        assert len({request.path for request in receiver.requests}) == 8
        assert len(receiver.requests) == 8


def _settled(api: Api, event: Any, count: int) -> list[str]:
    """Wait until so many deliveries have ended well, and return the statuses of all."""

    def enough() -> list[str]:
        statuses = [one["status"] for one in api.deliveries(event)]
        return statuses if statuses.count("success") >= count else []

    return until(enough)


def test_of_eight_endpoints_the_other_three_are_sent_to_by_the_queue(api: Api) -> None:
    with ThreadedReceiver() as receiver:
        for number in range(8):
            api.endpoint(f"{receiver.url}/{number}")
        event = api.emit()
        assert {one["status"] for one in api.ended(event)} == {"success"}
        assert len(receiver.requests) == 8


def test_a_call_that_makes_three_hundred_deliveries_is_delivered_by_the_queue_alone(
    api: Api,
) -> None:
    endpoints, events = 10, 30
    with ThreadedReceiver() as receiver:
        for number in range(endpoints):
            api.endpoint(f"{receiver.url}/{number}")
        event = {"type": "message.sent", "data": 1, "tenant": api.tenant}
        began = time.monotonic()
        reply = api.post("/v1/events", {"events": [event] * events})
        assert [one["delivery_count"] for one in reply.json["events"]] == [endpoints] * events
        requests = receiver.wait(endpoints * events, 60)
        print(f"300 deliveries took {time.monotonic() - began:.1f} s")
        until(lambda: not api.get("/v1/deliveries?status=pending&limit=1")["data"])
    ids = [request.headers["webhook-delivery-id"] for request in requests]
    assert len(ids) == len(set(ids)) == endpoints * events


def test_an_endpoint_that_may_take_25_seconds_is_not_sent_to_under_wait_until(
    lonely: Api, api: Api
) -> None:
    with ThreadedReceiver() as receiver:
        lonely.endpoint(f"{receiver.url}/slow", timeout_ms=25_000)
        lonely.endpoint(f"{receiver.url}/fast")
        event = lonely.emit()
        assert sorted(_settled(lonely, event, 1)) == ["pending", "success"]
        assert [request.path for request in receiver.requests] == ["/hook/fast"]
        assert lonely.worker.fire_cron() == "ok"
        lonely.ended(event)
        assert [request.path for request in receiver.requests] == ["/hook/fast", "/hook/slow"]
    with ThreadedReceiver() as receiver:
        api.endpoint(receiver.url, timeout_ms=25_000)
        [delivery] = api.ended(api.emit())
        assert delivery["status"] == "success"


def test_a_receiver_that_answers_503_twice_is_retried_by_the_delay_of_the_queue(api: Api) -> None:
    with ThreadedReceiver([503, 503, 200]) as receiver:
        api.endpoint(receiver.url)
        [delivery] = api.ended(api.emit())
        requests = receiver.requests
    assert delivery["status"] == "success"
    assert [attempt["status_code"] for attempt in delivery["attempts"]] == [503, 503, 200]
    assert [request.headers["webhook-attempt"] for request in requests] == ["1", "2", "3"]
    assert len({request.headers["webhook-id"] for request in requests}) == 1
    waits = [after.at - before.at for before, after in pairwise(requests)]
    print("waited by queue delay:", [round(wait, 2) for wait in waits])
    assert all(wait >= 1 for wait in waits)


def test_a_receiver_that_answers_503_twice_is_retried_by_the_cron_alone(lonely: Api) -> None:
    with ThreadedReceiver([503, 503, 200]) as receiver:
        lonely.endpoint(receiver.url)
        event = lonely.emit()
        for attempts in (1, 2):
            delivery = lonely.attempted(event, attempts)
            assert delivery["status"] == "pending"
            assert len(receiver.requests) == attempts
            _wait_until_due(delivery)
            assert lonely.worker.fire_cron() == "ok"
        [delivery] = lonely.ended(event)
    assert delivery["status"] == "success"
    assert [attempt["status_code"] for attempt in delivery["attempts"]] == [503, 503, 200]


def _wait_until_due(delivery: Any) -> None:
    """Sleep for what is left of the time that the API itself names."""
    due = datetime.fromisoformat(delivery["next_attempt_at"])
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()) + 0.05)


def test_retries_used_up_make_a_delivery_exhausted(api: Api) -> None:
    with ThreadedReceiver([500]) as receiver:
        api.endpoint(receiver.url)
        [delivery] = api.ended(api.emit())
        assert len(receiver.requests) == 3
    assert delivery["status"] == "exhausted"
    assert delivery["reason"]


def test_a_replay_delivers_once_more(api: Api) -> None:
    with ThreadedReceiver([410, 200]) as receiver:
        endpoint = api.endpoint(receiver.url)
        event = api.emit()
        [delivery] = api.ended(event)
        assert delivery["status"] == "failed"
        assert api.get(f"/v1/endpoints/{endpoint['id']}")["status"] == "error"
        path = f"/v1/endpoints/{endpoint['id']}?tenant={api.tenant}"
        assert api.send("PATCH", path, b'{"active": true}').status == 200
        reply = api.send("POST", f"/v1/deliveries/{delivery['id']}/replay?tenant={api.tenant}")
        assert reply.status == 202, reply.text
        [delivery] = api.ended(event)
    assert delivery["status"] == "success"
    assert [attempt["status_code"] for attempt in delivery["attempts"]] == [410, 200]


def test_410_fails_the_delivery_and_disables_the_endpoint(api: Api) -> None:
    with ThreadedReceiver([410]) as receiver:
        endpoint = api.endpoint(receiver.url)
        [delivery] = api.ended(api.emit())
        assert delivery["status"] == "failed"
        assert api.get(f"/v1/endpoints/{endpoint['id']}")["status"] == "error"
        assert api.emit()["delivery_count"] == 0
        assert len(receiver.requests) == 1


def test_a_redirect_is_not_followed(api: Api) -> None:
    with ThreadedReceiver() as elsewhere:
        moved = Answer(301, [("Location", f"{elsewhere.url}/secret-path")])
        with ThreadedReceiver([moved]) as receiver:
            api.endpoint(receiver.url, retry={"max_retries": 0})
            [delivery] = api.ended(api.emit())
            assert len(receiver.requests) == 1
        assert elsewhere.requests == []
    assert delivery["status"] == "exhausted"
    [attempt] = delivery["attempts"]
    assert (attempt["status_code"], attempt["error_kind"]) == (301, "redirect")
    assert "secret-path" not in attempt["error"]


def test_204_is_a_success_without_a_response(api: Api) -> None:
    with ThreadedReceiver([204]) as receiver:
        api.endpoint(receiver.url)
        [delivery] = api.ended(api.emit())
    assert delivery["status"] == "success"
    assert delivery["attempts"][0]["response"] is None


def test_a_receiver_that_does_not_answer_is_a_timeout(api: Api) -> None:
    with ThreadedReceiver([never_answers]) as receiver:
        api.endpoint(receiver.url, timeout_ms=400, retry={"max_retries": 0})
        [delivery] = api.ended(api.emit())
    assert delivery["status"] == "exhausted"
    [attempt] = delivery["attempts"]
    assert (attempt["error_kind"], attempt["error"]) == ("timeout", "timeout after 0.4 s")
    assert 350 <= attempt["latency_ms"] <= 5_000


def test_a_body_of_ten_gigabytes_is_cut_and_the_attempt_succeeds(api: Api) -> None:
    endless = TenGigabytes()
    with ThreadedReceiver([endless]) as receiver:
        api.endpoint(receiver.url)
        [delivery] = api.ended(api.emit())
    assert delivery["status"] == "success"
    assert delivery["attempts"][0]["response"] == "x" * KEPT_BYTES
    assert endless.sent < 64 * 1024 * 1024


def test_a_body_that_drips_for_ever_is_cut_and_the_attempt_succeeds(api: Api) -> None:
    with ThreadedReceiver([drips(pause_s=0.5)]) as receiver:
        # Its headers must come in time on a busy machine too.
        api.endpoint(receiver.url, timeout_ms=5_000)
        [delivery] = api.ended(api.emit())
    assert delivery["status"] == "success"
    [attempt] = delivery["attempts"]
    assert set(attempt["response"]) == {"."}
    assert "cut off" in attempt["note"]


def test_slow_endpoints_do_not_hold_up_the_others(api: Api) -> None:
    with ThreadedReceiver([never_answers]) as slow, ThreadedReceiver() as fast:
        for number in range(3):
            api.endpoint(f"{slow.url}/{number}", timeout_ms=10_000, retry={"max_retries": 0})
        api.endpoint(fast.url)
        event = api.emit()
        fast.wait(1)
        statuses = sorted(one["status"] for one in api.deliveries(event))
        assert statuses.count("pending") >= 3
        statuses = sorted(one["status"] for one in api.ended(event))
    assert statuses == ["exhausted"] * 3 + ["success"]


def test_a_killed_worker_forgets_its_hints_and_the_cron_delivers_what_was_left(
    scratch: Path,
) -> None:
    with ThreadedReceiver([503, 200]) as receiver:
        running = DevWorker(state_dir=scratch, env=LOCAL | {"WEBHOOK_RETRY_SCHEDULE": "3"})
        with running:
            api = Api(running)
            api.endpoint(receiver.url)
            event = api.emit()
            delivery = api.attempted(event)
            assert delivery["status"] == "pending"
            running.kill()
            running.start()
            # All that was stored is there, and nobody comes to deliver it.
            assert api.get(f"/v1/events/{event['id']}")["delivery_count"] == 1
            _wait_until_due(delivery)
            assert api.deliveries(event)[0]["status"] == "pending"
            assert len(receiver.requests) == 1
            assert running.fire_cron() == "ok"
            [delivery] = api.ended(event)
    assert delivery["status"] == "success"
    assert len(receiver.requests) == 2
