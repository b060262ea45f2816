"""The wake-up of one process: at once, or later, with one timer at most."""

from __future__ import annotations

import asyncio

import pytest

from webhook.adapters.asyncio_wake import AsyncioWake

HOUR_MS = 3_600_000


@pytest.mark.parametrize("delay_ms", [0, -5])
async def test_a_hint_for_now_sets_the_event_at_once(delay_ms: int) -> None:
    wake = AsyncioWake()
    await wake.wake(delay_ms)
    assert wake.event.is_set()
    wake.clear()
    assert not wake.event.is_set()


async def test_a_hint_for_later_sets_it_later() -> None:
    wake = AsyncioWake()
    await wake.wake(20)
    assert not wake.event.is_set()
    async with asyncio.timeout(30):
        await wake.event.wait()


async def test_an_earlier_hint_replaces_a_later_one() -> None:
    wake = AsyncioWake()
    await wake.wake(HOUR_MS)
    await wake.wake(20)
    async with asyncio.timeout(30):
        await wake.event.wait()
    assert wake._timer is None


async def test_a_later_hint_does_not_put_off_an_earlier_one() -> None:
    wake = AsyncioWake()
    await wake.wake(20)
    await wake.wake(HOUR_MS)
    async with asyncio.timeout(30):
        await wake.event.wait()


async def test_ten_thousand_hints_are_one_timer() -> None:
    wake = AsyncioWake()
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined] # C's
    before = len(scheduled)
    for number in range(10_000):
        await wake.wake(HOUR_MS + (number * 7919) % 10_000)
    live = [handle for handle in scheduled if not handle.cancelled()]
    assert len(live) - before <= 1
    wake.close()


async def test_after_it_rang_a_new_timer_can_be_set() -> None:
    wake = AsyncioWake()
    for _ in range(3):
        await wake.wake(5)
        async with asyncio.timeout(30):
            await wake.event.wait()
        wake.clear()


async def test_clearing_keeps_the_timer_and_closing_stops_it() -> None:
    wake = AsyncioWake()
    await wake.wake(10)
    wake.clear()
    async with asyncio.timeout(30):
        await wake.event.wait()
    wake.clear()
    await wake.wake(10)
    wake.close()
    await asyncio.sleep(0.1)
    assert not wake.event.is_set()


def test_it_is_built_without_a_loop_and_outlives_one() -> None:
    wake = AsyncioWake()
    asyncio.run(wake.wake(20))

    async def again() -> None:
        # The first loop took its timer with it; that one is due earlier, but never rings.
        await wake.wake(40)
        async with asyncio.timeout(30):
            await wake.event.wait()

    asyncio.run(again())
