"""A settlement changes only the claim it names, once, however late or often it comes."""

from __future__ import annotations

import pytest

from webhook.domain.ids import DeliveryRef
from webhook.domain.lifecycle import Settlement, cancel, interrupt, postpone, release
from webhook.domain.model import Delivery, DeliveryState, DeliveryStatus, ErrorKind
from webhook.domain.recovery import RecoveryKind
from webhook.ports import CANCELED_BY_HAND, WebhookPersistence

from .builders import (
    LEASE_MS,
    SECOND_MS,
    T0,
    add_with_events,
    claim,
    claim_one,
    exhausted,
    failed,
    finish,
    new_key,
    read,
    renamed,
    settle,
    states,
    succeeded,
)
from .recoveries import LATER, recover
from .stores import Maker, opened


def _given_back(delivery: Delivery) -> list[Settlement]:
    """Return all that gives a claimed delivery back."""
    return [give(delivery, LATER) for give in (release, interrupt)] + [
        postpone(delivery, LATER, LATER + SECOND_MS)
    ]


def _outcomes(delivery: Delivery) -> list[Settlement]:
    """Return all that a claim may come to."""
    ends = [succeeded, failed, exhausted]
    return [
        *(end(delivery, LATER) for end in ends),
        cancel(delivery, LATER, "no"),
        *_given_back(delivery),
    ]


async def _lose_lease(store: WebhookPersistence, delivery: Delivery, now: int) -> None:
    """Let a claimer find that a lease has ended without taking the delivery."""
    await claim(store, now, in_flight={delivery.endpoint_id: 100})
    assert (await read(store, delivery.ref)).state is DeliveryState.READY


