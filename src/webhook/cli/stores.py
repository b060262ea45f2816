"""Finds the store that an address names, or says in one sentence why it cannot be used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from webhook import create_in_memory_webhook_persistence
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.adapters.sqlite.look import missing_migrations
from webhook.adapters.system import SystemChance, SystemClock
from webhook.cli.terminal import fail
from webhook.domain.access import Actor
from webhook.domain.encryption import EncryptionKey
from webhook.domain.errors import ConfigError, SchemaError, StoreUnavailable, WebhookError
from webhook.domain.ids import KeyMaker
from webhook.engine.access import Access, acting
from webhook.ports import WebhookPersistence
from webhook.settings import StoreAddress


async def find_store(
    address: StoreAddress, keys: Sequence[EncryptionKey] = ()
) -> tuple[WebhookPersistence, list[str]]:
    """Return the store, still to be opened, and the migrations that opening it will apply.

    Without ``keys`` what is encrypted in it can be left as it is, and not read.

    Raises ``StoreUnavailable`` or ``SchemaError``, the file left as it was.
    """
    missing = await look(address)
    if address.database is not None:
        with _driver():
            from webhook.adapters.postgres import persistence  # noqa: PLC0415 - an extra
        return persistence.create_of(address.database, keys), missing
    if address.path is None:
        return create_in_memory_webhook_persistence(), missing
    return create_sqlite_webhook_persistence(address.path, encryption_keys=keys), missing


async def look(address: StoreAddress) -> list[str]:
    """Return the migrations that a store lacks; changes nothing."""
    if address.database is not None:
        with _driver():
            from webhook.adapters.postgres import migrate  # noqa: PLC0415 - an extra
        with naming(address):
            return await migrate.missing_migrations(address.database)
    if address.path is None:
        return []
    with naming(address):
        return await missing_migrations(address.path)


def operate[T](
    address: StoreAddress, work: Callable[[WebhookPersistence], Awaitable[T]], *, instead: str
) -> T:
    """Do something to a store that is there, as an operator at the machine; or end the command.

    ``instead`` is the request to a server that would do the same.
    """
    if address.kind == "memory":
        fail(f"memory:// lives in its server alone: {instead} there.")
    if address.path is not None and not Path(address.path).exists():
        fail(f"{address}: there is no such file.")
    try:
        return asyncio.run(_operate(address, work))
    except WebhookError as error:
        fail(error.message)


async def _operate[T](
    address: StoreAddress, work: Callable[[WebhookPersistence], Awaitable[T]]
) -> T:
    persistence, _ = await find_store(address)
    try:
        with naming(address):
            if persistence.init is not None:
                await persistence.init()
        with acting(Actor(name="cli")):
            return await work(persistence)
    finally:
        if persistence.close is not None:
            await persistence.close()


def access_of(persistence: WebhookPersistence) -> Access:
    """Return the tokens and the audit log of a store that is open."""
    chance = SystemChance()
    return Access(
        persistence.access_store,
        clock=SystemClock(),
        chance=chance,
        keys=KeyMaker(chance.random_bytes),
        initialize=is_open,
    )


async def is_open() -> None:
    """Find that there is nothing to open."""


@contextmanager
def _driver() -> Iterator[None]:
    """Say what to install where PostgreSQL's driver is missing."""
    try:
        yield
    except ImportError as error:
        raise ConfigError("PostgreSQL needs asyncpg: pip install 'webhook[postgres]'.") from error


@contextmanager
def naming(address: StoreAddress) -> Iterator[None]:
    """Say in an error which store it is about."""
    try:
        yield
    except (StoreUnavailable, SchemaError) as error:
        raise type(error)(f"{address}: {error.message}") from error
