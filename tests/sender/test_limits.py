"""Slots, deadlines and the life of a sender: nothing starts early, nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import time
import warnings

import pytest

from tests import hostile
from tests.receiver import Answer, Receiver
from tests.sender.attempts import (
    LOOK_S,
    LOOKS,
    Make,
    answer_to,
    post,
)
from webhook.adapters.aiohttp_sender import AiohttpSender

SENT_AT_ONCE_MS = 60_000


async def test_the_deadline_does_not_run_while_waiting_for_a_slot(make_sender: Make) -> None:
    sender = make_sender(connections=1)
    async with Receiver([Answer(200, delay_s=0.3)]) as receiver:
        outcomes = await asyncio.gather(*(post(sender, receiver.url, 3_000) for _ in range(12)))
        assert receiver.active_max == 1
    assert [one.status_code for one in outcomes] == [200] * 12
    assert max(one.latency_ms for one in outcomes) < 3_000
    starts = sorted(one.started_at for one in outcomes)
    assert starts[-1] - starts[0] > 2_500


async def test_no_more_requests_are_under_way_than_connections(make_sender: Make) -> None:
    sender = make_sender(connections=5)
    async with Receiver([Answer(200, delay_s=0.02)]) as receiver:
        await asyncio.gather(*(post(sender, receiver.url) for _ in range(50)))
        assert receiver.active_max <= 5
        assert len(receiver.requests) == 50


async def test_cancelling_ends_the_request_and_frees_its_slot(make_sender: Make) -> None:
    sender = make_sender(connections=1)
    async with Receiver([hostile.never_answers, 200]) as receiver:
        task = asyncio.create_task(post(sender, receiver.url))
        await receiver.wait(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await post(sender, receiver.url)).status_code == 200


async def test_building_a_sender_needs_no_loop_and_opens_nothing(make_sender: Make) -> None:
    sender = await asyncio.to_thread(make_sender)
    assert sender._session is None
    await sender.close()
    assert (await answer_to(sender, 200)).status_code == 200
    await sender.close()
    assert (await answer_to(sender, 200)).status_code == 200


async def test_started_at_is_the_wall_clock(sender: AiohttpSender) -> None:
    before = time.time_ns() // 1_000_000
    outcome = await answer_to(sender, 200)
    assert before <= outcome.started_at <= time.time_ns() // 1_000_000


async def test_nothing_is_left_behind_after_many_bad_attempts(
    make_sender: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """No socket, no task, no complaint of asyncio's about an error that nobody fetched."""
    sender = make_sender()
    files_before = await _open_files()
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        for reply in (hostile.resets, hostile.closes, hostile.resets_after(), hostile.not_http):
            async with Receiver([reply]) as receiver:
                for _ in range(5):
                    await post(sender, receiver.url)
        await answer_to(sender, hostile.never_answers, 50)
        await answer_to(sender, hostile.drips(), 100)
        await sender.close()
        gc.collect()
    assert await _ends_with(files_before + 2)
    assert caplog.records == []


async def _ends_with(files: int) -> bool:
    """Whether only this task is left some time, and so many open files."""
    for _ in range(LOOKS):
        if len(asyncio.all_tasks()) == 1 and await _open_files() <= files:
            return True
        await asyncio.sleep(LOOK_S)
    return False


async def _open_files() -> int:
    def count() -> int:
        limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 4096)
        found = 0
        for number in range(limit):
            try:
                os.fstat(number)
            except OSError:
                continue
            found += 1
        return found

    return await asyncio.to_thread(count)


async def test_two_thousand_requests_at_once_all_arrive(sender: AiohttpSender) -> None:
    async with Receiver() as receiver:
        sent = [post(sender, receiver.url, SENT_AT_ONCE_MS) for _ in range(2_000)]
        outcomes = await asyncio.gather(*sent)
        assert len(receiver.requests) == 2_000
    assert {outcome.error for outcome in outcomes} == {None}
