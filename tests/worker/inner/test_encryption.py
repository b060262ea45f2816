"""Secrets on D1: sealed by WebCrypto, encrypted anew in pieces, at no further round trip."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
from workers import env

from webhook.adapters.cloudflare import create_d1_webhook_persistence
from webhook.adapters.cloudflare.d1 import D1Database
from webhook.adapters.system import SystemChance, SystemClock
from webhook.domain.encryption import EncryptionKey
from webhook.domain.endpoint import EndpointInput, new_endpoint
from webhook.domain.errors import ConfigError, SecretsLocked
from webhook.domain.event import WebhookEvent, prepare
from webhook.domain.ids import KeyMaker
from webhook.domain.model import Endpoint
from webhook.domain.url_rules import UrlRules
from webhook.ports import ClaimRequest, FirstAttempts, WebhookPersistence

from .counting import CountingBinding

OLD, NEW = EncryptionKey(bytes([1]) * 32), EncryptionKey(bytes([2]) * 32)
HEADER = "planted-header-value"
TABLES = ("deliveries", "events", "subscriptions", "endpoints")
keys = KeyMaker(SystemChance().random_bytes)
clock = SystemClock()


@pytest.fixture(autouse=True)
async def emptied() -> AsyncIterator[None]:
    await env.DB.batch([env.DB.prepare(f"DELETE FROM {table}") for table in TABLES])
    yield
    await env.DB.batch([env.DB.prepare(f"DELETE FROM {table}") for table in TABLES])


def stores(*known: EncryptionKey, binding: object = None) -> WebhookPersistence:
    return create_d1_webhook_persistence(
        env.DB if binding is None else binding, initialize_schema=False, encryption_keys=known
    )


async def add(persistence: WebhookPersistence, count: int) -> list[Endpoint]:
    made = [
        new_endpoint(
            EndpointInput(url="https://a.example/", event_types=["*"], headers={"x": HEADER}),
            endpoint_id=f"ep_{keys(clock.now_ms())}",
            now=clock.now_ms(),
            rules=UrlRules(),
            secret="whsec_" + "A" * 32,
        )
        for _ in range(count)
    ]
    await persistence.endpoint_store.add(made)
    return made


async def key_ids() -> dict[str, int]:
    sql = "SELECT key_id, count(*) AS count FROM endpoints GROUP BY key_id"
    [rows] = await D1Database(env.DB).read([(sql, ())])
    return {row["key_id"]: row["count"] for row in rows}


async def test_what_stood_in_the_clear_is_encrypted_in_pieces_and_opens() -> None:
    made = await add(stores(), 5)
    assert await key_ids() == {"": 5}
    encryption = stores(OLD).encryption
    assert encryption is not None
    first = await encryption.encrypt_some(3)
    assert (first.count, await key_ids()) == (3, {"": 2, OLD.id: 3})
    second = await encryption.encrypt_some(3, first.after)
    assert (second.count, second.after, await key_ids()) == (2, None, {OLD.id: 5})
    [rows] = await D1Database(env.DB).read([("SELECT headers, secrets FROM endpoints", ())])
    assert all(text.startswith('"sealed.') for row in rows for text in dict(row).values())
    found = await stores(OLD).endpoint_store.get_many([one.id for one in made])
    assert sorted(found, key=lambda one: one.id) == sorted(made, key=lambda one: one.id)


async def test_the_key_changes_and_the_old_one_is_needed_no_more() -> None:
    [made] = await add(stores(OLD), 1)
    encryption = stores(NEW, OLD).encryption
    assert encryption is not None
    assert (await encryption.encrypt_some(10)).count == 1
    assert await encryption.keys_in_use() == [NEW.id]
    assert await stores(NEW).endpoint_store.get(None, made.id) == made
    with pytest.raises(SecretsLocked):
        await stores(OLD).endpoint_store.get(None, made.id)


async def test_the_check_asks_for_the_missing_key_and_warns_without_any(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await add(stores(OLD), 1)
    for known in ((), (NEW,)):
        encryption = stores(*known).encryption
        assert encryption is not None
        with pytest.raises(ConfigError, match=OLD.id):
            await encryption.check()
    await emptied_now()
    caplog.set_level(logging.WARNING)
    encryption = stores().encryption
    assert encryption is not None
    await encryption.check()
    assert "in the clear" in caplog.text
    # Nothing can be rewritten on D1: its history keeps for 30 days what it has.
    assert not await encryption.scrub()


async def emptied_now() -> None:
    await env.DB.batch([env.DB.prepare("DELETE FROM endpoints")])


async def test_accept_and_claim_open_what_they_bring_in_the_one_round_trip() -> None:
    binding = CountingBinding(env.DB)
    persistence = stores(OLD, binding=binding)
    made = await add(persistence, 4)
    event = prepare(WebhookEvent(type="a", data=1), keys(clock.now_ms()), clock.now_ms())
    first = FirstAttempts(
        limit=2, lease_ms=45_000, timeout_ms_max=30_000, timeout_ms_default=15_000
    )
    binding.reset()
    accepted = await persistence.delivery_store.accept([event], first, clock.now_ms())
    assert binding.round_trips == 1
    binding.reset()
    request = ClaimRequest(now=clock.now_ms(), lease_ms=45_000, limit=10, per_endpoint=5)
    claim = await persistence.delivery_store.claim(request)
    assert binding.round_trips == 1
    brought = [one.endpoint for one in (*accepted.claimed, *claim.claimed)]
    assert {one.id: one.headers for one in brought if one is not None} == {
        one.id: {"x": HEADER} for one in made
    }
