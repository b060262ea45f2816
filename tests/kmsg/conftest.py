"""Gives each test a world over the store in memory; that the stores are alike, others prove."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.engine.world import World
from webhook.adapters.memory import create_in_memory_webhook_persistence


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A world that ends with the test."""
    made = World(create_in_memory_webhook_persistence())
    yield made
    await made.close()
