"""Finds the store that an address names, or says in one sentence why it cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from webhook import create_in_memory_webhook_persistence
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.adapters.sqlite.look import missing_migrations
from webhook.domain.errors import SchemaError, StoreUnavailable
from webhook.ports import WebhookPersistence
from webhook.settings import StoreAddress


async def find_store(address: StoreAddress) -> tuple[WebhookPersistence, list[str]]:
    """Return the store, still to be opened, and the migrations that opening it will apply.

    Raises ``StoreUnavailable`` or ``SchemaError``, the file left as it was.
    """
    missing = await look(address)
    if address.path is None:
        return create_in_memory_webhook_persistence(), missing
    return create_sqlite_webhook_persistence(address.path), missing


async def look(address: StoreAddress) -> list[str]:
    """Return the migrations that a store lacks; changes nothing."""
    if address.path is None:
        return []
    with naming(address):
        return await missing_migrations(address.path)


@contextmanager
def naming(address: StoreAddress) -> Iterator[None]:
    """Say in an error which store it is about."""
    try:
        yield
    except (StoreUnavailable, SchemaError) as error:
        raise type(error)(f"{address}: {error.message}") from error
