"""A settlement brings a claimed delivery to its next state and keeps its attempt."""

from __future__ import annotations

from webhook.domain.health import CIRCUIT_MS_MAX
from webhook.domain.lifecycle import cancel, give_up, interrupt, postpone, release
from webhook.domain.model import (
    ATTEMPTS_FIRST_KEPT,
    ATTEMPTS_LAST_KEPT,
    Attempt,
    Delivery,
    DeliveryState,
    DeliveryStatus,
    ErrorKind,
)
from webhook.ports import WebhookPersistence

from .builders import (
    LEASE_MS,
    SECOND_MS,
    T0,
    add_one,
    add_with_events,
    claim,
    claim_one,
    emit,
    exhausted,
    failed,
    first_attempts,
    new_event,
    read,
    settle,
    states,
    succeeded,
    with_attempt,
)
from .stores import Maker, opened


async def _lose_lease(store: WebhookPersistence, delivery: Delivery, now: int) -> None:
    """Let a claimer find that a lease has ended without taking the delivery."""
    await claim(store, now, in_flight={delivery.endpoint_id: 100})
    assert (await read(store, delivery.ref)).state is DeliveryState.READY


async def test_a_success_ends_the_delivery(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        assert await settle(store, succeeded(delivery, T0 + 20)) == [delivery.ref]
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.status) == (DeliveryState.SUCCESS, DeliveryStatus.SUCCESS)
        assert (stored.completed_at, stored.due_at, stored.reason) == (T0 + 20, None, None)
        assert (stored.claim, stored.attempts_made, stored.interruptions) == (1, 1, 0)
        assert stored.attempts == (
            Attempt(number=1, started_at=T0 + 20, latency_ms=12, status_code=200),
        )
        assert (await claim(store, T0 + 10 * LEASE_MS)).claimed == []


