"""Tokens and the audit log: what is written stays, what is revoked is gone, each its tenant's."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.domain.access import USE_NOTED_EVERY_MS, ApiToken, AuditEntry, Scope
from webhook.domain.errors import Conflict
from webhook.domain.model import DeliveryStatus
from webhook.domain.recovery import RecoveryKind
from webhook.ports import AuditQuery, TokenQuery, WebhookAccessStore, WebhookPersistence

from .builders import DAY_MS, T0, add_with_events, new_endpoint, new_key
from .recoveries import begin, end_all, piece
from .stores import Maker, opened


def access(store: WebhookPersistence) -> WebhookAccessStore:
    """Return the store of tokens and of the log."""
    assert store.access_store is not None
    return store.access_store


def new_token(at: int = T0, **fields: Any) -> ApiToken:
    given: dict[str, Any] = {
        "id": f"tok_{new_key(at)}",
        "hash": "0" * 64,
        "name": "shop",
        "scopes": (Scope.EMIT, Scope.READ),
        "created_at": T0,
    }
    return ApiToken(**(given | fields))


def new_entry(at: int = T0, **fields: Any) -> AuditEntry:
    given: dict[str, Any] = {
        "id": f"aud_{new_key(at)}",
        "action": "endpoint.create",
        "actor": "bootstrap",
        "tenant": "default",
        "target": "ep_x",
        "detail": "url",
        "source": "192.0.2.1",
        "request_id": "r-1",
    }
    return AuditEntry(**(given | fields))


async def write(store: WebhookPersistence, *entries: AuditEntry) -> None:
    """Write entries, one after the other."""
    for entry in entries:
        async with access(store).beside([entry]):
            pass


async def entries_of(store: WebhookPersistence, **query: Any) -> list[AuditEntry]:
    return (await access(store).list_audit(AuditQuery(**query))).items


# --- tokens ---------------------------------------------------------------------------------------


async def test_a_token_reads_back_as_it_was_written(maker: Maker) -> None:
    plain, full = new_token(), new_token(tenant="acme", expires_at=T0 + DAY_MS, name="naïve 🔑")
    async with opened(maker) as store:
        for token in (plain, full):
            await access(store).add_token(token)
        assert await access(store).get_token(plain.id) == plain
        assert await access(store).get_token(full.id) == full
        assert await access(store).get_token(f"tok_{new_key()}") is None


async def test_a_token_that_is_added_twice_is_left_as_it_was(maker: Maker) -> None:
    token = new_token()
    async with opened(maker) as store:
        await access(store).add_token(token)
        await access(store).note_use(token.id, T0 + 5)
        await access(store).add_token(token)
        again = await access(store).get_token(token.id)
        assert again is not None
        assert again.last_used_at == T0 + 5


async def test_a_token_is_gone_at_once_when_it_is_removed_and_only_from_its_tenant(
    maker: Maker,
) -> None:
    ours, theirs, of_all = new_token(tenant="a"), new_token(tenant="b"), new_token()
    async with opened(maker) as store:
        for token in (ours, theirs, of_all):
            await access(store).add_token(token)
        assert not await access(store).remove_token("a", theirs.id)
        assert not await access(store).remove_token("a", of_all.id)
        assert await access(store).remove_token("a", ours.id)
        assert not await access(store).remove_token("a", ours.id)
        assert await access(store).get_token(ours.id) is None
        assert await access(store).remove_token(None, theirs.id)
        assert await access(store).remove_token(None, of_all.id)
        assert (await access(store).list_tokens(TokenQuery())).items == []


async def test_tokens_are_listed_oldest_first_page_by_page_and_by_tenant(maker: Maker) -> None:
    whose = ("a", None, "a", "b", "a")
    tokens = [new_token(T0 + n, tenant=tenant) for n, tenant in enumerate(whose)]
    async with opened(maker) as store:
        for token in reversed(tokens):
            await access(store).add_token(token)
        for tenant, wanted in ((None, tokens), ("a", tokens[::2]), ("c", [])):
            found: list[ApiToken] = []
            after: str | None = None
            while True:
                query = TokenQuery(tenant=tenant, limit=2, after=after)
                page = await access(store).list_tokens(query)
                found += page.items
                after = page.after
                if after is None:
                    break
            assert found == wanted


async def test_use_is_noted_once_an_hour(maker: Maker) -> None:
    token = new_token()
    async with opened(maker) as store:
        await access(store).add_token(token)
        await access(store).note_use(f"tok_{new_key()}", T0)
        for now, noted in (
            (T0, T0),
            (T0 + USE_NOTED_EVERY_MS - 1, T0),
            (T0 + USE_NOTED_EVERY_MS, T0 + USE_NOTED_EVERY_MS),
        ):
            await access(store).note_use(token.id, now)
            stored = await access(store).get_token(token.id)
            assert stored is not None
            assert stored.last_used_at == noted


# --- the audit log --------------------------------------------------------------------------------


async def test_an_entry_comes_with_the_change_that_it_tells_of(joint_maker: Maker) -> None:
    endpoint, entries = new_endpoint(), [new_entry(), new_entry(T0 + 1, tenant=None, target=None)]
    async with opened(joint_maker) as store:
        async with access(store).beside(entries):
            await store.endpoint_store.add([endpoint])
            assert await store.endpoint_store.get(None, endpoint.id) == endpoint
        assert await entries_of(store) == entries[::-1]


async def test_a_change_that_is_refused_leaves_no_entry(joint_maker: Maker) -> None:
    first, second = (new_endpoint(external_id="same") for _ in range(2))
    async with opened(joint_maker) as store:
        await store.endpoint_store.add([first])
        with pytest.raises(Conflict):
            async with access(store).beside([new_entry()]):
                await store.endpoint_store.add([second])
        with pytest.raises(LookupError):
            async with access(store).beside([new_entry()]):
                raise LookupError
        assert await entries_of(store) == []


async def test_an_entry_without_a_change_is_written_too_and_later_changes_bring_none(
    maker: Maker,
) -> None:
    entry = new_entry(action="secret.read")
    async with opened(maker) as store:
        await write(store, entry)
        await store.delivery_store.pause_sending(T0)
        await store.endpoint_store.add([new_endpoint()])
        assert await entries_of(store) == [entry]


async def test_of_several_changes_inside_the_entry_comes_once(maker: Maker) -> None:
    entry = new_entry()
    async with opened(maker) as store:
        async with access(store).beside([entry]):
            await store.delivery_store.pause_sending(T0)
            await store.delivery_store.resume_sending()
        assert await entries_of(store) == [entry]


async def test_an_entry_that_is_written_twice_stays_as_it_was(maker: Maker) -> None:
    entry = new_entry()
    async with opened(maker) as store:
        await write(store, entry, new_entry(id=entry.id, action="forged", tenant="acme"))
        assert await entries_of(store) == [entry]
        assert await entries_of(store, tenant="acme") == []


async def test_entries_are_listed_newest_first_page_by_page_by_tenant_and_by_time(
    maker: Maker,
) -> None:
    whose = ("a", None, "a", "b", "a", "b")
    entries = [new_entry(T0 + 10 * n, tenant=tenant) for n, tenant in enumerate(whose)]
    asked: list[tuple[dict[str, Any], list[int]]] = [
        ({}, [5, 4, 3, 2, 1, 0]),
        ({"tenant": "a"}, [4, 2, 0]),
        ({"tenant": "c"}, []),
        ({"since": T0 + 10, "until": T0 + 40}, [3, 2, 1]),
        ({"since": T0 + 10, "until": T0 + 40, "tenant": "a"}, [2]),
    ]
    async with opened(maker) as store:
        await write(store, *entries)
        for query, wanted in asked:
            for limit in (1, 2, 50):
                found: list[AuditEntry] = []
                after: str | None = None
                while True:
                    page = await access(store).list_audit(
                        AuditQuery(limit=limit, after=after, **query)
                    )
                    found += page.items
                    after = page.after
                    if after is None:
                        break
                assert found == [entries[n] for n in wanted]


async def test_old_entries_are_forgotten_in_bounded_pieces(maker: Maker) -> None:
    entries = [new_entry(T0 + n, tenant="a" if n % 2 else None) for n in range(5)]
    async with opened(maker) as store:
        await write(store, *entries)
        pieces = [await access(store).remove_audit(T0 + 4, 3) for _ in range(3)]
        assert pieces == [3, 1, 0]
        assert await entries_of(store) == entries[4:]
        assert await entries_of(store, tenant="a") == []


# --- tenants --------------------------------------------------------------------------------------


async def test_what_of_others_a_recovery_looked_at_is_not_even_counted(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, _ = await add_with_events(store, 2)
        await end_all(store)
        wish = {"endpoint_id": endpoint.id, "status": DeliveryStatus.SUCCESS}
        recovery = await begin(store, RecoveryKind.FILTER, tenant="other", **wish)
        done, found = await piece(store, recovery)
        assert (found.scanned, found.replays, done.scanned) == (0, [], 0)
