"""The store for several servers side by side: one PostgreSQL database."""

from webhook.adapters.postgres.persistence import (
    create_postgres_webhook_persistence,
    initialize_webhook_schema,
)

__all__ = [
    "create_postgres_webhook_persistence",
    "initialize_webhook_schema",
]