async def test_a_first_attempt_is_settled_like_any_other(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        result = await emit(store, new_event(), first=first_attempts(1))
        delivery = result.claimed[0].delivery
        assert await settle(store, succeeded(delivery)) == [delivery.ref]
        assert await states(store, delivery.ref) == [DeliveryState.SUCCESS]


async def test_a_failure_waits_for_its_retry(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        await settle(store, failed(delivery, T0 + 3, retry_in_ms=SECOND_MS))
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.status) == (DeliveryState.SCHEDULED, DeliveryStatus.PENDING)
        assert (stored.due_at, stored.completed_at) == (T0 + 3 + SECOND_MS, None)
        assert (stored.claim, stored.attempts_made) == (1, 1)
        assert stored.attempts == (
            Attempt(
                number=1,
                started_at=T0 + 3,
                latency_ms=12,
                error_kind=ErrorKind.TIMEOUT,
                error="It failed.",
            ),
        )


async def test_every_field_of_an_attempt_is_kept(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        settlement = succeeded(await claim_one(store))
        attempt = Attempt(
            number=1,
            started_at=T0 + 1,
            latency_ms=2,
            status_code=599,
            error_kind=ErrorKind.HTTP_STATUS,
            error="Größe 🎉 ' \" \\",
            response='{"é": "\\u0000 \n"}',
            note="cut",
            manual=True,
        )
        await settle(store, with_attempt(settlement, attempt))
        assert (await read(store, settlement.ref)).attempts == (attempt,)


async def test_retries_used_up_keep_their_reason(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        settlement = exhausted(delivery, T0 + 5)
        await settle(store, settlement)
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.completed_at) == (DeliveryState.EXHAUSTED, T0 + 5)
        assert stored.reason == settlement.reason
        assert stored.reason is not None


async def test_a_cancel_ends_a_delivery_without_an_attempt(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        await settle(store, cancel(delivery, T0 + 5, "nobody wants it"))
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.reason) == (DeliveryState.CANCELED, "nobody wants it")
        assert (stored.completed_at, stored.attempts_made, stored.attempts) == (T0 + 5, 0, ())


async def test_a_release_counts_nothing(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        assert await settle(store, release(delivery, T0 + 5)) == [delivery.ref]
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.due_at, stored.claim) == (DeliveryState.READY, T0 + 5, 1)
        assert (stored.attempts_made, stored.attempts, stored.interruptions) == (0, (), 0)


async def test_a_postponed_delivery_waits_uncounted(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store)
        until = T0 + 90 * SECOND_MS
        await settle(store, postpone(delivery, T0, until))
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.due_at) == (DeliveryState.SCHEDULED, until)
        assert (stored.attempts_made, stored.attempts) == (0, ())
        assert (await claim(store, until - 1)).claimed == []
        again = await claim_one(store, until)
        assert (again.claim, again.interruptions) == (2, 0)


async def test_an_attempt_ends_a_row_of_interruptions(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        await claim_one(store)
        delivery = await claim_one(store, T0 + LEASE_MS)
        assert delivery.interruptions == 1
        await settle(store, failed(delivery, T0 + LEASE_MS))
        assert (await read(store, delivery.ref)).interruptions == 0


async def test_giving_back_keeps_a_row_of_interruptions(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        await claim_one(store)
        now = T0 + LEASE_MS
        await settle(store, release(await claim_one(store, now), now))
        delivery = await claim_one(store, now)
        assert delivery.interruptions == 1
        await settle(store, postpone(delivery, now, now + 1))
        assert (await claim_one(store, now + 1)).interruptions == 1


async def test_a_lease_that_is_ended_early_is_one_more_interruption(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        delivery = await claim_one(store, T0)
        await settle(store, interrupt(delivery, T0 + 1))
        delivery = await claim_one(store, T0 + 1)
        assert delivery.interruptions == 1
        await settle(store, interrupt(delivery, T0 + 2))
        await claim_one(store, T0 + 2)
        stored = await read(store, delivery.ref)
        assert (stored.claim, stored.attempts_made, stored.interruptions) == (3, 0, 2)
        assert [(each.started_at, each.error_kind) for each in stored.attempts] == [
            (T0 + 1, ErrorKind.INTERRUPTED),
            (T0 + 2, ErrorKind.INTERRUPTED),
        ]


async def test_giving_up_ends_an_interrupted_delivery(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_with_events(store, 1)
        for times in range(5):
            await claim_one(store, T0 + times * LEASE_MS)
        delivery = await claim_one(store, T0 + 5 * LEASE_MS)
        settlement = give_up(delivery, T0 + 5 * LEASE_MS)
        assert settlement is not None
        assert await settle(store, settlement) == [delivery.ref]
        stored = await read(store, delivery.ref)
        assert (stored.state, stored.reason) == (DeliveryState.EXHAUSTED, settlement.reason)
        assert (stored.attempts_made, stored.interruptions) == (0, 0)


async def test_a_hundred_settlements_are_one_settle(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 100)
        claimed = (await claim(store)).claimed
        assert await settle(store, *(succeeded(each.delivery) for each in claimed)) == sorted(refs)
        assert set(await states(store, *refs)) == {DeliveryState.SUCCESS}


async def test_the_log_keeps_the_first_and_the_last_attempts(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        now, total = T0, ATTEMPTS_FIRST_KEPT + ATTEMPTS_LAST_KEPT + 7
        for number in range(1, total + 1):
            delivery = await claim_one(store, now)
            await settle(store, failed(delivery, now))
            # Nothing is sent to an endpoint for a while that keeps failing.
            now += CIRCUIT_MS_MAX + SECOND_MS
            if number == ATTEMPTS_FIRST_KEPT + ATTEMPTS_LAST_KEPT:
                full = await read(store, refs[0])
                assert [each.number for each in full.attempts] == list(range(1, number + 1))
        stored = await read(store, refs[0])
        assert [each.number for each in stored.attempts] == [
            *range(1, ATTEMPTS_FIRST_KEPT + 1),
            *range(total - ATTEMPTS_LAST_KEPT + 1, total + 1),
        ]
        assert stored.attempts_made == total


async def test_interruptions_have_their_place_in_the_log(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 1)
        total = ATTEMPTS_FIRST_KEPT + ATTEMPTS_LAST_KEPT + 3
        for times in range(total + 1):
            await claim_one(store, T0 + times * LEASE_MS)
        stored = await read(store, refs[0])
        ends = [T0 + (times + 1) * LEASE_MS for times in range(total)]
        assert [each.started_at for each in stored.attempts] == [
            *ends[:ATTEMPTS_FIRST_KEPT],
            *ends[-ATTEMPTS_LAST_KEPT:],
        ]
