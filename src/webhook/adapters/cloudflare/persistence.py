"""Both stores over a D1 binding, and its schema."""

from __future__ import annotations

from typing import Any

from webhook.adapters.cloudflare.d1 import D1Database
from webhook.adapters.sql.migrate import migrate
from webhook.adapters.sql.persistence import create_sql_persistence
from webhook.ports import WebhookPersistence


def create_d1_webhook_persistence(db: Any, *, initialize_schema: bool = True) -> WebhookPersistence:
    """Return both stores over a D1 binding.

    The schema is brought up to date at first use, unless ``initialize_schema`` is False because
    ``wrangler d1 migrations apply`` has done it.
    """
    return create_sql_persistence(D1Database(db), initialize_schema=initialize_schema)


async def initialize_webhook_schema(db: Any) -> list[str]:
    """Apply the missing migrations; return the names of those that this call applied."""
    return await migrate(D1Database(db))