async def test_late_settle_does_not_overwrite_a_newer_claim(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        first = await claim_one(store)
        second = await claim_one(store, T0 + LEASE_MS)
        before = await read(store, first.ref)
        late = T0 + LEASE_MS + 1
        for settlement in (
            succeeded(first, late),
            failed(first, late),
            release(first, late),
            cancel(first, late, "no"),
        ):
            assert await settle(store, settlement) == []
            assert await read(store, first.ref) == before
        assert await settle(store, succeeded(second, late)) == [first.ref]


async def test_late_settle_does_not_overwrite_what_a_newer_claim_came_to(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        first = await claim_one(store)
        now = T0 + LEASE_MS
        await settle(store, failed(await claim_one(store, now), now))
        waiting = await read(store, first.ref)
        assert await settle(store, succeeded(first, now)) == []
        assert await read(store, first.ref) == waiting
        await settle(store, succeeded(await claim_one(store, now + SECOND_MS), now + SECOND_MS))
        ended = await read(store, first.ref)
        assert await settle(store, failed(first, now)) == []
        assert await read(store, first.ref) == ended


async def test_a_settle_after_the_lease_counts_while_nobody_has_noticed(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        late = T0 + 3 * LEASE_MS
        assert await settle(store, succeeded(delivery, late)) == [delivery.ref]
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.interruptions) == (DeliveryState.SUCCESS, 0)
        assert [each.status_code for each in stored.attempts] == [200]


async def test_a_late_success_ends_what_nobody_has_claimed_since(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        late = T0 + LEASE_MS
        await _lose_lease(store, delivery, late)
        assert await settle(store, succeeded(delivery, late)) == [delivery.ref]
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.completed_at) == (DeliveryState.SUCCESS, late)
        assert (stored.attempts_made, stored.interruptions) == (1, 0)
        assert [each.error_kind for each in stored.attempts] == [ErrorKind.INTERRUPTED, None]
        found = await claim(store, late)
        assert (found.claimed, found.more, found.next_due_at) == ([], False, None)


async def test_a_late_failure_counts_if_nobody_has_claimed_since(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        late = T0 + LEASE_MS
        await _lose_lease(store, delivery, late)
        assert await settle(store, failed(delivery, late)) == [delivery.ref]
        assert (await claim(store, late + SECOND_MS - 1)).claimed == []
        again = await claim_one(store, late + SECOND_MS)
        assert (again.claim, again.attempts_made, again.interruptions) == (2, 1, 0)


async def test_a_repeated_settle_is_applied_once(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        for settlement in (failed(delivery), failed(delivery), succeeded(delivery)):
            await settle(store, settlement)
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.attempts_made) == (DeliveryState.SCHEDULED, 1)
        assert len(stored.attempts) == 1


async def test_a_repeated_settle_changes_nothing_after_its_retry_fell_due(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        settlement = failed(delivery)
        await settle(store, settlement)
        await claim(store, T0 + SECOND_MS, in_flight={delivery.endpoint_id: 100})
        ready = await read(store, delivery.ref)
        assert ready.state is DeliveryState.READY
        assert await settle(store, settlement) == []
        assert await read(store, delivery.ref) == ready


async def test_a_repeated_settle_does_not_end_the_run_that_a_replay_started(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 2)
        claimed = (await claim(store)).claimed
        # With and without an attempt: the count of attempts alone does not tell the second.
        settlements = [exhausted(claimed[0].delivery), cancel(claimed[1].delivery, T0, "no")]
        assert await settle(store, *settlements) == sorted(refs)
        for ref in refs:
            await store.delivery_store.replay(None, ref, T0)
        assert await settle(store, *settlements) == []
        assert await states(store, *refs) == [DeliveryState.READY] * 2


async def test_a_repeated_release_is_applied_once(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        assert await settle(store, release(delivery, T0)) == [delivery.ref]
        assert await settle(store, release(delivery, T0 + 9)) == []
        assert (await read(store, delivery.ref)).due_at == T0


@pytest.mark.parametrize("by", ["hand", "recovery"])
@pytest.mark.parametrize("lease", ["runs", "ran out", "ran out and was given back"])
async def test_what_is_canceled_and_replayed_is_closed_to_the_settle_of_the_run_before(
    maker: Maker, by: str, lease: str
) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        claimed = await claim_one(store)
        if lease != "runs":
            await _lose_lease(store, claimed, T0 + LEASE_MS)
        if lease == "ran out and was given back":
            claimed = await claim_one(store, T0 + LEASE_MS)
            await settle(store, release(claimed, T0 + LEASE_MS))
        await store.delivery_store.cancel(None, claimed.ref, LATER, CANCELED_BY_HAND)
        if by == "hand":
            await store.delivery_store.replay(None, claimed.ref, LATER)
        else:
            await recover(store, RecoveryKind.FILTER, status=DeliveryStatus.CANCELED)
        again = await read(store, claimed.ref)
        assert (again.state, again.claim) == (DeliveryState.READY, claimed.claim)
        for settlement in _outcomes(claimed):
            assert await settle(store, settlement) == []
        assert await read(store, claimed.ref) == again


async def test_what_was_given_back_is_closed_to_all_that_gives_it_back_again(maker: Maker) -> None:
    """Also when an earlier lease of it was interrupted, which a ready one cannot tell apart."""
    async with opened(maker) as store:
        await add_with_events(store, 1)
        await _lose_lease(store, await claim_one(store), T0 + LEASE_MS)
        claimed = await claim_one(store, T0 + LEASE_MS)
        assert await settle(store, release(claimed, T0 + LEASE_MS)) == [claimed.ref]
        before = await read(store, claimed.ref)
        for settlement in _given_back(claimed):
            assert await settle(store, settlement) == []
        assert await read(store, claimed.ref) == before
        assert (before.state, before.interruptions) == (DeliveryState.READY, 1)


async def test_nothing_is_given_back_after_its_lease(maker: Maker) -> None:
    """Or the end of one lease would be counted twice, and five of them end a delivery."""
    async with opened(maker) as store:
        await add_with_events(store, 1)
        claimed = await claim_one(store)
        await _lose_lease(store, claimed, T0 + LEASE_MS)
        before = await read(store, claimed.ref)
        for settlement in _given_back(claimed):
            assert await settle(store, settlement) == []
        assert await read(store, claimed.ref) == before
        assert (await claim_one(store, T0 + LEASE_MS)).interruptions == 1


async def test_an_unknown_delivery_is_ignored(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint, refs = await add_with_events(store, 1)
        delivery = await claim_one(store)
        unknown = [
            DeliveryRef(endpoint.id, new_key()),
            DeliveryRef(f"ep_{new_key()}", delivery.key),
        ]
        settlements = [renamed(succeeded(delivery), ref) for ref in unknown]
        assert await settle(store, *settlements) == []
        assert await settle(store) == []
        for ref in unknown:
            assert await store.delivery_store.get_delivery(None, ref) is None
        assert await states(store, *refs) == [DeliveryState.LEASED]


async def test_a_delivery_that_was_never_claimed_cannot_be_settled(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        ready = await read(store, refs[0])
        assert await settle(store, succeeded(ready)) == []
        assert await read(store, refs[0]) == ready


async def test_a_mixed_batch_applies_what_is_right_and_leaves_the_rest(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 6)
        early = [each.delivery for each in (await claim(store, limit=3)).claimed]
        late = T0 + LEASE_MS
        again = [each.delivery for each in (await claim(store, late, limit=2)).claimed]
        assert [each.ref for each in again] == refs[:2]
        applied = await settle(
            store,
            succeeded(early[0], late),  # claimed again since
            failed(again[0], late),
            succeeded(again[1], late),
            exhausted(early[2], late),  # its lease has ended, but nobody claimed it
            renamed(succeeded(early[0], late), DeliveryRef(refs[0].endpoint_id, new_key())),
        )
        assert applied == sorted(refs[:3])
        assert await states(store, *refs) == [
            DeliveryState.SCHEDULED,
            DeliveryState.SUCCESS,
            DeliveryState.EXHAUSTED,
            *[DeliveryState.READY] * 3,
        ]


async def test_an_ended_delivery_is_settled_no_more(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        ended = await finish(store, refs[0])
        assert await settle(store, failed(ended), cancel(ended, T0, "no")) == []
        assert await read(store, refs[0]) == ended
