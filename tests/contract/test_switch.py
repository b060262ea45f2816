"""The operator's switch: nothing is leased while it is turned, nothing is lost, all goes on."""

from __future__ import annotations

from webhook.domain.model import DeliveryState

from .builders import (
    LEASE_MS,
    SECOND_MS,
    T0,
    add_one,
    add_with_events,
    claim,
    emit,
    failed,
    first_attempts,
    new_event,
    read,
    refs_of,
    settle,
    states,
    succeeded,
)
from .stores import Maker, opened


async def test_nothing_is_claimed_while_sending_is_paused(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 3)
        await store.delivery_store.pause_sending(T0)
        found = await claim(store, T0 + SECOND_MS)
        assert (found.claimed, found.more) == ([], False)
        assert (found.next_due_at, found.held_back, found.next_gate_at) == (None, False, None)
        assert await states(store, *refs) == [DeliveryState.READY] * 3


async def test_all_goes_on_when_sending_is_resumed(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 3)
        await store.delivery_store.pause_sending(T0)
        await claim(store)
        await store.delivery_store.resume_sending()
        assert refs_of((await claim(store)).claimed) == refs


async def test_an_accept_stores_but_leases_nothing_while_sending_is_paused(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await store.delivery_store.pause_sending(T0)
        result = await emit(store, new_event(), first=first_attempts(5))
        assert result.events[0].delivery_count == 1
        assert (result.claimed, result.waiting) == ([], True)
        await store.delivery_store.resume_sending()
        assert len((await claim(store)).claimed) == 1


async def test_what_is_under_way_is_settled_as_ever(maker: Maker) -> None:
    async with opened(maker) as store:
        _, refs = await add_with_events(store, 3)
        first, second, _ = (await claim(store)).claimed
        await store.delivery_store.pause_sending(T0)
        await settle(store, succeeded(first.delivery), failed(second.delivery))
        assert await states(store, *refs[:2]) == [DeliveryState.SUCCESS, DeliveryState.SCHEDULED]
        # The retry falls due and the third one's lease ends: both wait, and nobody is to wake.
        found = await claim(store, T0 + LEASE_MS)
        assert (found.claimed, found.more, found.next_due_at) == ([], False, None)
        assert (await read(store, refs[2])).interruptions == 1
        await store.delivery_store.resume_sending()
        assert refs_of((await claim(store, T0 + LEASE_MS)).claimed) == refs[1:]


async def test_the_switch_says_since_when_it_is_turned(maker: Maker) -> None:
    async with opened(maker) as store:
        switch = store.delivery_store
        assert await switch.sending_paused_since() is None
        await switch.pause_sending(T0)
        await switch.pause_sending(T0 + 5)
        assert await switch.sending_paused_since() == T0
        await switch.resume_sending()
        await switch.resume_sending()
        assert await switch.sending_paused_since() is None
        await switch.pause_sending(T0 + 9)
        assert await switch.sending_paused_since() == T0 + 9


async def test_a_paused_store_tells_of_no_gate(joint_maker: Maker) -> None:
    async with opened(joint_maker) as store:
        await add_one(store, rate_limit_per_second=0.1)
        await emit(store, new_event(), new_event())
        assert len((await claim(store)).claimed) == 1
        assert (await claim(store)).next_gate_at is not None
        await store.delivery_store.pause_sending(T0)
        found = await claim(store)
        assert (found.claimed, found.more) == ([], False)
        assert (found.held_back, found.next_gate_at) == (False, None)
