"""The embedded store: one SQLite file."""

from webhook.adapters.sql.migrate import build_webhook_schema_sql
from webhook.adapters.sqlite.persistence import (
    create_sqlite_webhook_persistence,
    initialize_webhook_schema,
)

__all__ = [
    "build_webhook_schema_sql",
    "create_sqlite_webhook_persistence",
    "initialize_webhook_schema",
]
