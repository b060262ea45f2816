"""``WebhookAccessStore`` over D1 and SQLite: API tokens and the audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar

import msgspec

from webhook.adapters.sql import access_statements as sql
from webhook.adapters.sql.database import ConstraintFailed, Database, Row, Statement
from webhook.adapters.sql.rows import to_json
from webhook.domain.access import ApiToken, AuditEntry, Scope
from webhook.domain.ids import KEY_MAX, key_floor
from webhook.domain.tenant import tenant_deleting
from webhook.ports import AuditQuery, Page, TokenQuery

_scopes_decoder = msgspec.json.Decoder(tuple[Scope, ...])


class _Companion:
    """A statement that goes with the next batch of a database."""

    def __init__(self, database: Database, statement: Statement) -> None:
        self.database = database
        self.statement = statement
        self.written = False


_companion: ContextVar[_Companion | None] = ContextVar("companion", default=None)


class AuditedDatabase:
    """A database whose next batch takes along what ``SqlAccessStore.beside`` was given."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.own_clock = database.own_clock

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements in one transaction; see ``Database``."""
        companion = _companion.get()
        if companion is None or companion.written or companion.database is not self:
            return await self._database.batch(statements)
        answers = await self._database.batch([*statements, companion.statement])
        companion.written = True
        return answers[:-1]

    async def read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements that only read."""
        return await self._database.read(statements)


class SqlAccessStore:
    """Keeps tokens and the audit log; see ``WebhookAccessStore``.

    What else is written to ``database`` takes the audit log along.
    """

    def __init__(self, database: AuditedDatabase) -> None:
        self._database = database

    async def add_token(self, token: ApiToken) -> None:
        """Store a new token."""
        parameters = (
            token.id,
            token.hash,
            token.name,
            token.tenant,
            to_json(token.scopes),
            token.created_at,
            token.expires_at,
        )
        try:
            await self._database.batch([(sql.ACCESS_ADD, parameters)])
        except ConstraintFailed:
            raise tenant_deleting(token.tenant or "", "/tenant") from None

    async def get_token(self, token_id: str) -> ApiToken | None:
        """Return one token, or None."""
        [rows] = await self._database.read([(sql.ACCESS_GET, (token_id,))])
        return _token(rows[0]) if rows else None

    async def list_tokens(self, query: TokenQuery) -> Page[ApiToken]:
        """Return tokens, oldest first."""
        parameters = (query.tenant, query.after or "", query.limit + 1)
        [rows] = await self._database.read([(sql.ACCESS_LIST, parameters)])
        items = [_token(row) for row in rows[: query.limit]]
        return Page(items, items[-1].id if len(rows) > query.limit else None)

    async def remove_token(self, tenant: str | None, token_id: str) -> bool:
        """Forget a token at once."""
        [rows] = await self._database.batch([(sql.ACCESS_REMOVE, (token_id, tenant))])
        return bool(rows)

    async def note_use(self, token_id: str, now: int) -> None:
        """Remember that a token is in use."""
        await self._database.batch([(sql.ACCESS_USED, (token_id, now))])

    @asynccontextmanager
    async def beside(self, entries: Sequence[AuditEntry]) -> AsyncIterator[None]:
        """Write entries in the transaction of the next batch."""
        statement: Statement = (sql.AUDIT_ADD, (to_json(entries),))
        companion = _Companion(self._database, statement)
        before = _companion.set(companion)
        try:
            yield
        finally:
            _companion.reset(before)
        if not companion.written:
            await self._database.batch([statement])

    async def list_audit(self, query: AuditQuery) -> Page[AuditEntry]:
        """Return entries, newest first."""
        below = KEY_MAX + "~" if query.until is None else key_floor(query.until)
        since = "" if query.since is None else key_floor(query.since)
        bounds = (query.after or f"aud_{below}", f"aud_{since}", query.limit + 1)
        listing: Statement = (sql.AUDIT_LIST_ALL, bounds)
        if query.tenant is not None:
            listing = (sql.AUDIT_LIST, (*bounds, query.tenant))
        [rows] = await self._database.read([listing])
        items = [_entry(row) for row in rows[: query.limit]]
        return Page(items, items[-1].id if len(rows) > query.limit else None)

    async def remove_audit(self, before: int, limit: int) -> int:
        """Forget old entries."""
        parameters = (f"aud_{key_floor(before)}", limit)
        [rows] = await self._database.batch([(sql.AUDIT_REMOVE, parameters)])
        return len(rows)


def _token(row: Row) -> ApiToken:
    return ApiToken(
        id=row["id"],
        hash=row["hash"],
        name=row["name"],
        tenant=row["tenant"],
        scopes=_scopes_decoder.decode(row["scopes"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
    )


def _entry(row: Row) -> AuditEntry:
    return AuditEntry(
        id=row["id"],
        tenant=row["tenant"] or None,
        action=row["action"],
        actor=row["actor"],
        target=row["target"],
        detail=row["detail"],
        source=row["source"],
        request_id=row["request_id"],
    )
