"""Stores on a real server, each with connections of its own, as several processes have them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.postgres.servers import fresh_address
from webhook.adapters.native_crypto import NativeCrypto
from webhook.adapters.postgres.database import PostgresDatabase
from webhook.adapters.postgres.persistence import persistence_of
from webhook.adapters.sql.sealing import Sealing
from webhook.ports import WebhookPersistence

type Opener = Callable[[], WebhookPersistence]


class SteeredPostgres(PostgresDatabase):
    """A database whose leases obey the clock of the test."""

    own_clock = False


@pytest.fixture
async def several() -> AsyncIterator[list[WebhookPersistence]]:
    """Four stores over one new schema; all are open."""
    address = fresh_address()
    stores = [
        persistence_of(
            SteeredPostgres(address), Sealing((), NativeCrypto()), initialize_schema=True
        )
        for _ in range(4)
    ]
    try:
        for store in stores:
            assert store.init is not None
            await store.init()
        yield stores
    finally:
        for store in stores:
            assert store.close is not None
            await store.close()
