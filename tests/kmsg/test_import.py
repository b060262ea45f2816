"""``webhook import k-msg``: everything that can be taken over is, and the rest is told."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.postgres.servers import fresh_address
from webhook import DeliveryStatus, Endpoint, EndpointStatus, WebhookConfig, WebhookRuntimeService
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.cli.app import app
from webhook.toolkit import MockHttpClient

AT = 1_764_000_000_000
SCHEMA = """
CREATE TABLE "kmsg_webhook_endpoints" (
  id TEXT PRIMARY KEY, url TEXT NOT NULL, name TEXT, description TEXT, active INTEGER NOT NULL,
  events_json TEXT NOT NULL, headers_json TEXT, secret TEXT, retry_config_json TEXT,
  filters_json TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  last_triggered_at INTEGER, status TEXT NOT NULL
);
CREATE TABLE "kmsg_webhook_deliveries" (
  id TEXT PRIMARY KEY, endpoint_id TEXT NOT NULL, event_id TEXT NOT NULL, event_type TEXT,
  url TEXT NOT NULL, http_method TEXT NOT NULL, headers_json TEXT NOT NULL, payload TEXT NOT NULL,
  attempts_json TEXT NOT NULL, status TEXT NOT NULL, created_at INTEGER NOT NULL,
  completed_at INTEGER, next_retry_at INTEGER
);
"""
OK = {"attemptNumber": 2, "timestamp": "2025-11-24T16:00:01.000Z", "httpStatus": 200,
      "responseBody": "thanks", "latencyMs": 12.4}  # fmt: skip
DOWN = {"attemptNumber": 1, "timestamp": AT, "httpStatus": 503, "error": "HTTP 503: x",
        "latencyMs": 5}  # fmt: skip
REFUSED = {"attemptNumber": 1, "timestamp": AT, "error": "fetch failed", "latencyMs": 5}
GONE = {"attemptNumber": 1, "timestamp": AT, "httpStatus": 404, "latencyMs": 5}
runner = CliRunner()


def endpoint(name: str, **changes: Any) -> tuple[Any, ...]:
    columns: dict[str, Any] = {
        "id": f"webhook_{name}", "url": f"https://{name}.example/hook", "name": name,
        "description": None, "active": 1, "events_json": '["message.sent"]',
        "headers_json": '{"X-Key":"k"}', "secret": "s3cr3t",
        "retry_config_json": '{"maxRetries":0,"retryDelayMs":1000,"backoffMultiplier":3}',
        "filters_json": '{"providerId":["p1"]}', "created_at": AT, "updated_at": AT,
        "last_triggered_at": None, "status": "active",
    }  # fmt: skip
    return tuple((columns | changes).values())


def delivery(name: str, to: str, event_id: str, status: str, *attempts: object) -> tuple[Any, ...]:
    payload = {"id": event_id, "type": "message.sent", "timestamp": "2025-11-24T15:59:59.000Z",
               "data": {"big": 12345678901234567890, "z": 1, "a": 2},
               "metadata": {"providerId": "p1"}, "version": "1.0"}  # fmt: skip
    ended = (json.dumps(payload), json.dumps(attempts), status, AT, AT + 2_000, AT)
    sent = (f"https://{to}.example/hook", "POST", "{}")
    return (name, f"webhook_{to}", event_id, "message.sent", *sent, *ended)


ENDPOINTS = [
    endpoint("a"),
    endpoint("b", status="suspended", retry_config_json=None, filters_json=None, secret=None),
    endpoint("paused", active=0),
    endpoint("private", url="http://10.0.0.1/"),
    endpoint("sealed", secret='{"v":1,"alg":"A256GCM","ct":"x"}'),
    endpoint("bogus", events_json='["Bogus Type"]'),
]
DELIVERIES = [
    delivery("d1", "a", "e1", "success", DOWN, OK),
    delivery("d2", "b", "e1", "failed", DOWN, DOWN),
    delivery("d3", "a", "e2", "failed", REFUSED),
    delivery("d4", "a", "e3", "failed", GONE),
    delivery("d5", "a", "e4", "pending"),
    delivery("d6", "deleted", "e5", "success", OK),
    delivery("d7", "a", "no good id!", "success", OK),
    delivery("d8", "a", "e6", "success", OK),
    delivery("d9", "a", "e6", "success", OK),
]


@pytest.fixture(params=["file", "export"])
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database of the original's, made by its schema, or what `wrangler d1 export` writes."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "kmsg.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(SCHEMA)
        marks = ",".join("?" * 14)
        database.executemany(f"INSERT INTO kmsg_webhook_endpoints VALUES ({marks})", ENDPOINTS)
        marks = ",".join("?" * 13)
        database.executemany(f"INSERT INTO kmsg_webhook_deliveries VALUES ({marks})", DELIVERIES)
    if request.param == "file":
        return path
    with closing(sqlite3.connect(path)) as database:
        text = "\n".join(database.iterdump())
    path.with_suffix(".sql").write_text(text, "utf-8")
    return path.with_suffix(".sql")


def taken(source: Path, *arguments: str) -> list[str]:
    done = runner.invoke(app, ["import", "k-msg", str(source), "--scheme", "k-msg", *arguments])
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    return done.stdout.splitlines()


def look[T](ask: Callable[[WebhookRuntimeService], Awaitable[T]], client: MockHttpClient) -> T:
    """Ask a service on the store that was imported into."""

    keys = Path("webhook.db.key").read_text("utf-8").strip()

    async def asked() -> T:
        service = WebhookRuntimeService(
            WebhookConfig(scheme="k-msg"),
            persistence=create_sqlite_webhook_persistence("webhook.db", encryption_keys=keys),
            sender=client,
            auto_start=False,
        )
        try:
            return await ask(service)
        finally:
            await service.shutdown()

    return asyncio.run(asked())


def test_what_can_be_taken_is_and_the_rest_is_told(source: Path) -> None:
    first, *left = taken(source)
    assert first == (
        "sqlite:///webhook.db: 3 endpoints, 5 events and 6 deliveries taken over, 0 were known."
    )
    told = {line.removeprefix("left: ").split(":")[0]: line for line in left}
    assert sorted(told) == [
        "delivery d6", "delivery d8", "endpoint webhook_bogus", "endpoint webhook_private",
        "endpoint webhook_sealed", "event no good id!",
    ]  # fmt: skip
    assert "https" in told["endpoint webhook_private"]
    assert "fieldCrypto" in told["endpoint webhook_sealed"]


def test_endpoints_keep_secret_headers_filters_retries_and_status(source: Path) -> None:
    taken(source)

    async def endpoints(service: WebhookRuntimeService) -> dict[str, Endpoint]:
        return {e.name or "": e for e in (await service.list_endpoints()).items}

    found = look(endpoints, MockHttpClient())
    a = found["a"]
    assert (a.external_id, a.secrets[0].value, a.headers) == ("webhook_a", "s3cr3t", {"X-Key": "k"})
    assert a.filters == {"provider_id": ("p1",)}
    assert a.retry is not None
    assert (a.retry.max_retries, a.retry.retry_delay_ms, a.retry.backoff_multiplier) == (0, 1000, 3)
    assert (a.failures, a.open_until) == (0, None)
    assert [found[name].status for name in ("a", "b", "paused")] == [
        EndpointStatus.ACTIVE, EndpointStatus.SUSPENDED, EndpointStatus.INACTIVE,
    ]  # fmt: skip


def test_history_reads_as_it_was_and_nothing_is_sent(source: Path) -> None:
    taken(source)
    client = MockHttpClient()

    async def history(service: WebhookRuntimeService) -> None:
        await service.flush()
        page = (await service.list_deliveries()).items
        names = {e.id: e.name for e in (await service.list_endpoints()).items}
        found = {(names[d.endpoint_id], d.event_id): d for d in page}
        statuses = {key: one.status for key, one in found.items()}
        assert statuses == {
            ("a", "e1"): DeliveryStatus.SUCCESS,
            ("b", "e1"): DeliveryStatus.EXHAUSTED,
            ("a", "e2"): DeliveryStatus.EXHAUSTED,
            ("a", "e3"): DeliveryStatus.FAILED,
            ("a", "e4"): DeliveryStatus.CANCELED,
            ("a", "e6"): DeliveryStatus.SUCCESS,
        }
        one = found["a", "e1"]
        [attempt] = one.attempts
        assert (attempt.status_code, attempt.latency_ms, attempt.response) == (200, 12, "thanks")
        assert attempt.started_at == AT + 1_000
        assert attempt.note == "attempt 2 in k-msg, after 503"
        assert (one.created_at, one.completed_at) == (AT, AT + 2_000)
        event = await service.get_event("e1")
        assert '"data":{"big": 12345678901234567890, "z": 1, "a": 2}' in event.payload

    look(history, client)
    assert client.requests == []


def test_done_twice_it_makes_nothing_twice(source: Path) -> None:
    taken(source)
    again, *_ = taken(source)
    assert again.endswith("0 endpoints, 0 events and 0 deliveries taken over, 8 were known.")


def test_a_secret_that_the_standard_does_not_know_is_told_with_the_remedy(source: Path) -> None:
    done = runner.invoke(app, ["import", "k-msg", str(source)])
    assert done.exit_code == 0, done.output
    assert "WEBHOOK_SCHEME=k-msg" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.db"], "cannot be read"),
        (["kmsg.db", "--endpoint-table", "other"], "There is no table other"),
        (["kmsg.db", "--store", "memory://"], "memory://"),
        (["text.sql"], "no database"),
    ],
)
def test_what_cannot_be_read_is_told(source: Path, arguments: list[str], told: str) -> None:
    Path("text.sql").write_text("hello", "utf-8")
    done = runner.invoke(app, ["import", "k-msg", *arguments])
    assert done.exit_code == 1
    assert told in done.stderr


def test_postgresql_takes_it_over_too(source: Path) -> None:
    address = fresh_address()
    told = taken(source, "--store", address)
    told_by_sqlite = taken(source)
    assert told[0].partition(": ")[2] == told_by_sqlite[0].partition(": ")[2]
    assert told[1:] == told_by_sqlite[1:]
    again, *_ = taken(source, "--store", address)
    assert again.endswith("0 endpoints, 0 events and 0 deliveries taken over, 8 were known.")
