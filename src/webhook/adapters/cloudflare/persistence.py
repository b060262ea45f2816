"""Both stores over a D1 binding, and its schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from webhook.adapters.cloudflare.d1 import D1Database
from webhook.adapters.cloudflare.webcrypto import WebCrypto
from webhook.adapters.sql.encryption import SqlEncryption
from webhook.adapters.sql.migrate import migrate
from webhook.adapters.sql.persistence import create_sql_persistence
from webhook.adapters.sql.sealing import Sealing
from webhook.domain.encryption import EncryptionKey, read_encryption_keys
from webhook.ports import WebhookPersistence


def create_d1_webhook_persistence(
    db: Any,
    *,
    initialize_schema: bool = True,
    encryption_keys: Sequence[EncryptionKey] | str = (),
    check_encryption: bool = True,
) -> WebhookPersistence:
    """Return both stores over a D1 binding.

    The first of ``encryption_keys`` (``whek_...``, with commas between them) encrypts signing
    secrets and headers, all decrypt; without any they are stored in the clear. Before the first use
    it is seen that all can be decrypted, unless ``check_encryption`` is False because it was.
    The schema is brought up to date at first use, unless ``initialize_schema`` is False because
    ``wrangler d1 migrations apply`` has done it.
    """
    if isinstance(encryption_keys, str):
        encryption_keys = read_encryption_keys(encryption_keys)
    database, sealing = D1Database(db), Sealing(encryption_keys, WebCrypto())
    return create_sql_persistence(
        database,
        initialize_schema=initialize_schema,
        sealing=sealing,
        encryption=SqlEncryption(database, sealing, checked=not check_encryption),
    )


async def initialize_webhook_schema(db: Any) -> list[str]:
    """Apply the missing migrations; return the names of those that this call applied."""
    return await migrate(D1Database(db))
