"""D1 as the store. ``db`` is the binding of a Python Worker, ``self.env.DB``."""

from webhook.adapters.cloudflare.persistence import (
    create_d1_webhook_persistence,
    initialize_webhook_schema,
)
from webhook.adapters.sql.migrate import build_webhook_schema_sql

__all__ = [
    "build_webhook_schema_sql",
    "create_d1_webhook_persistence",
    "initialize_webhook_schema",
]
