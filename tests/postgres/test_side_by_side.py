"""Several processes on one database get in nobody's way: what D1 and SQLite give for nothing."""

from __future__ import annotations

import asyncio

from tests.contract.builders import (
    T0,
    add,
    add_one,
    changed,
    claim,
    claim_all,
    emit,
    failed,
    new_endpoint,
    new_event,
    new_events,
    read,
    refs_of,
    settle,
    states,
    succeeded,
    sweep_all,
)
from tests.postgres.servers import fresh_address
from webhook.adapters.postgres import initialize_webhook_schema
from webhook.domain.errors import Conflict
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import DeliveryState, NewEvent
from webhook.ports import AcceptResult, Claimed, WebhookPersistence

type Stores = list[WebhookPersistence]


async def test_of_several_that_migrate_at_once_one_does_it() -> None:
    address = fresh_address()
    applied = await asyncio.gather(*(initialize_webhook_schema(address) for _ in range(4)))
    assert sorted(len(names) for names in applied)[:3] == [0, 0, 0]
    assert sum(map(len, applied)) > 0


async def test_claimers_share_no_delivery_and_leave_none(several: Stores) -> None:
    await add(several[0], *(new_endpoint() for _ in range(5)))
    await emit(several[0], *new_events(60))

    async def work(store: WebhookPersistence) -> list[Claimed]:
        return await claim_all(store, T0, limit=7, per_endpoint=3)

    claimed = [one for each in await asyncio.gather(*map(work, several)) for one in each]
    assert len(claimed) == len(set(refs_of(claimed))) == 300
    assert {one.delivery.claim for one in claimed} == {1}


async def test_a_limit_holds_over_all_claimers(several: Stores) -> None:
    await add_one(several[0], concurrency_max=3)
    await emit(several[0], *new_events(40))
    for _ in range(5):
        claims = await asyncio.gather(*(claim(store, limit=2) for store in several * 2))
        claimed = [one for each in claims for one in each.claimed]
        claimed += await claim_all(several[0], T0)
        assert len(claimed) == 3
        await settle(several[1], *(succeeded(one.delivery) for one in claimed))


async def test_a_line_never_stands_still_while_it_is_joined_and_left(several: Stores) -> None:
    endpoint = await add_one(several[0])
    events: list[NewEvent] = []

    async def join(store: WebhookPersistence) -> None:
        for _ in range(12):
            event = new_event(ordering_key="k")
            events.append(event)
            await emit(store, event)

    async def leave(store: WebhookPersistence) -> None:
        while joining:
            taken = (await claim(store, T0)).claimed
            assert len(taken) <= 1
            await settle(store, *(succeeded(one.delivery) for one in taken))

    async with asyncio.TaskGroup() as group:
        joining = {group.create_task(join(store)) for store in several[:2]}
        for task in joining:
            task.add_done_callback(joining.discard)
        for store in several[2:]:
            group.create_task(leave(store))
    while taken := (await claim(several[0], T0)).claimed:
        await settle(several[0], *(succeeded(one.delivery) for one in taken))
    refs = [DeliveryRef(endpoint.id, event.key) for event in events]
    assert set(await states(several[0], *refs)) == {DeliveryState.SUCCESS}


async def test_a_settle_that_is_repeated_beside_the_first_counts_once(several: Stores) -> None:
    endpoint = await add_one(several[0])
    await emit(several[0], *new_events(4))
    claimed = (await claim(several[0])).claimed
    settlements = [failed(one.delivery) for one in claimed]
    applied = await asyncio.gather(*(settle(store, *settlements) for store in several))
    assert sorted(map(len, applied)) == [0, 0, 0, 4]
    stored = await several[0].endpoint_store.get(None, endpoint.id)
    assert stored is not None
    assert stored.failures == 4


async def test_calls_with_the_same_names_in_any_order_are_all_answered(several: Stores) -> None:
    await add_one(several[0])

    async def call(store: WebhookPersistence, numbers: range) -> AcceptResult:
        return await emit(store, *(new_event(id=f"evt-{n}") for n in numbers))

    orders = (range(20), range(19, -1, -1))
    results = await asyncio.gather(*(call(store, order) for store in several for order in orders))
    firsts = [event for each in results for event in each.events if not event.duplicate]
    assert len(firsts) == 20
    assert all(event.delivery_count == 1 for each in results for event in each.events)


async def test_of_two_changes_of_an_endpoint_one_is_made(several: Stores) -> None:
    endpoint = await add_one(several[0])
    names = ["a", "b", "c", "d"]
    outcomes = await asyncio.gather(
        *(
            store.endpoint_store.update(changed(endpoint, name=name))
            for store, name in zip(several, names, strict=True)
        ),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes].count(Conflict) == 3
    await emit(several[0], new_event())
    assert len((await claim(several[0])).claimed) == 1


async def test_a_tenant_gets_no_more_endpoints_than_it_may_have(several: Stores) -> None:
    outcomes = await asyncio.gather(
        *(
            store.endpoint_store.add([new_endpoint(), new_endpoint()], tenant_max=5)
            for store in several
        ),
        return_exceptions=True,
    )
    assert outcomes.count(None) == 2


async def test_retention_beside_a_replay_removes_nothing_that_is_pending(several: Stores) -> None:
    endpoint = await add_one(several[0])
    events = new_events(30)
    await emit(several[0], *events)
    claimed = await claim_all(several[0], T0)
    await settle(several[0], *(succeeded(one.delivery) for one in claimed))
    refs = [DeliveryRef(endpoint.id, event.key) for event in events]
    later = T0 + 1000

    async def replay(store: WebhookPersistence, ref: DeliveryRef) -> bool:
        return await store.delivery_store.replay(None, ref, later) is not None

    replayed, *_ = await asyncio.gather(
        asyncio.gather(*(replay(several[n % 2], ref) for n, ref in enumerate(reversed(refs)))),
        sweep_all(several[2], later, before=later, limit=5),
        sweep_all(several[3], later, before=later, limit=5),
    )
    for ref, there in zip(reversed(refs), replayed, strict=True):
        if there:
            assert (await read(several[0], ref)).state is DeliveryState.READY
    pending = [one.payload for one in await claim_all(several[0], later)]
    assert len(pending) == sum(replayed)
    assert all(pending)
