"""The app in the test's own loop, with a client that knows its token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from starlette.applications import Starlette

from tests.api.server import LOCAL, TOKEN
from webhook import WebhookConfig, WebhookPersistence, WebhookRuntimeService
from webhook.api import ApiSettings, create_app


@dataclass(frozen=True, slots=True)
class Api:
    """A client and, for a look behind the counter, the service that it talks to."""

    client: httpx2.AsyncClient
    service: WebhookRuntimeService
    app: Starlette

    async def add_endpoint(self, url: str, **fields: object) -> dict[str, Any]:
        """Make an endpoint for every type, unless ``fields`` say otherwise."""
        body = {"url": url, "event_types": ["*"]} | fields
        answer = await self.client.post("/v1/endpoints", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def emit(self, **fields: object) -> dict[str, Any]:
        """Emit an event and return the answer's body."""
        body = {"type": "message.sent", "data": {"n": 1}} | fields
        answer = await self.client.post("/v1/events", json=body)
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    async def get(self, path: str, **params: str | int) -> dict[str, Any]:
        """Get what must be there."""
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def event_ids(self, **params: str | int) -> list[str]:
        """Return the ids of the first page of events."""
        return [event["id"] for event in (await self.get("/v1/events", **params))["data"]]


@asynccontextmanager
async def opened(
    config: WebhookConfig = LOCAL,
    *,
    persistence: WebhookPersistence | None = None,
    auto_start: bool = True,
) -> AsyncIterator[Api]:
    """Open a service, in memory unless given a persistence, and a client to it."""
    service = WebhookRuntimeService(config, persistence=persistence, auto_start=auto_start)
    app = create_app(ApiSettings(token=TOKEN), service)
    transport = httpx2.ASGITransport(app)
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://api", headers=headers
    ) as client:
        yield Api(client, service, app)
    await service.shutdown()
