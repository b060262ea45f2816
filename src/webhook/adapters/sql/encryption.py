"""``WebhookEncryption`` over D1 and SQLite: which keys are in use, encrypting anew in pieces."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from webhook.adapters.sql.chunks import json_chunks
from webhook.adapters.sql.database import Database, Row, Statement
from webhook.adapters.sql.sealing import Sealing
from webhook.domain.errors import ConfigError, SecretsLocked
from webhook.ports import Encrypted

_log = logging.getLogger("webhook.store")

# On endpoints_key: one seek for each key.
KEYS_IN_USE = """
WITH RECURSIVE used (key_id) AS (
  SELECT min(key_id) FROM endpoints WHERE key_id IS NOT NULL
  UNION ALL
  SELECT (
    SELECT min(p.key_id) FROM endpoints AS p WHERE p.key_id IS NOT NULL AND p.key_id > u.key_id
  )
  FROM used AS u WHERE u.key_id IS NOT NULL
)
SELECT key_id FROM used WHERE key_id IS NOT NULL
"""

# ?1 key id, ?2 lane, ?3 limit: the next rows under a key, on endpoints_key.
ROWS_OF_KEY = """
SELECT lane, id, tenant, headers, secrets FROM endpoints
WHERE key_id IS NOT NULL AND key_id = ?1 AND lane > ?2
ORDER BY lane LIMIT ?3
"""

# ?1: [{lane, headers, secrets, key_id, headers_before, secrets_before}]. A row that was changed
# since it was read keeps the change.
ENCRYPT_ROWS = """
UPDATE endpoints AS p SET
  headers = j.value ->> 'headers', secrets = j.value ->> 'secrets', key_id = j.value ->> 'key_id'
FROM json_each(?1) AS j
WHERE p.lane = j.value ->> 'lane' AND p.headers = j.value ->> 'headers_before'
  AND p.secrets = j.value ->> 'secrets_before'
RETURNING lane
"""

# ?1 now. Secrets have been stored in the clear, and free pages may hold some until they are gone.
MARK_PLAINTEXT = """
INSERT INTO switches (name, since) VALUES ('plaintext_stored', ?1) ON CONFLICT (name) DO NOTHING
"""
UNMARK_PLAINTEXT = "DELETE FROM switches WHERE name = 'plaintext_stored'"
IS_MARKED = "SELECT 1 FROM switches WHERE name = 'plaintext_stored'"


class SqlEncryption:
    """See ``WebhookEncryption``; ``vacuum`` rewrites the file without what was deleted."""

    def __init__(
        self,
        database: Database,
        sealing: Sealing,
        *,
        vacuum: Callable[[], Awaitable[None]] | None = None,
        checked: bool = False,
    ) -> None:
        self._database = database
        self._sealing = sealing
        self._vacuum = vacuum
        self._checked = checked

    async def check(self) -> None:
        """See that all can be opened."""
        if self._checked:
            return
        unknown = [key for key in await self.keys_in_use() if not self._sealing.knows(key)]
        if unknown:
            raise ConfigError(
                f"Secrets are encrypted with a key that WEBHOOK_ENCRYPTION_KEYS does not hold "
                f"({', '.join(unknown)}). Add that key. If it is lost, so are the secrets: remove "
                "the endpoints and make them anew; `webhook keys create` makes a key."
            )
        if self._sealing.key_id:
            await self._sealing.try_out()
        else:
            _log.warning(
                "Secrets are stored in the clear: WEBHOOK_ENCRYPTION_KEYS is not set. `webhook "
                "keys create` makes a key."
            )
            await self._database.batch([(MARK_PLAINTEXT, (0,))])
        self._checked = True

    async def keys_in_use(self) -> list[str]:
        """Return the ids of the keys that something is encrypted with."""
        [rows] = await self._database.read([(KEYS_IN_USE, ())])
        return [row["key_id"] for row in rows]

    async def encrypt_some(self, limit: int, after: str | None = None) -> Encrypted:
        """Encrypt one piece anew: a read and a write."""
        if not self._sealing.key_id:
            return Encrypted()
        at_key, _, at_lane = (after or ".").partition(".")
        others = [k for k in await self.keys_in_use() if k != self._sealing.key_id and k >= at_key]
        if not others:
            return Encrypted()
        key_id = others[0]
        parameters = (key_id, at_lane if key_id == at_key else "", limit)
        [rows] = await self._database.read([(ROWS_OF_KEY, parameters)])
        anew, failed = await self._anew(rows)
        count = 0
        if anew:
            batch: list[Statement] = [(ENCRYPT_ROWS, (chunk,)) for chunk in json_chunks(anew)]
            if key_id == "":
                batch.append((MARK_PLAINTEXT, (0,)))
            count = sum(map(len, await self._database.batch(batch)))
        if len(rows) == limit:
            return Encrypted(count=count, failed=failed, after=f"{key_id}.{rows[-1]['lane']}")
        # "~" comes after every lane, so the next piece begins with the next key.
        more = len(others) > 1
        return Encrypted(count=count, failed=failed, after=f"{key_id}.~" if more else None)

    async def _anew(self, rows: list[Row]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        anew: list[dict[str, Any]] = []
        failed: list[str] = []
        for row in rows:
            try:
                plain = {
                    column: await self._opened(row, column) for column in ("headers", "secrets")
                }
            except SecretsLocked as error:
                _log.error("not encrypted anew: %s", error)
                failed.append(row["id"])
                continue
            sealed = await self._sealing.seal_row({**row, **plain})
            before = {f"{column}_before": row[column] for column in plain}
            anew.append({name: sealed[name] for name in ("lane", "key_id", *plain)} | before)
        return anew, tuple(failed)

    async def _opened(self, row: Row, column: str) -> str:
        text: str = row[column]
        if not text.startswith('"'):
            return text
        return (
            await self._sealing.open(row["tenant"], row["id"], column, text.strip('"'))
        ).decode()

    async def scrub(self) -> bool:
        """Rewrite the file, if secrets in the clear have ever stood in it and do no more."""
        [marked] = await self._database.read([(IS_MARKED, ())])
        if not marked:
            return True
        if not self._sealing.key_id or "" in await self.keys_in_use() or self._vacuum is None:
            return False
        await self._vacuum()
        await self._database.batch([(UNMARK_PLAINTEXT, ())])
        return True
