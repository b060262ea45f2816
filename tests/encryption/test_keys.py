"""Keys come and go while the service delivers; none is missed without being named."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from tests.encryption.stores import HEADER, NEW, OLD, OTHER, Receivers, add, opened
from webhook.domain.endpoint import EndpointPatch
from webhook.domain.errors import ConfigError, SecretsLocked
from webhook.domain.event import WebhookEvent
from webhook.domain.model import DeliveryStatus
from webhook.engine.encryption import ENDPOINTS
from webhook.ports import DeliveryQuery


def event() -> WebhookEvent:
    return WebhookEvent(type="message.sent", data={"n": 1})


def keys_in(path: Path) -> dict[str, int]:
    """Return how many endpoints name each key."""
    with closing(sqlite3.connect(path)) as file:
        return dict(file.execute("SELECT key_id, count(*) FROM endpoints GROUP BY key_id"))


async def test_without_the_key_of_what_is_encrypted_nothing_starts(tmp_path: Path) -> None:
    path = tmp_path / "webhook.db"
    async with opened(path, OLD) as service:
        await add(service)
    for keys in ((), (NEW,)):
        with pytest.raises(ConfigError, match=rf"\({OLD.id}\)\. Add that key.*keys create"):
            async with opened(path, *keys):
                pass
    async with opened(path, NEW, OLD) as service:
        assert (await service.list_endpoints()).items


async def test_without_any_key_a_warning_says_that_secrets_are_in_the_clear(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with opened(tmp_path / "webhook.db"):
        pass
    [record] = caplog.records
    assert "in the clear" in record.message
    assert "webhook keys create" in record.message
    caplog.clear()
    async with opened(tmp_path / "other.db", OLD):
        pass
    assert caplog.records == []


async def test_a_sweep_encrypts_what_stands_in_the_clear_and_what_is_under_an_older_key(
    tmp_path: Path,
) -> None:
    path = tmp_path / "webhook.db"
    async with opened(path) as service:
        made = await add(service, 3)
        await service.remove_endpoint((await add(service))[0].id)
    assert keys_in(path) == {"": 3, None: 1}
    async with opened(path, OLD) as service:
        await service.sweep()
        assert (await service.list_endpoints()).items == made
    assert keys_in(path) == {OLD.id: 3, None: 1}
    async with opened(path, NEW, OLD) as service:
        await service.sweep()
    async with opened(path, NEW) as service:
        assert (await service.list_endpoints()).items == made


async def test_a_sweep_takes_a_bounded_number_of_endpoints_a_piece(tmp_path: Path) -> None:
    path = tmp_path / "webhook.db"
    async with opened(path) as service:
        await add(service, 2 * ENDPOINTS + 1)
    async with opened(path, OLD) as service:
        await service.sweep(pieces=1)
        assert keys_in(path) == {"": ENDPOINTS + 1, OLD.id: ENDPOINTS}
        await service.sweep(pieces=1)
        assert keys_in(path) == {"": 1, OLD.id: 2 * ENDPOINTS}
        await service.sweep(pieces=1)
    assert keys_in(path) == {OLD.id: 2 * ENDPOINTS + 1}


async def test_a_change_that_comes_between_is_not_undone(tmp_path: Path) -> None:
    path = tmp_path / "webhook.db"
    async with opened(path, OLD) as service:
        [made] = await add(service)
    async with opened(path, NEW, OLD) as mover, opened(path, OLD, NEW) as server:
        encryption = mover._persistence.encryption
        assert encryption is not None
        batch = encryption._database.batch  # type: ignore[attr-defined] # SQLite's

        async def changed_first(statements: object) -> object:
            encryption._database.batch = batch  # type: ignore[attr-defined] # SQLite's
            await server.update_endpoint(made.id, EndpointPatch(headers={"x-key": "newer"}))
            return await batch(statements)

        encryption._database.batch = changed_first  # type: ignore[attr-defined] # SQLite's
        assert (await encryption.encrypt_some(10)).count == 0
        assert (await mover.get_endpoint(made.id)).headers == {"x-key": "newer"}
        assert (await encryption.encrypt_some(10)).count == 1
        assert (await mover.get_endpoint(made.id)).headers == {"x-key": "newer"}


async def test_what_does_not_open_is_named_and_holds_up_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "webhook.db"
    async with opened(path, OLD) as service:
        bad, *_ = await add(service, 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("UPDATE endpoints SET tenant = 'thief' WHERE id = ?", (bad.id,))
    async with opened(path, NEW, OLD) as service:
        report = await service.encrypt_all(scrub=True)
    assert (report.count, report.failed) == (2, (bad.id,))
    assert report.keys_left == tuple(sorted((NEW.id, OLD.id)))


async def test_keys_change_under_load_and_no_delivery_fails(tmp_path: Path) -> None:
    path = tmp_path / "webhook.db"
    sender = Receivers()
    async with opened(path, OLD) as service:
        made = await add(service, 150)
    emitted = 0
    async with opened(path, NEW, OLD, background=True, sender=sender) as service:
        rotating = asyncio.ensure_future(service.encrypt_all(scrub=False))
        while not rotating.done() or emitted < 10:
            await service.emit(event())
            emitted += 1
        report = await rotating
        assert (report.count, report.failed, report.keys_left) == (150, (), (NEW.id,))
        await service.flush()
        assert not (
            await service.list_deliveries(DeliveryQuery(status=DeliveryStatus.PENDING))
        ).items
        for status in (DeliveryStatus.FAILED, DeliveryStatus.EXHAUSTED):
            assert not (await service.list_deliveries(DeliveryQuery(status=status))).items
    secrets = {endpoint.url: endpoint.secrets[0].value for endpoint in made}
    assert len(sender.requests) == 150 * emitted
    for url, headers, body in sender.requests[:: max(1, emitted // 3)]:
        Webhook(secrets[url]).verify(body, headers)
        assert headers["x-key"] == HEADER
    # The old key is needed no more.
    after = Receivers()
    async with opened(path, NEW, sender=after) as service:
        await service.emit(event())
        await service.flush()
    assert len(after.requests) == 150


async def test_what_is_claimed_and_does_not_open_waits_and_is_sent_when_the_key_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "webhook.db"
    sender = Receivers()
    async with opened(path, OLD, sender=sender) as old:
        # Another process moves on to a key that this one has never heard of.
        async with opened(path, OTHER, OLD) as mover:
            [made] = await add(mover)
        await old.emit(event())
        await old.flush()
        assert sender.requests == []
        [waiting] = (await old.list_deliveries()).items
        assert (waiting.status, waiting.attempts_made, waiting.interruptions) == ("pending", 0, 0)
        assert f"encrypted with key {OTHER.id}" in caplog.text
        with pytest.raises(SecretsLocked):
            await old.get_endpoint(made.id)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("UPDATE deliveries SET due_at = 0")
    async with opened(path, OLD, OTHER, sender=sender) as both:
        await both.flush()
    assert len(sender.requests) == 1
