"""A recovery is started once, goes on piece by piece wherever it was left, and can be stopped."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from webhook.domain.model import DeliveryState
from webhook.domain.recovery import RecoveryKind, RecoveryStatus
from webhook.ports import CANCELED_BY_HAND, DOUBLE_CLICK_MS, RecoveryQuery

from .builders import DAY_MS, T0, add_with_events, claim_all, read, settle, states, succeeded
from .recoveries import HOUR_MS, LATER, begin, end_all, keeper, new_recovery, piece, recover
from .stores import Maker, opened

FAILED = RecoveryKind.FAILED


async def test_a_recovery_is_kept_as_it_was_started(maker: Maker) -> None:
    async with opened(maker) as store:
        wished = new_recovery(FAILED, endpoint_id="ep_a", since=T0, status="failed")
        assert await keeper(store).start(wished) == wished
        assert await keeper(store).get(None, wished.id) == wished
        assert await keeper(store).get("default", wished.id) == wished
        assert await keeper(store).get("acme", wished.id) is None
        assert await keeper(store).get(None, "rcv_unknown") is None
        assert await keeper(store).running(10) == [wished]


async def test_the_same_wish_returns_the_one_that_runs(maker: Maker) -> None:
    async with opened(maker) as store:
        first = await begin(store, FAILED, endpoint_id="ep_a", since=T0)
        again = await begin(store, FAILED, endpoint_id="ep_a", since=T0, at=LATER + HOUR_MS)
        assert again == first
        others = [
            await begin(store, FAILED, endpoint_id="ep_a", since=T0 + 1),
            await begin(store, FAILED, endpoint_id="ep_b", since=T0),
            await begin(store, RecoveryKind.ALL, endpoint_id="ep_a", since=T0),
            await begin(store, FAILED, endpoint_id="ep_a", since=T0, until=LATER),
            await begin(store, FAILED, endpoint_id="ep_a", since=T0, tenant="acme"),
        ]
        assert len({first.id, *(other.id for other in others)}) == 6


async def test_of_twenty_that_click_at_once_all_get_the_same_one(maker: Maker) -> None:
    async with opened(maker) as store:
        started = await asyncio.gather(
            *(begin(store, FAILED, endpoint_id="ep_a", since=T0) for _ in range(20))
        )
        assert len({recovery.id for recovery in started}) == 1
        assert len(await keeper(store).running(100)) == 1


async def test_a_second_click_finds_what_was_done_just_now(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, _ = await add_with_events(store, 1)
        wish: dict[str, Any] = {"endpoint_id": endpoint.id, "since": T0}
        done, _ = await recover(store, FAILED, **wish)
        assert done.status is RecoveryStatus.DONE
        soon = await begin(store, FAILED, **wish, at=LATER + DOUBLE_CLICK_MS)
        assert soon == done
        later = await begin(store, FAILED, **wish, at=LATER + DOUBLE_CLICK_MS + 1)
        assert later.running


async def test_one_that_was_stopped_can_be_started_anew_at_once(maker: Maker) -> None:
    async with opened(maker) as store:
        first = await begin(store, FAILED, endpoint_id="ep_a", since=T0)
        await keeper(store).cancel(None, first.id, LATER, CANCELED_BY_HAND)
        second = await begin(store, FAILED, endpoint_id="ep_a", since=T0)
        assert second.id != first.id
        assert second.running


async def test_starting_again_under_the_same_id_returns_what_became_of_it(maker: Maker) -> None:
    async with opened(maker) as store:
        wished = new_recovery(FAILED, endpoint_id="ep_a", since=T0)
        started = await keeper(store).start(wished)
        done, _ = await piece(store, started)
        assert await keeper(store).start(wished) == done


async def test_a_recovery_goes_on_where_it_was_left(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 25)
        await end_all(store, dead=set(refs))
        recovery = await begin(store, FAILED, endpoint_id=endpoint.id, since=T0)
        recovery, found = await piece(store, recovery, limit=10)
        assert found.replays == refs[:10]
        # Whoever did that is gone; another one reads what there is to do.
        [left] = await keeper(store).running(10)
        assert left == recovery
        assert (left.replayed, left.scanned) == (10, 10)
        left, found = await piece(store, left, limit=10)
        assert found.replays == refs[10:20]
        left, found = await piece(store, left, limit=10)
        assert found.replays == refs[20:]
        assert (left.status, left.replayed, left.scanned) == (RecoveryStatus.DONE, 25, 25)
        assert await keeper(store).running(10) == []


async def test_a_piece_that_two_do_is_done_once(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 10)
        await end_all(store, dead=set(refs))
        recovery = await begin(store, FAILED, endpoint_id=endpoint.id, since=T0)
        found = await keeper(store).scan(recovery, None, 4, 1000)
        first = await keeper(store).advance(recovery, found, LATER)
        # Meanwhile what it brought has been sent, and failed once more.
        await end_all(store, dead=set(refs), now=LATER)
        again = await keeper(store).advance(recovery, found, LATER + 1)
        assert again == first
        assert first.replayed == 4
        assert (await read(store, refs[0])).state is DeliveryState.EXHAUSTED


async def test_what_fails_again_is_not_replayed_again(maker: Maker) -> None:
    async with opened(maker) as store:
        # Few enough that their failures do not open the endpoint's circuit.
        endpoint, refs = await add_with_events(store, 4)
        await end_all(store, dead=set(refs))
        recovery = await begin(store, FAILED, endpoint_id=endpoint.id, since=T0)
        pieces = 0
        while recovery.running:
            recovery, _ = await piece(store, recovery, limit=2)
            await end_all(store, dead=set(refs), now=LATER)
            pieces += 1
        assert recovery.replayed == 4
        assert pieces <= 3
        assert [(await read(store, ref)).attempts_made for ref in refs] == [2] * 4


async def test_a_stopped_recovery_does_no_more(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 6)
        await end_all(store, dead=set(refs))
        recovery = await begin(store, FAILED, endpoint_id=endpoint.id, since=T0)
        recovery, _ = await piece(store, recovery, limit=2)
        found = await keeper(store).scan(recovery, None, 2, 1000)
        stopped = await keeper(store).cancel(None, recovery.id, LATER + 1, CANCELED_BY_HAND)
        assert stopped == msgspec.structs.replace(
            recovery,
            status=RecoveryStatus.CANCELED,
            reason=CANCELED_BY_HAND,
            updated_at=LATER + 1,
        )
        assert await keeper(store).advance(recovery, found, LATER + 2) == stopped
        assert await keeper(store).running(10) == []
        assert await states(store, *refs[:3]) == [
            DeliveryState.READY,
            DeliveryState.READY,
            DeliveryState.EXHAUSTED,
        ]


async def test_one_that_has_ended_is_not_stopped(maker: Maker) -> None:
    async with opened(maker) as store:
        done, _ = await recover(store, FAILED, endpoint_id="ep_a", since=T0)
        assert await keeper(store).cancel(None, done.id, LATER + 9, "too late") == done
        assert await keeper(store).cancel(None, "rcv_unknown", LATER, "unknown") is None
        running = await begin(store, FAILED, endpoint_id="ep_b", since=T0)
        assert await keeper(store).cancel("acme", running.id, LATER, "not yours") is None
        assert await keeper(store).get(None, running.id) == running


async def test_recoveries_take_turns(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 10)
        await end_all(store, dead=set(refs))
        wish = {"endpoint_id": endpoint.id}
        older = await begin(store, FAILED, **wish, since=T0, at=LATER)
        younger = await begin(store, FAILED, **wish, since=T0 + 1, at=LATER + 1)
        assert [r.id for r in await keeper(store).running(10)] == [older.id, younger.id]
        await piece(store, older, limit=1, now=LATER + 2)
        assert [r.id for r in await keeper(store).running(10)] == [younger.id, older.id]
        assert [r.id for r in await keeper(store).running(1)] == [younger.id]


async def test_a_list_is_newest_first_and_of_one_tenant(maker: Maker) -> None:
    async with opened(maker) as store:
        mine = [await begin(store, FAILED, since=at, at=LATER + at) for at in range(5)]
        await begin(store, FAILED, since=T0, tenant="acme")
        found: list[str] = []
        after = None
        for _ in range(10):
            page = await keeper(store).list(RecoveryQuery(limit=2, after=after))
            assert len(page.items) <= 2
            found += [recovery.id for recovery in page.items]
            after = page.after
            if after is None:
                break
        assert found == [recovery.id for recovery in reversed(mine)]


async def test_old_ones_are_forgotten_unless_they_run(maker: Maker) -> None:
    async with opened(maker) as store:
        runs = await begin(store, FAILED, since=0)
        for since in range(1, 6):
            done = await begin(store, FAILED, since=since)
            await piece(store, done)
        young = await begin(store, FAILED, since=7, at=LATER + DAY_MS)
        await piece(store, young)
        assert await keeper(store).remove_ended(LATER + 1, 3) == 3
        assert await keeper(store).remove_ended(LATER + 1, 3) == 2
        assert await keeper(store).remove_ended(LATER + 1, 3) == 0
        left = (await keeper(store).list(RecoveryQuery())).items
        assert [recovery.id for recovery in left] == [young.id, runs.id]


async def test_a_recovery_of_nothing_is_done_at_once(maker: Maker) -> None:
    async with opened(maker) as store:
        for kind in RecoveryKind:
            recovery, did = await recover(store, kind, endpoint_id="ep_a", since=T0)
            assert (recovery.status, did) == (RecoveryStatus.DONE, [])
            assert (recovery.scanned, recovery.replayed, recovery.made) == (0, 0, 0)


async def test_a_replayed_delivery_counts_as_pending_from_the_recovery_on(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 1)
        await end_all(store, dead=set(refs))
        before = await read(store, refs[0])
        await recover(store, FAILED, endpoint_id=endpoint.id, since=T0)
        assert await read(store, refs[0]) == msgspec.structs.replace(
            before,
            state=DeliveryState.READY,
            due_at=LATER,
            run_start=1,
            run_started_at=LATER,
            reason=None,
            completed_at=None,
        )
        [claimed] = await claim_all(store, LATER)
        assert await settle(store, succeeded(claimed.delivery, LATER)) == refs
