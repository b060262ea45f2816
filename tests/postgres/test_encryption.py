"""On PostgreSQL secrets are sealed as everywhere: same bytes, same keys, same refusal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from standardwebhooks.webhooks import Webhook

from tests.encryption.stores import HEADER, NEW, OLD, Receivers, add
from tests.integration.serving import run
from tests.postgres.servers import NEWEST, fresh_address, server
from webhook import WebhookConfig, WebhookEvent, WebhookRuntimeService
from webhook.adapters.native_crypto import NativeCrypto
from webhook.adapters.postgres import create_postgres_webhook_persistence
from webhook.adapters.sql.sealing import Sealing
from webhook.domain.encryption import EncryptionKey, make_encryption_key
from webhook.domain.errors import ConfigError
from webhook.domain.postgres_address import PostgresAddress


@asynccontextmanager
async def opened(
    address: str, *keys: EncryptionKey, sender: Receivers | None = None
) -> AsyncIterator[WebhookRuntimeService]:
    """Open a service on a database."""
    service = WebhookRuntimeService(
        WebhookConfig(batch_timeout_ms=50),
        persistence=create_postgres_webhook_persistence(address, encryption_keys=keys),
        sender=sender or Receivers(),
        auto_start=False,
    )
    try:
        await service.initialize()
        yield service
    finally:
        await service.shutdown()


async def rows_of(address: str) -> list[asyncpg.Record]:
    """Return what stands in the table of endpoints."""
    schema = PostgresAddress.read(address).schema
    connection = await asyncpg.connect(server(NEWEST).address)
    try:
        found: list[asyncpg.Record] = await connection.fetch(
            f'SELECT id, tenant, headers, secrets, key_id FROM "{schema}".endpoints'
        )
    finally:
        await connection.close()
    return found


async def test_secrets_stand_sealed_in_the_form_of_the_other_stores() -> None:
    address = fresh_address()
    async with opened(address, OLD) as service:
        [made] = await add(service)
    [row] = await rows_of(address)
    assert HEADER not in str(row)
    assert made.secrets[0].value not in str(row)
    sealing = Sealing((OLD,), NativeCrypto())
    for column, held in (("headers", HEADER), ("secrets", made.secrets[0].value)):
        text = row[column].strip('"')
        assert text.startswith("sealed.")
        assert held in (await sealing.open(row["tenant"], row["id"], column, text)).decode()


async def test_without_the_key_of_what_is_encrypted_nothing_starts() -> None:
    address = fresh_address()
    async with opened(address, OLD) as service:
        await add(service)
    for keys in ((), (NEW,)):
        with pytest.raises(ConfigError, match=rf"\({OLD.id}\)\. Add that key.*keys create"):
            async with opened(address, *keys):
                pass


async def test_without_any_key_a_warning_says_that_secrets_are_in_the_clear(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    async with opened(fresh_address()):
        pass
    [record] = caplog.records
    assert "in the clear" in record.message
    assert "webhook keys create" in record.message


def test_what_stood_in_the_clear_is_encrypted_and_the_rest_told(tmp_path: Path) -> None:
    address = fresh_address()

    async def in_the_clear() -> None:
        async with opened(address) as service:
            await add(service)

    asyncio.run(in_the_clear())
    settings = {
        "WEBHOOK_STORE": address,
        "WEBHOOK_ENCRYPTION_KEYS": make_encryption_key(OLD.value),
    }
    done = run("keys", "rotate", "--vacuum", cwd=tmp_path, **settings)
    assert done.returncode == 0, done.stderr
    assert "1 endpoints encrypted anew" in done.stdout
    assert "VACUUM FULL its endpoints" in done.stdout
    [row] = asyncio.run(rows_of(address))
    assert HEADER not in str(row)


async def test_keys_change_and_afterwards_the_old_one_is_not_needed() -> None:
    address = fresh_address()
    async with opened(address) as service:
        made = await add(service, 60)
    async with opened(address, OLD) as service:
        assert (await service.encrypt_all(scrub=False)).count == 60
    async with opened(address, NEW, OLD) as service:
        report = await service.encrypt_all(scrub=False)
        assert (report.count, report.failed, report.keys_left) == (60, (), (NEW.id,))
    assert {row["key_id"] for row in await rows_of(address)} == {NEW.id}
    sender = Receivers()
    async with opened(address, NEW, sender=sender) as service:
        await service.emit(WebhookEvent(type="message.sent", data={"n": 1}))
        await service.flush()
    secrets = {endpoint.url: endpoint.secrets[0].value for endpoint in made}
    assert {url for url, _, _ in sender.requests} == set(secrets)
    for url, headers, body in sender.requests:
        Webhook(secrets[url]).verify(body, headers)
        assert headers["x-key"] == HEADER
