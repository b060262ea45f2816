"""Weaknesses 1 to 7 of k-msg's webhook package, on Cloudflare: ours has none of them.

The same in the real workerd, with its D1 and Queues: tests/worker.
"""

from __future__ import annotations

import re
import sqlite3
import tomllib
from collections.abc import Coroutine
from contextlib import closing
from typing import Any

from tests.engine.world import QueueOfHints, World, add, event, statuses, url_of
from tests.project.source import ROOT
from webhook import DeliveryStatus, WebhookConfig, WebhookRuntimeService
from webhook.adapters.cloudflare import build_webhook_schema_sql
from webhook.testing import FOREVER, Reply


def test_01_each_statement_of_the_schema_stands_alone() -> None:
    """D1's ``exec`` takes a line for a statement; tests/worker applies them in the real one."""
    with closing(sqlite3.connect(":memory:")) as database:
        for statement in build_webhook_schema_sql():
            database.execute(statement)  # refuses more than one, and less
        names = {row[0] for row in database.execute("SELECT name FROM sqlite_schema")}
    assert {"endpoints", "events", "deliveries"} <= names


async def test_02_what_emit_returned_for_is_kept_though_nobody_lives_to_send_it(
    world: World,
) -> None:
    request = world.service(wake_queue=QueueOfHints())
    await add(request)
    await request.emit(event())
    del request  # the isolate is evicted, and its hint is lost
    await world.service().sweep()
    await world.clock.run(world.service().flush())
    assert await statuses(world.service()) == ["success"]


def test_03_a_service_may_be_built_where_clocks_chance_and_loops_are_forbidden() -> None:
    class Forbidden:
        def __getattr__(self, name: str) -> object:
            def call(*_: object) -> None:
                raise AssertionError(f"{name} was called in global scope")

            return call

    forbidden = Forbidden()
    # And no event loop runs here.
    made = WebhookRuntimeService(clock=forbidden, chance=forbidden)  # type: ignore[arg-type]
    assert made.config == WebhookConfig()


async def test_04_no_retry_is_waited_for_in_the_request(world: World) -> None:
    service = world.service(max_retries=3, retry_delay_ms=2_000, timeout_ms=30_000)
    for host in "abcde":
        await add(service, host)
        world.sender.script(url_of(host), Reply(after_ms=FOREVER))
    started = world.clock.now_ms()
    found = await world.clock.run(service.emit_sync(event()))
    assert [delivery.status for delivery in found] == [DeliveryStatus.PENDING] * 5
    # One deadline, not five, and no wait for a retry.
    assert world.clock.now_ms() - started == 30_000
    started = world.clock.now_ms()
    await service.emit(event())
    assert world.clock.now_ms() == started


async def test_05_a_crash_between_send_and_store_loses_no_delivery_and_it_can_be_replayed(
    world: World,
) -> None:
    service = world.service(background=True)
    await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=FOREVER), 200)
    await service.emit(event())
    await world.clock.idle()
    [row] = (await service.list_deliveries()).items  # there before anything was answered
    assert row.status is DeliveryStatus.PENDING
    await world.clock.run(service.stop(0))  # whatever was under way is broken off
    await world.clock.run(world.service().flush())
    assert await statuses(service) == ["success"]
    await service.replay_delivery(row.id)
    await world.clock.run(world.service().flush())
    assert len(world.sender.requests) == 3


def test_06_the_worker_takes_two_packages_along_and_signs_with_the_platforms_hmac() -> None:
    """The upload's size is held by tests/worker/test_upload.py."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {re.split(r"[><=]", package)[0] for package in project["dependencies"]}
    assert names == {"msgspec", "starlette"}
    signing = (ROOT / "src/webhook/domain/signature.py").read_text("utf-8")
    assert "import hmac" in signing


async def test_07_queue_cron_and_wait_until_are_bound_and_used(world: World) -> None:
    wrangler = tomllib.loads((ROOT / "wrangler.toml").read_text("utf-8"))
    assert wrangler["queues"]["producers"]
    assert wrangler["queues"]["consumers"]
    assert wrangler["triggers"]["crons"] == ["* * * * *"]
    entry = (ROOT / "src/entry.py").read_text("utf-8")
    assert "async def queue(" in entry
    assert "async def scheduled(" in entry
    hints = QueueOfHints()
    service = world.service(wake_queue=hints)
    await add(service)
    await service.emit(event())
    assert hints.delays == [0]
    handed_over: list[Coroutine[Any, Any, None]] = []
    await service.emit(event(), wait_until=handed_over.append)
    await world.clock.run(handed_over[0])
    assert len(world.sender.requests) == 1
