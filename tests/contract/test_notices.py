"""What became of an endpoint or a delivery is noted once, and kept until it is forgotten."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from webhook.domain.event_types import OperationalEventType
from webhook.domain.health import ERROR_AFTER_MS, FAILURES_MAX
from webhook.domain.lifecycle import GONE_REASON, Settlement, give_up
from webhook.domain.model import Delivery, EndpointStatus, ErrorKind
from webhook.domain.notice import ACTIVATED_REASON, FAILING_REASON, SUCCESS_REASON, Notice
from webhook.ports import NOTICES_MAX, WebhookPersistence

from .builders import (
    LEASE_MS,
    SECOND_MS,
    T0,
    add_one,
    changed,
    claim,
    claim_one,
    emit,
    exhausted,
    failed,
    gone,
    new_event,
    new_events,
    succeeded,
)
from .failing import TOOK_MS, fail, open_circuit, stored
from .stores import Maker, opened

DISABLED = OperationalEventType.ENDPOINT_DISABLED
RECOVERED = OperationalEventType.ENDPOINT_RECOVERED
EXHAUSTED = OperationalEventType.DELIVERY_EXHAUSTED


async def noted_by(store: WebhookPersistence, *settlements: Settlement) -> list[Notice]:
    """Settle, and return what this noted; it is then kept too."""
    kept = await kept_by(store)
    notices = (await store.delivery_store.settle(settlements)).notices
    assert sorted(await kept_by(store), key=_id) == sorted([*kept, *notices], key=_id)
    return notices


async def kept_by(store: WebhookPersistence) -> list[Notice]:
    """Return what a sweep finds to be told."""
    return (await store.delivery_store.sweep(T0, 0, 100)).notices


def _id(notice: Notice) -> str:
    return notice.id


async def forget_all(store: WebhookPersistence) -> None:
    await store.delivery_store.forget_notices([n.id for n in await kept_by(store)])
    assert await kept_by(store) == []


# --- dead letters ---------------------------------------------------------------------------------


async def test_a_dead_letter_is_noted_with_its_cause(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        await emit(store, new_event(id="order-7"))
        delivery = await claim_one(store)
        [notice] = await noted_by(store, exhausted(delivery, error_kind=ErrorKind.TLS))
        assert notice == Notice(
            id=notice.id,
            tenant=endpoint.tenant,
            type=EXHAUSTED,
            at=T0,
            endpoint_id=endpoint.id,
            reason="retries used up after 1 attempts",
            url=endpoint.url if store.joint else None,
            key=delivery.key,
            event_id="order-7",
            event_type="message.sent",
            error_kind=ErrorKind.TLS,
            attempts=1,
        )
        await forget_all(store)


async def test_what_was_interrupted_too_often_is_a_dead_letter_too(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, new_event())
        for times in range(5):
            await claim_one(store, T0 + times * LEASE_MS)
        ended = give_up(await claim_one(store, T0 + 5 * LEASE_MS), T0)
        assert ended is not None
        [notice] = await noted_by(store, ended)
        assert (notice.type, notice.error_kind, notice.attempts) == (EXHAUSTED, None, 0)
        assert notice.reason == "interrupted 5 times in a row"


async def test_a_settle_that_is_repeated_notes_nothing_twice(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, new_event())
        settlement = exhausted(await claim_one(store))
        assert len(await noted_by(store, settlement)) == 1
        assert await noted_by(store, settlement) == []
        await forget_all(store)
        assert await noted_by(store, settlement) == []


async def test_each_death_of_a_delivery_is_noted(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, new_event())
        delivery = await claim_one(store)
        [first] = await noted_by(store, exhausted(delivery))
        await store.delivery_store.replay(None, delivery.ref, T0)
        [second] = await noted_by(store, exhausted(await claim_one(store)))
        assert first.id != second.id
        assert (first.attempts, second.attempts) == (1, 2)


@pytest.mark.parametrize("ends", [succeeded, failed])
async def test_other_outcomes_are_no_dead_letters(
    maker: Maker, ends: Callable[[Delivery], Settlement]
) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, new_event())
        assert await noted_by(store, ends(await claim_one(store))) == []


async def test_the_end_of_an_older_claim_is_not_noted(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, new_event())
        old = await claim_one(store)
        await claim_one(store, T0 + LEASE_MS)
        assert await noted_by(store, exhausted(old, T0 + LEASE_MS)) == []


async def test_a_sweep_brings_so_many_at_once(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await add_one(store)
        await emit(store, *new_events(NOTICES_MAX - 10))
        claimed = (await claim(store, limit=NOTICES_MAX)).claimed
        claimed += (await claim(store, limit=NOTICES_MAX)).claimed
        told = 0
        for half in (claimed[:90], claimed[90:]):
            notices = (
                await store.delivery_store.settle([exhausted(one.delivery) for one in half])
            ).notices
            told += len(notices)
        assert told > NOTICES_MAX
        kept = await kept_by(store)
        assert len(kept) == NOTICES_MAX
        await store.delivery_store.forget_notices([notice.id for notice in kept])
        assert len(await kept_by(store)) == told - NOTICES_MAX
        await store.delivery_store.forget_notices(["unknown"])


# --- endpoints ------------------------------------------------------------------------------------


async def test_a_410_is_noted_with_the_delivery_that_met_it(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, new_event())
        delivery = await claim_one(store)
        [notice] = await noted_by(store, gone(delivery))
        assert (notice.type, notice.reason, notice.key) == (DISABLED, GONE_REASON, delivery.key)
        assert (notice.at, notice.url) == (T0 + TOOK_MS, endpoint.url)
        assert (notice.error_kind, notice.attempts) == (ErrorKind.HTTP_STATUS, 1)


async def test_many_410_at_once_disable_once(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await add_one(store)
        await emit(store, *new_events(5))
        first, *rest = (await claim(store)).claimed
        both = [gone(each.delivery) for each in rest[:2]]
        others = (exhausted(rest[2].delivery), failed(first.delivery))
        dead, disabled = sorted(await noted_by(store, *both, *others), key=lambda n: n.type)
        assert (dead.type, disabled.type) == (EXHAUSTED, DISABLED)
        assert disabled.reason == GONE_REASON
        # Whoever is disabled is not disabled again.
        assert await noted_by(store, gone(rest[3].delivery)) == []


async def test_five_days_of_failures_are_noted_once(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await open_circuit(store)
        await forget_all(store)
        late = T0 + ERROR_AFTER_MS
        [probe] = (await claim(store, late)).claimed
        [notice] = await noted_by(store, failed(probe.delivery, late))
        assert (await stored(store, endpoint)).status is EndpointStatus.ERROR
        assert (notice.type, notice.reason) == (DISABLED, FAILING_REASON)
        assert (notice.key, notice.at) == (probe.delivery.key, late + TOOK_MS)


async def test_a_success_that_closes_a_circuit_is_noted(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await open_circuit(store)
        await forget_all(store)
        opens = (await stored(store, endpoint)).open_until or 0
        [probe] = (await claim(store, opens)).claimed
        settlement = succeeded(probe.delivery, opens)
        [notice] = await noted_by(store, settlement)
        assert (notice.type, notice.reason, notice.at) == (RECOVERED, SUCCESS_REASON, opens)
        assert (notice.key, notice.error_kind, notice.attempts) == (probe.delivery.key, None, 1)
        assert await noted_by(store, settlement) == []


async def test_a_success_after_few_failures_is_no_recovery(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await add_one(store)
        await emit(store, *new_events(FAILURES_MAX))
        *failing, last = (await claim(store)).claimed
        await noted_by(store, *(failed(each.delivery) for each in failing))
        assert await noted_by(store, succeeded(last.delivery)) == []


async def test_a_disabled_endpoint_that_is_made_active_has_recovered(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, new_event())
        await noted_by(store, gone(await claim_one(store)))
        await forget_all(store)
        disabled = await stored(store, endpoint)
        back = changed(disabled, status=EndpointStatus.ACTIVE, updated_at=T0 + SECOND_MS)
        await store.endpoint_store.update(back)
        await store.endpoint_store.update(back)  # a repeat
        [notice] = await kept_by(store)
        assert (notice.type, notice.reason) == (RECOVERED, ACTIVATED_REASON)
        assert (notice.at, notice.endpoint_id) == (T0 + SECOND_MS, endpoint.id)
        assert (notice.url, notice.key, notice.attempts) == (endpoint.url, None, None)


async def test_one_that_somebody_had_paused_has_not_recovered(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        paused = changed(endpoint, status=EndpointStatus.INACTIVE)
        await store.endpoint_store.update(paused)
        await store.endpoint_store.update(changed(paused, status=EndpointStatus.ACTIVE))
        assert await kept_by(store) == []


async def test_an_edit_notes_nothing_again(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        await emit(store, new_event())
        await noted_by(store, gone(await claim_one(store)))
        await forget_all(store)
        disabled = await stored(store, endpoint)
        await store.endpoint_store.update(changed(disabled, name="renamed"))
        assert await kept_by(store) == []


async def test_transitions_of_an_endpoint_have_names_of_their_own(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store)
        for _ in range(3):
            await emit(store, new_event())
            await noted_by(store, gone(await claim_one(store)))
            disabled = await stored(store, endpoint)
            await store.endpoint_store.update(changed(disabled, status=EndpointStatus.ACTIVE))
        kept = await kept_by(store)
        assert sorted(n.type for n in kept) == [DISABLED] * 3 + [RECOVERED] * 3
        assert len({notice.id for notice in kept}) == 6


# --- what is told causes nothing ------------------------------------------------------------------


async def test_a_dead_letter_of_an_operational_event_is_not_noted(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store, "delivery.*")
        await emit(store, new_event(EXHAUSTED.value))
        assert await noted_by(store, exhausted(await claim_one(store))) == []


async def test_a_410_to_an_operational_event_disables_without_a_word(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store, "endpoint.*")
        await emit(store, new_event(DISABLED.value))
        assert await noted_by(store, gone(await claim_one(store))) == []
        assert (await stored(store, endpoint)).status is EndpointStatus.ERROR


async def test_a_success_of_an_operational_event_closes_a_circuit_without_a_word(
    joint_maker: Maker,
) -> None:
    async with opened(joint_maker) as store:
        endpoint = await add_one(store, "endpoint.recovered", "message.sent")
        await emit(store, *new_events(FAILURES_MAX))
        await fail(store, FAILURES_MAX, limit=FAILURES_MAX)
        await forget_all(store)
        await emit(store, new_event(RECOVERED.value))
        opens = (await stored(store, endpoint)).open_until or 0
        assert await noted_by(store, succeeded(await claim_one(store, opens), opens)) == []
        assert (await stored(store, endpoint)).failures == 0


async def test_of_a_settle_what_is_not_operational_is_noted(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await add_one(store, "endpoint.disabled", "message.sent")
        event = new_event()
        await emit(store, event, new_event(DISABLED.value))
        claimed = (await claim(store)).claimed
        [notice] = await noted_by(store, *(gone(each.delivery) for each in claimed))
        assert (notice.type, notice.key) == (DISABLED, event.key)
