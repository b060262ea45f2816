"""Whatever a receiver does, an attempt ends as an outcome, in time and in little memory."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from tests import hostile
from tests.receiver import Answer, Misbehaviour, Receiver
from tests.sender.attempts import (
    GENEROUS_S,
    SHORT_MS,
    answer_to,
    idle_connections_end,
    post,
    timed,
)
from webhook.adapters.aiohttp_sender import AiohttpSender
from webhook.domain.model import RESPONSE_BYTES_MAX, ErrorKind


async def test_a_receiver_that_never_answers_meets_the_deadline(sender: AiohttpSender) -> None:
    outcome, took_s = await timed(answer_to(sender, hostile.never_answers, SHORT_MS))
    assert outcome.error_kind is ErrorKind.TIMEOUT
    assert outcome.error == "timeout after 0.4 s"
    assert outcome.status_code is None
    assert outcome.latency_ms >= SHORT_MS - 50
    assert took_s < GENEROUS_S


async def test_headers_that_never_end_meet_the_deadline(sender: AiohttpSender) -> None:
    outcome, took_s = await timed(answer_to(sender, hostile.drips_headers, SHORT_MS))
    assert outcome.error_kind is ErrorKind.TIMEOUT
    assert took_s < GENEROUS_S


@pytest.mark.parametrize(("status", "kind"), [(200, None), (503, ErrorKind.HTTP_STATUS)])
async def test_a_body_that_drips_for_ever_is_only_noted(
    sender: AiohttpSender, status: int, kind: ErrorKind | None
) -> None:
    outcome, took_s = await timed(answer_to(sender, hostile.drips(status), 3_000))
    assert (outcome.status_code, outcome.error_kind) == (status, kind)
    assert outcome.note == "the body was cut off: timeout after 3 s"
    assert outcome.response is not None
    assert outcome.response.strip(".") == ""
    assert took_s < GENEROUS_S


async def test_of_ten_gigabytes_little_more_is_read_than_kept(sender: AiohttpSender) -> None:
    flood = hostile.TenGigabytes()
    tracemalloc.start()
    try:
        outcome = await answer_to(sender, flood)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcome.error_kind is None
    assert outcome.response == "x" * RESPONSE_BYTES_MAX
    # What the kernel's buffers of both ends held, and no more.
    assert flood.sent < 64 * 1024 * 1024
    assert peak < 16 * 1024 * 1024


@pytest.mark.parametrize("reply", [hostile.many_headers(), hostile.huge_header()])
async def test_oversized_headers_are_a_protocol_error(sender: AiohttpSender, reply: Answer) -> None:
    outcome = await answer_to(sender, reply)
    assert outcome.error_kind is ErrorKind.PROTOCOL
    assert outcome.error is not None
    assert "headers are too large" in outcome.error
    assert len(outcome.error) < 200


async def test_another_protocol_is_a_protocol_error(sender: AiohttpSender) -> None:
    outcome = await answer_to(sender, hostile.not_http)
    assert outcome.error_kind is ErrorKind.PROTOCOL


@pytest.mark.parametrize(
    "reply", [hostile.closes, hostile.resets, hostile.half_a_status_line], ids=lambda f: f.__name__
)
async def test_a_connection_that_ends_early_is_a_reset(
    sender: AiohttpSender, reply: Misbehaviour
) -> None:
    async with Receiver([reply]) as receiver:
        outcome = await post(sender, receiver.url)
        assert len(receiver.requests) == 1
    assert outcome.error_kind is ErrorKind.RESET
    assert outcome.status_code is None
    assert "/hook" not in str(outcome.error)


async def test_a_receiver_that_hangs_up_before_it_reads_is_a_reset(
    sender: AiohttpSender,
) -> None:
    async def slam(writer: asyncio.StreamWriter) -> None:
        hostile.cut(writer)

    async with Receiver(on_connect=slam) as receiver:
        outcome = await post(sender, receiver.url)
    assert outcome.error_kind is ErrorKind.RESET


@pytest.mark.parametrize(("status", "kind"), [(200, None), (503, ErrorKind.HTTP_STATUS)])
async def test_a_reset_after_the_headers_is_only_noted(
    sender: AiohttpSender, status: int, kind: ErrorKind | None
) -> None:
    outcome = await answer_to(sender, hostile.resets_after(status))
    assert (outcome.status_code, outcome.error_kind) == (status, kind)
    assert outcome.response == "so far"
    assert outcome.note is not None
    assert outcome.note.startswith("the body was cut off: ")


async def test_a_gzip_bomb_does_not_go_off(sender: AiohttpSender) -> None:
    bomb = hostile.gzip_bomb()
    tracemalloc.start()
    try:
        outcome = await answer_to(sender, bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcome.error_kind is None
    assert outcome.response is None
    assert outcome.note is not None
    assert peak < 16 * 1024 * 1024


async def test_a_stale_connection_is_a_reset_and_nothing_is_sent_again(
    sender: AiohttpSender,
) -> None:
    async with Receiver([200, hostile.resets, 200]) as receiver:
        assert (await post(sender, receiver.url)).error_kind is None
        outcome = await post(sender, receiver.url)
        assert outcome.error_kind is ErrorKind.RESET
        assert len(receiver.requests) == 2, "the request was sent again behind our back"
        assert receiver.connections == 1
        assert (await post(sender, receiver.url)).error_kind is None


async def test_a_connection_closed_while_idle_is_not_used(sender: AiohttpSender) -> None:
    async with Receiver([Answer(200, hang_up=True)]) as receiver:
        for _ in range(3):
            assert (await post(sender, receiver.url)).error_kind is None
            await idle_connections_end(sender)


async def test_a_closed_port_is_refused(sender: AiohttpSender) -> None:
    async with Receiver() as receiver:
        url = receiver.url
    outcome = await post(sender, url + "?token=secret")
    assert outcome.error_kind is ErrorKind.REFUSED
    assert outcome.error == f"connection refused by 127.0.0.1:{receiver.port}"
