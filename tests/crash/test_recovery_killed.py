"""A server that is killed in the middle of a recovery goes on with it when it starts again."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.serving import WAIT_S, Server
from tests.receiver import ThreadedReceiver

EVENTS = 3_000
BATCH = 100


def test_a_replay_by_filter_is_resumed_after_a_kill(tmp_path: Path) -> None:
    with ThreadedReceiver() as receiver, Server(tmp_path) as server:
        endpoint = server.add_endpoint(receiver.url)
        for start in range(0, EVENTS, BATCH):
            batch = [{"type": "message.sent", "data": n} for n in range(start, start + BATCH)]
            server.post("/v1/events", {"events": batch})
        wish = {"endpoint_id": endpoint["id"], "status": "success"}
        _wait_for(server, wish, EVENTS)
        # What is replayed waits, so that the counts tell all.
        server.call("PATCH", f"/v1/endpoints/{endpoint['id']}", {"active": False})
        started = server.post("/v1/deliveries/replay", wish)
        server.kill()
        assert started["status"] == "running"
        server.start()
        path = f"/v1/recoveries/{started['id']}"
        end = time.monotonic() + WAIT_S
        while server.get(path)["status"] == "running":
            assert time.monotonic() < end
            time.sleep(0.05)
        done = server.get(path)
        assert (done["status"], done["replayed"]) == ("done", EVENTS)
        assert (
            server.get(f"/v1/deliveries?status=success&endpoint_id={endpoint['id']}")["data"] == []
        )
        left = server.post("/v1/deliveries/replay", wish | {"dry_run": True})
        assert left == {"scanned": EVENTS, "replayed": 0, "made": 0, "more": False}


def _wait_for(server: Server, wish: dict[str, str], count: int) -> None:
    """Wait until so many deliveries have ended as the wish says."""
    end = time.monotonic() + 2 * WAIT_S
    while server.post("/v1/deliveries/replay", wish | {"dry_run": True})["replayed"] < count:
        assert time.monotonic() < end
        time.sleep(0.2)
