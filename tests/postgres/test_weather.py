"""Connections break, the server restarts, the pool is full: what was accepted is there once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from tests.contract.builders import T0, add_one, claim_all, emit, new_event, new_events, refs_of
from tests.postgres.servers import NEWEST, PostgresServer, fresh_address, server
from webhook import EndpointInput, WebhookConfig, WebhookEvent, WebhookRuntimeService
from webhook.adapters.postgres import create_postgres_webhook_persistence
from webhook.adapters.postgres.database import PostgresDatabase
from webhook.adapters.sql import read_statements
from webhook.domain.errors import ConfigError, StoreUnavailable
from webhook.domain.model import Outcome
from webhook.ports import NO_FIRST_ATTEMPTS, WebhookPersistence

WAIT_S = 60


@pytest.fixture
async def store() -> AsyncIterator[WebhookPersistence]:
    persistence = create_postgres_webhook_persistence(fresh_address())
    assert persistence.init is not None
    assert persistence.close is not None
    await persistence.init()
    yield persistence
    await persistence.close()


@pytest.fixture(scope="module")
def falling() -> Iterator[PostgresServer]:
    """A server of this module's own, to be killed."""
    found = PostgresServer(NEWEST)
    yield found
    found.remove()


async def _break_connections() -> None:
    """Do what an administrator does, or a firewall."""
    own = await asyncpg.connect(server(NEWEST).address)
    await own.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'webhook' AND pid <> pg_backend_pid()"
    )
    await own.close()


async def test_a_broken_connection_is_not_noticed(store: WebhookPersistence) -> None:
    endpoint = await add_one(store)
    for _ in range(3):
        await _break_connections()
        [accepted] = (await emit(store, new_event())).events
        assert accepted.delivery_count == 1
        await _break_connections()
        assert await store.endpoint_store.get(None, endpoint.id) == endpoint


async def test_what_is_broken_off_again_and_again_is_accepted_once(
    store: WebhookPersistence,
) -> None:
    await add_one(store)
    events = new_events(40)
    ended = asyncio.Event()

    async def disturb() -> None:
        while not ended.is_set():
            await _break_connections()

    async def accept(index: int) -> None:
        while True:
            try:
                await store.delivery_store.accept([events[index]], NO_FIRST_ATTEMPTS, T0)
            except StoreUnavailable:
                continue
            return

    disturbing = asyncio.create_task(disturb())
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(*map(accept, range(40)))
    ended.set()
    await disturbing
    claimed = await claim_all(store, T0)
    assert sorted(ref.key for ref in refs_of(claimed)) == sorted(event.key for event in events)


async def test_a_killed_server_keeps_what_it_accepted(falling: PostgresServer) -> None:
    address = falling.address
    persistence = create_postgres_webhook_persistence(address)
    assert persistence.init is not None
    assert persistence.close is not None
    await persistence.init()
    await add_one(persistence)
    events = new_events(10)
    await emit(persistence, *events)
    falling.stop(signal.SIGQUIT)
    with pytest.raises(StoreUnavailable, match="PostgreSQL"):
        await emit(persistence, new_event())
    falling.start()
    late = new_event()
    assert (await emit(persistence, late)).events[0].delivery_count == 1
    claimed = await claim_all(persistence, T0)
    assert {ref.key for ref in refs_of(claimed)} == {event.key for event in [*events, late]}
    await persistence.close()


async def test_when_all_connections_stay_taken_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("webhook.adapters.postgres.database.CONNECT_TIMEOUT_S", 0.2)
    database = PostgresDatabase(f"{fresh_address()}&pool_max=1")
    async with database.connection():
        with pytest.raises(StoreUnavailable, match="none of 1 connections became free"):
            await database.read([(read_statements.SENDING_PAUSED, ())])
    await database.close()


async def test_functions_that_were_removed_are_made_again(store: WebhookPersistence) -> None:
    await add_one(store)
    address = fresh_address()
    database = PostgresDatabase(address)
    other = create_postgres_webhook_persistence(address)
    assert other.init is not None
    assert other.close is not None
    await other.init()
    await database.read([(read_statements.SENDING_PAUSED, ())])
    async with database.connection() as connection:
        names = await connection.fetch(
            "SELECT proname FROM pg_proc WHERE proname LIKE 'batch%' "
            "AND pronamespace = $1::regnamespace",
            database.address.schema,
        )
        for row in names:
            await connection.execute(f"DROP FUNCTION {database.address.schema}.{row['proname']}")
    assert names
    assert await database.read([(read_statements.SENDING_PAUSED, ())]) == [[]]
    await other.close()
    await database.close()


@pytest.mark.parametrize("address", ["mysql://x/y", "postgresql://x/y?schema=A-B"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="Give"):
        create_postgres_webhook_persistence(address)


class _Receiver:
    """A sender that notes what it sends."""

    def __init__(self) -> None:
        self.sent = asyncio.Event()

    async def send(self, *_: object) -> Outcome:
        self.sent.set()
        return Outcome(started_at=T0, latency_ms=1, status_code=200)

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("pooled", [False, True], ids=["direct", "pooled"])
async def test_what_one_process_accepts_another_sends_when_it_is_told(*, pooled: bool) -> None:
    address = fresh_address()
    config = WebhookConfig(batch_timeout_ms=1000 if pooled else 60_000)
    receiver = _Receiver()
    listening = WebhookRuntimeService(
        config,
        persistence=create_postgres_webhook_persistence(
            f"{address}&pgbouncer=true" if pooled else address
        ),
        sender=receiver,
    )
    telling = WebhookRuntimeService(
        config,
        persistence=create_postgres_webhook_persistence(address),
        sender=_Receiver(),
        auto_start=False,
    )
    async with listening, telling:
        await telling.add_endpoints(
            [EndpointInput(url="https://receiver.example/", event_types=["*"])]
        )
        await asyncio.sleep(0)
        accepted = await telling.emit(WebhookEvent(type="message.sent", data=1))
        assert accepted.delivery_count == 1
        await asyncio.wait_for(receiver.sent.wait(), WAIT_S / 2)
