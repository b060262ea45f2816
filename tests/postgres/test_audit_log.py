"""The audit log on PostgreSQL, looked at behind the store's back."""

from __future__ import annotations

import asyncpg
import pytest

from tests.encryption.stores import Receivers, add
from tests.postgres.servers import NEWEST, fresh_address, server
from webhook import WebhookRuntimeService
from webhook.adapters.postgres import create_postgres_webhook_persistence
from webhook.domain.access import Actor
from webhook.domain.postgres_address import PostgresAddress
from webhook.engine.access import acting


async def test_an_entry_cannot_be_changed_there_either() -> None:
    address = fresh_address()
    service = WebhookRuntimeService(
        persistence=create_postgres_webhook_persistence(address),
        sender=Receivers(),
        auto_start=False,
    )
    with acting(Actor(name="somebody")):
        await add(service)
    await service.shutdown()
    connection = await asyncpg.connect(server(NEWEST).address)
    log = f'"{PostgresAddress.read(address).schema}".audit_log'
    try:
        assert await connection.fetchval(f"SELECT count(*) FROM {log}") == 1
        for column in ("actor", "id"):
            with pytest.raises(asyncpg.PostgresError, match="append-only"):
                await connection.execute(f"UPDATE {log} SET {column} = 'nobody'")
        assert await connection.fetchval(f"SELECT actor FROM {log}") == "somebody"
    finally:
        await connection.close()
