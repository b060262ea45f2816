"""What a killed server had claimed is sent again when the next one starts, unless another lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.serving import Server
from tests.receiver import Answer, ThreadedReceiver
from webhook.adapters.sql.statements import END_LEASES
from webhook.adapters.sqlite.database import SqliteDatabase
from webhook.adapters.sqlite.persistence import initialize_webhook_schema
from webhook.adapters.sqlite.presence import Presence

LEASE_S = 40
NEVER_S = 600.0
LONG_LEASE = {"WEBHOOK_LEASE_MS": "900000"}
SETTINGS = {"WEBHOOK_API_TOKEN": "t", "WEBHOOK_LEASE_MS": f"{LEASE_S}000"}


def test_after_a_kill_nothing_waits_for_its_lease(tmp_path: Path) -> None:
    with (
        ThreadedReceiver([Answer(200, delay_s=NEVER_S), 200]) as receiver,
        Server(tmp_path, local=True, **SETTINGS | LONG_LEASE) as server,
    ):
        server.add_endpoint(receiver.url)
        event = server.emit()
        receiver.wait(1)
        server.kill()
        server.start()
        # Its lease would be waited for longer than anything is waited for here.
        [delivery] = server.wait_for_status(event["id"], "success")
        interrupted, sent = delivery["attempts"]
        assert (interrupted["error_kind"], sent["status_code"]) == ("interrupted", 200)
        assert delivery["attempt_count"] == 1
        assert "1 attempts broke off when the last process ended" in server.log()


def test_a_second_server_on_the_file_leaves_the_leases_of_the_first(tmp_path: Path) -> None:
    with (
        ThreadedReceiver([Answer(200, delay_s=3)]) as receiver,
        Server(tmp_path, local=True, **SETTINGS) as first,
        Server(tmp_path, local=True, **SETTINGS) as second,
    ):
        first.add_endpoint(receiver.url)
        event = first.emit()
        receiver.wait(1)
        # This one has just started, and may start as often as it likes.
        second.kill()
        second.start()
        [delivery] = second.wait_for_status(event["id"], "success")
        assert [attempt["status_code"] for attempt in delivery["attempts"]] == [200]
        assert len(receiver.requests) == 1


async def test_alone_is_who_has_the_lock_to_itself(tmp_path: Path) -> None:
    one, two = (Presence(tmp_path / "webhook.db") for _ in range(2))
    assert await one.enter()
    assert not await one.enter()  # it is there already
    await one.share()
    assert not await two.enter()
    one.leave()
    two.leave()
    assert await two.enter()
    two.leave()


async def test_every_name_of_a_file_leads_to_one_lock(tmp_path: Path) -> None:
    (tmp_path / "webhook.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "webhook.db")
    one, two = Presence(tmp_path / "webhook.db"), Presence(tmp_path / "link.db")
    assert await one.enter()
    await one.share()
    assert not await two.enter()
    one.leave()
    two.leave()


async def test_where_no_lock_can_be_had_nobody_is_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    presence = Presence(tmp_path / "missing" / "webhook.db")
    assert not await presence.enter()
    assert "leases end by their time" in caplog.text


async def test_who_was_interrupted_before_waits_longer_each_time(tmp_path: Path) -> None:
    file = tmp_path / "webhook.db"
    await initialize_webhook_schema(file)
    database = SqliteDatabase(file, "OFF")
    now, lease_ms = 1_000_000, 45_000
    row = """INSERT INTO deliveries (lane, key, tenant, state, due_at, interruptions, size)
        VALUES ('a', ?1, 't', ?2, ?3, ?4, 1)"""
    leased = [(row, (f"{count}", "leased", now + lease_ms, count)) for count in range(5)]
    scheduled = (row, ("s", "scheduled", now + lease_ms, 0))
    await database.batch([*leased, scheduled, (END_LEASES, (now,))])
    [rows] = await database.read([("SELECT due_at - ?1 AS wait FROM deliveries", (now,))])
    assert [row["wait"] for row in rows] == [0, 10_000, 20_000, 30_000, 40_000, lease_ms]
    [plan] = await database.read([(f"EXPLAIN QUERY PLAN {END_LEASES}", (now,))])
    assert "deliveries_waiting" in plan[0]["detail"]
    await database.close()
