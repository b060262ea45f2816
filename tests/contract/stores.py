"""Which stores the suite is held against, by name. A new store adds a line to ``store_kinds``.

A maker returns a persistence that is empty and not open yet: ``opened`` awaits its ``init``, and
with it whatever it takes to begin with nothing (a database that is shared is emptied there).
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from webhook.adapters.memory import (
    MemoryAccessStore,
    MemoryDeliveryStore,
    MemoryEndpointStore,
    MemoryRecoveryStore,
    create_in_memory_webhook_persistence,
)
from webhook.ports import WebhookPersistence

type Maker = Callable[[], WebhookPersistence]
# Gives a folder of the test's own; asked only by stores that keep files.
type Folder = Callable[[], Path]

IN_WORKER = sys.platform == "emscripten"

if IN_WORKER:
    from .d1_store import d1_persistence, d1_separate_persistence
else:
    from tests.postgres.servers import NEWEST, OLDEST

    from .postgres_store import postgres_persistence, postgres_separate_persistence
    from .sqlite_stores import sqlite_persistence, sqlite_separate_persistence

    def d1_persistence(_folder: Folder) -> WebhookPersistence:
        """Say that there is no D1 here; nobody asks."""
        raise LookupError("D1 is inside the Worker only.")

    d1_separate_persistence = d1_persistence


class StoreKind(NamedTuple):
    """How to make one kind of store, and whether its two stores know each other.

    ``whole`` is False for one that differs from another only in what tests for its sort ask.
    """

    make: Callable[[Folder], WebhookPersistence]
    joint: bool
    whole: bool = True


def _memory(_folder: Folder) -> WebhookPersistence:
    return create_in_memory_webhook_persistence()


def _memory_separate(_folder: Folder) -> WebhookPersistence:
    deliveries = MemoryDeliveryStore()
    return WebhookPersistence(
        endpoint_store=MemoryEndpointStore(),
        delivery_store=deliveries,
        recovery_store=MemoryRecoveryStore(deliveries),
        access_store=MemoryAccessStore(),
    )


def store_kinds() -> dict[str, StoreKind]:
    """Return the kinds that tests have here: inside the Worker only its own database."""
    d1 = {
        "d1": StoreKind(d1_persistence, joint=True),
        "d1-separate": StoreKind(d1_separate_persistence, joint=False, whole=False),
    }
    if IN_WORKER:
        return d1
    return {
        "memory": StoreKind(_memory, joint=True),
        "memory-separate": StoreKind(_memory_separate, joint=False),
        "sqlite": StoreKind(sqlite_persistence, joint=True),
        "sqlite-separate": StoreKind(sqlite_separate_persistence, joint=False),
        "postgres": StoreKind(postgres_persistence(NEWEST), joint=True),
        f"postgres-{OLDEST}": StoreKind(postgres_persistence(OLDEST), joint=True),
        "postgres-separate": StoreKind(postgres_separate_persistence, joint=False, whole=False),
        # Outside, each of these shows how its inner test ended; see conftest.py.
        **d1,
    }


@asynccontextmanager
async def opened(maker: Maker) -> AsyncIterator[WebhookPersistence]:
    """Make a store, open it, and close it in the end."""
    persistence = maker()
    if persistence.init is not None:
        await persistence.init()
    try:
        yield persistence
    finally:
        if persistence.close is not None:
            await persistence.close()
