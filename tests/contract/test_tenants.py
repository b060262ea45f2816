"""A tenant is deleted whole, in bounded pieces; nothing new of it comes in, nothing else goes."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from webhook.domain.access import KNOWN_FOR_MS
from webhook.domain.errors import Conflict
from webhook.domain.model import Delivery, EndpointStatus
from webhook.domain.recovery import RecoveryKind
from webhook.domain.tenant import TenantRows
from webhook.ports import EventQuery, WebhookPersistence, WebhookTenantStore

from .builders import (
    SECOND_MS,
    T0,
    add,
    add_one,
    claim,
    emit,
    exhausted,
    failed,
    list_deliveries,
    new_endpoint,
    new_event,
    refs_of,
    settle,
    succeeded,
)
from .recoveries import begin
from .stores import Maker, opened
from .test_access import access, new_entry, new_token, write

NOTHING = TenantRows()


def keeper(store: WebhookPersistence) -> WebhookTenantStore:
    """Return what deletes tenants."""
    if store.tenant_store is None:
        pytest.skip("this store has not the extra")
    return store.tenant_store


async def settle_in(store: WebhookPersistence, tenant: str) -> list[Delivery]:
    """Give a tenant some of everything; return what is leased of it."""
    options: dict[str, Any] = {"tenant": tenant, "headers": {"x-key": "hush"}}
    await add_one(store, external_id="crm", concurrency_max=9, **options)
    await add_one(store, rate_limit_per_second=5.0, **options)
    removed = await add_one(store, **options)
    await add_one(store, status=EndpointStatus.INACTIVE, **options)
    for number in range(4):
        await emit(
            store,
            new_event(tenant=tenant, id=f"order-{number}", ordering_key="a"),
            new_event(tenant=tenant, at=T0 + number, metadata={"n": number}),
        )
    await store.endpoint_store.remove(tenant, removed.id, T0)
    leased = [each.delivery for each in (await claim(store, limit=8)).claimed]
    mine = [delivery for delivery in leased if delivery.tenant == tenant]
    await settle(store, exhausted(mine[0]), failed(mine[1]), succeeded(mine[2]))
    await begin(store, RecoveryKind.FILTER, tenant=tenant)
    await access(store).add_token(new_token(tenant=tenant))
    await write(store, *(new_entry(tenant=tenant) for _ in range(5)))
    return mine[3:]


async def delete(
    store: WebhookPersistence, tenant: str, *, limit: int = 2, now: int = T0
) -> list[TenantRows]:
    """Delete a tenant to its end; return the pieces."""
    await keeper(store).begin(tenant, now)
    pieces = []
    for _ in range(1000):
        pieces.append(await keeper(store).remove_some(tenant, now, limit))
        if not pieces[-1]:
            ended = await keeper(store).end(tenant, now + KNOWN_FOR_MS)
            assert (ended.rows, ended.deleting_since) == (NOTHING, None)
            return pieces
    raise AssertionError("The deletion comes to no end.")


async def test_all_of_a_tenant_goes_in_bounded_pieces_and_nothing_of_another(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        await settle_in(store, "acme")
        await settle_in(store, "default")
        before = (await keeper(store).look("acme")).rows
        # In memory there is one horizon for all tenants, so here it has not moved anywhere.
        some = {n for n, count in msgspec.structs.asdict(before).items() if count}
        assert some == set(TenantRows.__struct_fields__) - {"payload_horizons"}
        other = await keeper(store).look("default")
        deliveries = await list_deliveries(store)
        pieces = await delete(store, "acme")
        assert len(pieces) > 5
        for piece in pieces:
            bounds = msgspec.structs.asdict(piece)
            assert bounds.pop("endpoints") <= 4  # some are removed, and some go
            assert max(bounds.values()) <= 2
        total = {
            name: sum(getattr(piece, name) for piece in pieces)
            for name in TenantRows.__struct_fields__
        }
        stopped = 3
        assert total == msgspec.structs.asdict(before) | {"endpoints": before.endpoints + stopped}
        assert await keeper(store).look("default") == other
        assert await list_deliveries(store) == deliveries
        assert await list_deliveries(store, tenant="acme") == []
        assert not (await store.delivery_store.list_events(EventQuery(tenant="acme"))).items


async def test_nothing_new_is_taken_from_the_beginning_to_the_end(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await settle_in(store, "acme")
        await keeper(store).begin("acme", T0)
        used = new_event(tenant="acme", id="order-1", ordering_key="a")
        other = new_event()
        with pytest.raises(Conflict, match="acme is being deleted") as refused:
            await emit(store, other, new_event(tenant="acme"))
        assert [error.pointer for error in refused.value.errors] == ["/1/tenant"]
        with pytest.raises(Conflict, match="is being deleted"):
            await emit(store, used)
        with pytest.raises(Conflict, match="is being deleted") as refused:
            await add(store, new_endpoint(), new_endpoint(tenant="acme"))
        assert [error.pointer for error in refused.value.errors] == ["/1/tenant"]
        with pytest.raises(Conflict, match="is being deleted"):
            await begin(store, RecoveryKind.FAILED, tenant="acme")
        with pytest.raises(Conflict, match="is being deleted"):
            await access(store).add_token(new_token(tenant="acme"))
        assert (await keeper(store).look("default")).rows == NOTHING
        await emit(store, other)
        await access(store).add_token(new_token(tenant=None))
        await delete(store, "acme")
        [again] = (await emit(store, used)).events
        assert not again.duplicate
        await add_one(store, tenant="acme", external_id="crm")


async def test_what_is_under_way_settles_to_nothing_and_is_never_claimed_again(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        leased = await settle_in(store, "acme")
        assert leased
        await keeper(store).begin("acme", T0)
        await keeper(store).remove_some("acme", T0, 100)
        assert (await claim(store, T0 + 90 * SECOND_MS)).claimed == []
        await delete(store, "acme")
        settled = await store.delivery_store.settle(
            [exhausted(delivery) for delivery in leased] + [succeeded(leased[0])]
        )
        assert (settled.applied, settled.notices) == ([], [])
        assert (await keeper(store).look("acme")).rows == NOTHING


async def test_endpoints_stop_with_the_first_piece(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        theirs = await add_one(store, tenant="acme")
        mine = await add_one(store)
        await emit(store, *(new_event(tenant="acme") for _ in range(9)), new_event())
        await keeper(store).begin("acme", T0)
        await keeper(store).remove_some("acme", T0, 1)
        assert await store.endpoint_store.get(None, theirs.id) is None
        assert [ref.endpoint_id for ref in refs_of((await claim(store)).claimed)] == [mine.id]


async def test_two_at_once_and_one_that_takes_over_do_no_harm(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await settle_in(store, "acme")
        await settle_in(store, "other")
        others = await keeper(store).look("other")
        await keeper(store).begin("acme", T0)
        await keeper(store).remove_some("acme", T0, 1)
        # Here somebody has died, and two come.
        await asyncio.gather(delete(store, "acme"), delete(store, "acme"))
        assert await keeper(store).look("other") == others


async def test_it_does_not_end_while_anything_is_left(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await settle_in(store, "acme")
        await keeper(store).begin("acme", T0)
        await keeper(store).begin("acme", T0 + SECOND_MS)
        early = await keeper(store).end("acme", T0 + KNOWN_FOR_MS)
        assert early.deleting_since == T0
        assert early.rows == (await keeper(store).look("acme")).rows != NOTHING
        while await keeper(store).remove_some("acme", T0, 100):
            pass
        # Something that was done meanwhile.
        await write(store, new_entry(tenant="acme"))
        left = await keeper(store).end("acme", T0 + KNOWN_FOR_MS)
        assert (left.rows, left.deleting_since) == (TenantRows(audit_log=1), T0)
        await delete(store, "acme")


async def test_it_does_not_end_before_its_tokens_are_known_no_more(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await access(store).add_token(new_token(tenant="acme"))
        await keeper(store).begin("acme", T0)
        while await keeper(store).remove_some("acme", T0 + 5, 100):
            pass
        early = await keeper(store).end("acme", T0 + 4 + KNOWN_FOR_MS)
        assert (early.rows, early.deleting_since) == (NOTHING, T0)
        assert early.ends_from == T0 + 5 + KNOWN_FOR_MS
        ended = await keeper(store).end("acme", early.ends_from)
        assert ended.deleting_since is None


async def test_nothing_goes_of_a_tenant_whose_deletion_has_not_begun(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await settle_in(store, "acme")
        before = await keeper(store).look("acme")
        assert await keeper(store).remove_some("acme", T0, 100) == NOTHING
        assert await keeper(store).end("acme", T0) == before
        assert await keeper(store).look("acme") == before
