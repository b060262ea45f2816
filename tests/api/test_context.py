"""One app serves a process with one service, or a Worker with one for each request."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from tests.api.bad_input import check_shape
from tests.api.server import LOCAL
from tests.receiver import Receiver
from webhook import WebhookRuntimeService, create_in_memory_webhook_persistence
from webhook.api import SCOPE_KEY, ApiSettings, RequestContext, create_app

type Tasks = list[Coroutine[Any, Any, None]]


@asynccontextmanager
async def opened_per_request(token: str | None) -> AsyncIterator[tuple[httpx2.AsyncClient, Tasks]]:
    """Serve as a Worker does: a service and a ``waitUntil`` for each request, over one store."""
    persistence = create_in_memory_webhook_persistence()
    services: list[WebhookRuntimeService] = []
    tasks: Tasks = []
    app = create_app()

    async def worker(scope: Scope, receive: Receive, send: Send) -> None:
        service = WebhookRuntimeService(LOCAL, persistence=persistence, auto_start=False)
        services.append(service)
        context = RequestContext(service, wait_until=tasks.append, settings=ApiSettings(token))
        await app({**scope, SCOPE_KEY: context}, receive, send)

    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(worker),
        base_url="http://worker",
        headers={"authorization": f"Bearer {token}"},
    ) as client:
        yield client, tasks
    for service in services:
        await service.shutdown()


async def test_first_attempts_go_to_the_wait_until_of_the_request() -> None:
    async with Receiver() as receiver, opened_per_request("t") as (client, tasks):
        endpoint = {"url": receiver.url, "event_types": ["*"]}
        assert (await client.post("/v1/endpoints", json=endpoint)).status_code == 201
        batch = {"events": [{"type": "a", "data": n} for n in range(2)]}
        assert (await client.post("/v1/events", json=batch)).status_code == 202
        assert receiver.requests == []
        [attempts] = tasks
        await attempts
        assert len(receiver.requests) == 2


async def test_the_token_may_come_with_the_request() -> None:
    async with opened_per_request("t") as (client, _):
        assert (await client.get("/v1/events")).status_code == 200
        wrong = await client.get("/v1/events", headers={"authorization": "Bearer x"})
        assert wrong.status_code == 401


@pytest.mark.parametrize("token", [None, ""])
async def test_without_any_token_the_api_is_closed_and_says_how_to_open_it(
    token: str | None,
) -> None:
    async with opened_per_request(token) as (client, _):
        answer = await client.get("/v1/events")
        assert answer.status_code == 503
        check_shape(answer.json(), 503)
        assert "wrangler secret put WEBHOOK_API_TOKEN" in answer.json()["detail"]
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/docs")).status_code == 200


async def test_an_app_without_a_service_answers_500(caplog: pytest.LogCaptureFixture) -> None:
    transport = httpx2.ASGITransport(create_app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
        answer = await client.get("/health")
    check_shape(answer.json(), 500)
    assert "LookupError" in caplog.text


def test_the_token_is_not_printed() -> None:
    service = WebhookRuntimeService(LOCAL, auto_start=False)
    context = RequestContext(service, settings=ApiSettings("geheim"))
    assert "geheim" not in repr(context)


def test_making_the_app_reads_no_clock_and_no_chance_and_makes_no_document() -> None:
    code = """
import os, random, time
def refuse(*_): raise SystemExit("touched clock or chance")
from webhook.api import create_app
os.urandom = random.random = time.time = time.time_ns = time.monotonic = refuse
import webhook.api.openapi as openapi
openapi.openapi = refuse
create_app()
import sys
heavy = {"jinja2", "uvicorn", "aiohttp", "httpx", "httpx2", "pydantic",
         "starlette.templating", "starlette.testclient", "starlette.staticfiles"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
