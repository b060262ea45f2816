"""Opens the store that an address names, or says in one sentence why not."""

from __future__ import annotations

from webhook import create_in_memory_webhook_persistence
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.adapters.sqlite.look import missing_migrations
from webhook.domain.errors import SchemaError, StoreUnavailable
from webhook.ports import WebhookPersistence
from webhook.settings import StoreAddress


async def open_store(address: StoreAddress) -> tuple[WebhookPersistence, list[str]]:
    """Return the store with its schema brought up to date, and the migrations that this took.

    Raises ``StoreUnavailable`` or ``SchemaError``, the file left as it was.
    """
    if address.path is None:
        return create_in_memory_webhook_persistence(), []
    missing = await look(address)
    persistence = create_sqlite_webhook_persistence(address.path)
    try:
        if persistence.init is not None:
            await persistence.init()
    except (StoreUnavailable, SchemaError) as error:
        if persistence.close is not None:
            await persistence.close()
        raise type(error)(f"{address}: {error.message}") from error
    return persistence, missing


async def look(address: StoreAddress) -> list[str]:
    """Return the migrations that a store lacks; changes nothing."""
    if address.path is None:
        return []
    try:
        return await missing_migrations(address.path)
    except (StoreUnavailable, SchemaError) as error:
        raise type(error)(f"{address}: {error.message}") from error
