"""The machine's clock and chance: they wait without leaving anything, and touch nothing early."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from webhook.adapters.system import SystemChance, SystemClock


def test_now_is_the_wall_clock_in_ms() -> None:
    before = time.time_ns() // 1_000_000
    now = SystemClock().now_ms()
    assert isinstance(now, int)
    assert before <= now <= time.time_ns() // 1_000_000


def test_monotonic_time_is_in_ms_and_never_goes_back() -> None:
    clock = SystemClock()
    times = [clock.monotonic_ms() for _ in range(100)]
    assert times == sorted(times)
    assert abs(times[0] - time.monotonic() * 1000) < 60_000


def others() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def test_waiting_ends_when_the_event_is_set() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, event.set)
    assert await SystemClock().wait(event, 30_000)
    event.clear()
    asyncio.get_running_loop().call_later(0.02, event.set)
    assert await SystemClock().wait(event, None)
    assert others() == set()


async def test_waiting_ends_when_time_is_up_and_leaves_no_task() -> None:
    event = asyncio.Event()
    for timeout_ms in (-1, 0, 0.5, 10):
        assert not await SystemClock().wait(event, timeout_ms)
    assert others() == set()
    assert not event._waiters


async def test_an_event_that_is_set_does_not_wait() -> None:
    event = asyncio.Event()
    event.set()
    for timeout_ms in (None, 0, -5, 30_000):
        assert await SystemClock().wait(event, timeout_ms)


async def test_waiting_for_nothing_lets_others_run() -> None:
    ran = asyncio.Event()
    other = asyncio.create_task(asyncio.to_thread(time.sleep, 0))
    asyncio.get_running_loop().call_soon(ran.set)
    for _ in range(3):
        await SystemClock().wait(asyncio.Event(), 0)
    assert ran.is_set()
    await other


async def test_cancelling_a_wait_cancels_it() -> None:
    event = asyncio.Event()
    task = asyncio.create_task(SystemClock().wait(event, 30_000))
    await asyncio.sleep(0)
    task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError)
    assert not event._waiters


def test_chance_is_in_its_range_and_not_the_same_twice() -> None:
    chance = SystemChance()
    numbers = [chance.uniform() for _ in range(1_000)]
    assert all(0 <= number < 1 for number in numbers)
    assert len(set(numbers)) == 1_000
    assert 0.3 < sum(numbers) / 1_000 < 0.7
    assert len(chance.random_bytes(32)) == 32
    assert chance.random_bytes(32) != chance.random_bytes(32)


def test_importing_and_building_draw_no_entropy_and_read_no_clock() -> None:
    """A Worker may do neither before its first request."""
    program = (
        "import asyncio, os, time\n"
        "def forbidden(*_): raise SystemExit('touched at start')\n"
        "os.urandom = time.time = time.time_ns = time.monotonic = forbidden\n"
        "from webhook.adapters.system import SystemChance, SystemClock\n"
        "SystemClock(), SystemChance()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
