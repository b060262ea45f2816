"""Gives each test a world, over the store in memory and over SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.engine.world import World
from webhook.adapters.memory import create_in_memory_webhook_persistence
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.ports import WebhookPersistence


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A world that ends with the test."""
    persistence: WebhookPersistence = (
        create_in_memory_webhook_persistence()
        if request.param == "memory"
        else create_sqlite_webhook_persistence(None)
    )
    made = World(persistence)
    yield made
    await made.close()
