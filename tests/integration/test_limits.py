"""Two server processes on one file keep an endpoint's limits together, and use them to the full."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.serving import Server
from tests.receiver import Answer, Reply, Request, ThreadedReceiver

TOKEN = "a-token-of-both-servers"
RATE = 5
JITTER_S = 0.1
EVENTS = 40


@contextmanager
def two_servers(folder: Path) -> Iterator[tuple[Server, Server]]:
    settings = {
        "WEBHOOK_STORE": f"sqlite:///{folder / 'webhook.db'}",
        "WEBHOOK_API_TOKEN": TOKEN,
        "WEBHOOK_RETRY_SCHEDULE": ",".join(["0.3"] * 20),
    }
    folders = [folder / name for name in ("first", "second")]
    for each in folders:
        each.mkdir()
    with (
        Server(folders[0], local=True, **settings) as first,
        Server(folders[1], local=True, **settings) as second,
    ):
        yield first, second


def emit_to_both(servers: tuple[Server, Server], count: int = EVENTS) -> list[str]:
    """Emit to the two in turn; return the events' ids."""
    turns = itertools.cycle(servers)
    return [server.emit(number)["id"] for number, server in zip(range(count), turns, strict=False)]


def failing_now_and_then(delay_s: float) -> Iterator[Reply]:
    """Fail every sixth request."""
    for number in itertools.count(1):
        yield Answer(503 if number % 6 == 0 else 200, delay_s=delay_s)


def most_in_a_second(requests: list[Request]) -> int:
    """Return how many requests came in any second, less the jitter that a start may have."""
    times = sorted(request.at for request in requests)
    return max(
        sum(begin <= at < begin + 1 - JITTER_S for at in times[index:])
        for index, begin in enumerate(times)
    )


def test_two_processes_keep_a_concurrency_and_a_rate(tmp_path: Path) -> None:
    replies = failing_now_and_then(delay_s=0.3)
    with ThreadedReceiver(lambda _: next(replies)) as receiver, two_servers(tmp_path) as servers:
        servers[0].add_endpoint(receiver.url, concurrency_max=2, rate_limit_per_second=RATE)
        ids = emit_to_both(servers)
        for event_id in ids:
            servers[1].wait_for_status(event_id, "success")
    requests = receiver.requests
    assert len(requests) >= EVENTS * 7 // 6
    assert receiver.receiver.active_max == 2
    assert most_in_a_second(requests) <= RATE
    took_s = requests[-1].at - requests[0].at
    # The rate alone would let them through in 9.2 s, the concurrency in 7 s.
    assert took_s < 3 * len(requests) / RATE


def test_two_processes_use_a_rate_to_the_full(tmp_path: Path) -> None:
    with ThreadedReceiver() as receiver, two_servers(tmp_path) as servers:
        servers[0].add_endpoint(receiver.url, rate_limit_per_second=RATE)
        emit_to_both(servers, 30)
        requests = receiver.wait(30)
    took_s = requests[-1].at - requests[0].at
    assert most_in_a_second(requests) <= RATE
    assert took_s < 29 / RATE * 1.3


def test_two_processes_use_a_concurrency_to_the_full(tmp_path: Path) -> None:
    replies = failing_now_and_then(delay_s=0.1)
    with ThreadedReceiver(lambda _: next(replies)) as receiver, two_servers(tmp_path) as servers:
        servers[0].add_endpoint(receiver.url, concurrency_max=2)
        ids = emit_to_both(servers)
        for event_id in ids:
            servers[0].wait_for_status(event_id, "success")
    assert receiver.receiver.active_max == 2
    took_s = receiver.requests[-1].at - receiver.requests[0].at
    # Two at a time.
    assert took_s < 2 * len(receiver.requests) * 0.1 / 2


def test_the_switch_of_one_process_holds_for_the_other(tmp_path: Path) -> None:
    with ThreadedReceiver() as receiver, two_servers(tmp_path) as servers:
        servers[0].add_endpoint(receiver.url)
        assert servers[0].call("POST", "/v1/sending/pause")["paused"] is True
        ids = emit_to_both(servers, 6)
        assert servers[1].get("/v1/sending")["paused"] is True
        assert receiver.requests == []
        servers[1].call("POST", "/v1/sending/resume")
        for event_id in ids:
            servers[0].wait_for_status(event_id, "success")
    assert len(receiver.requests) == 6
