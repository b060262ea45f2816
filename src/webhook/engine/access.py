"""API tokens, and the audit log of who did what. Nothing is opened or drawn before a call."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Protocol

from webhook.domain.access import (
    TOKEN_BYTES,
    TOKEN_NAME_CHARS_MAX,
    Actor,
    ApiToken,
    AuditEntry,
    Scope,
    is_token_id,
    make_token,
    token_hash,
)
from webhook.domain.errors import InvalidInput, NotFound, NotSupported
from webhook.domain.event import tenant_problem
from webhook.domain.ids import KeyMaker
from webhook.domain.json_text import check_text
from webhook.ports import (
    AuditQuery,
    Chance,
    Clock,
    Page,
    TokenQuery,
    WebhookAccessStore,
)


class Thing(Protocol):
    """What a change is made to."""

    @property
    def id(self) -> str:
        """Its public id."""
        ...

    @property
    def tenant(self) -> str | None:
        """Whose it is."""
        ...


_SWEEP_EVERY_MS = 3_600_000
_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Let what is done inside be done by ``actor``; without one, nothing is audited."""
    before = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(before)


def present_actor() -> Actor | None:
    """Return who is acting."""
    return _actor.get()


def nobody_acting() -> Context:
    """Return a context like the present one, for work that goes on when the actor has gone."""
    context = copy_context()
    context.run(_actor.set, None)
    return context


class Access:
    """Makes, finds and revokes tokens, and keeps the audit log."""

    def __init__(
        self,
        store: WebhookAccessStore | None,
        *,
        clock: Clock,
        chance: Chance,
        keys: KeyMaker,
        initialize: Callable[[], Awaitable[None]],
    ) -> None:
        self._found = store
        self._clock = clock
        self._chance = chance
        self._keys = keys
        self._initialize = initialize
        self._swept_until = -math.inf

    # --- tokens -----------------------------------------------------------------------------------

    async def create_token(
        self,
        name: str,
        scopes: Sequence[Scope],
        *,
        tenant: str | None = None,
        expires_at: int | None = None,
    ) -> tuple[ApiToken, str]:
        """Make a token; return what is kept of it, and the token itself, which nobody sees again.

        Raises ``InvalidInput`` with a pointer to the field.
        """
        store = await self._store()
        now = self._clock.now_ms()
        _check(name, scopes, tenant, expires_at, now)
        key = self._keys(now)
        text = make_token(key, self._chance.random_bytes(TOKEN_BYTES))
        token = ApiToken(
            id=f"tok_{key}",
            hash=token_hash(text),
            name=name,
            scopes=tuple(scope for scope in Scope if scope in scopes),
            tenant=tenant,
            created_at=now,
            expires_at=expires_at,
        )
        detail = " ".join(token.scopes)
        async with self.changing("token.create", token, detail=detail):
            await store.add_token(token)
        return token, text

    async def list_tokens(self, query: TokenQuery | None = None) -> Page[ApiToken]:
        """Return one page of tokens, oldest first."""
        return await (await self._store()).list_tokens(query or TokenQuery())

    async def revoke_token(self, token_id: str, *, tenant: str | None = None) -> None:
        """Forget a token; raises ``NotFound``. ``tenant`` None means whosever it is."""
        store = await self._store()
        found = await store.get_token(token_id) if is_token_id(token_id) else None
        if found is not None and tenant in (None, found.tenant):
            async with self.changing("token.revoke", found):
                removed = await store.remove_token(tenant, token_id)
            if removed:
                return
        raise NotFound(f"There is no token {token_id[:64]!r}.")

    async def find_token(self, token_id: str) -> ApiToken | None:
        """Return a token, None also where the stores keep none."""
        await self._initialize()
        return None if self._found is None else await self._found.get_token(token_id)

    async def note_use(self, token: ApiToken) -> None:
        """Remember that a token is in use, to the hour."""
        await (await self._store()).note_use(token.id, self._clock.now_ms())

    # --- the audit log ----------------------------------------------------------------------------

    @property
    def audits(self) -> bool:
        """Whether what is done now is audited."""
        return self._found is not None and present_actor() is not None

    @asynccontextmanager
    async def changing(
        self, action: str, *things: Thing, detail: str | None = None
    ) -> AsyncIterator[None]:
        """Audit the change that is made inside, in one transaction with it where the store can.

        One entry for each of the ``things``, or one that concerns all tenants. Where another change
        comes first, so that this one changes nothing, the entry says that it was tried.
        """
        actor = present_actor()
        if self._found is None or actor is None:
            yield
            return
        now = self._clock.now_ms()
        entries = [
            AuditEntry(
                id=f"aud_{self._keys(now)}",
                action=action,
                actor=actor.name,
                tenant=None if thing is None else thing.tenant,
                target=None if thing is None else thing.id,
                detail=detail,
                source=actor.source,
                request_id=actor.request_id,
            )
            for thing in things or (None,)
        ]
        async with self._found.beside(entries):
            yield

    async def record(self, action: str, thing: Thing) -> None:
        """Audit what changes nothing, such as that a secret is read; before it is shown."""
        async with self.changing(action, thing):
            pass

    async def list_audit(self, query: AuditQuery | None = None) -> Page[AuditEntry]:
        """Return one page of the audit log, newest first."""
        return await (await self._store()).list_audit(query or AuditQuery())

    async def sweep(self, before: int, limit: int) -> None:
        """Forget at most ``limit`` entries from before; once an hour, unless there are more."""
        now = self._clock.monotonic_ms()
        if self._found is None or now < self._swept_until:
            return
        if await self._found.remove_audit(before, limit) < limit:
            self._swept_until = now + _SWEEP_EVERY_MS

    async def _store(self) -> WebhookAccessStore:
        if self._found is None:
            raise NotSupported(
                "These stores keep no tokens and no audit log: give a persistence with an "
                "access_store."
            )
        await self._initialize()
        return self._found


def _check(
    name: str, scopes: Sequence[Scope], tenant: str | None, expires_at: int | None, now: int
) -> None:
    check_text(name, "/name")
    if not 1 <= len(name) <= TOKEN_NAME_CHARS_MAX or not name.isprintable():
        detail = f"Is 1 to {TOKEN_NAME_CHARS_MAX} characters that can be printed."
        raise InvalidInput.at("/name", detail)
    if not scopes:
        raise InvalidInput.at("/scopes", f"Needs at least one of {', '.join(Scope)}.")
    if tenant is not None and (problem := tenant_problem(tenant)):
        raise InvalidInput.at("/tenant", problem)
    if expires_at is not None and expires_at <= now:
        raise InvalidInput.at("/expires_at", "Has passed already; give a time to come.")
