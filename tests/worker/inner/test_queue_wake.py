"""Hints into a Cloudflare Queue: rounded up, bounded, and never a reason to fail."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from workers import env

from tests.worker.inner.weather import fail
from webhook.adapters.cloudflare.queue_wake import CloudflareWake


class Recorder:
    """Stands around the real queue."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, int]] = []

    async def send(self, body: Any, **options: Any) -> Any:
        self.sent.append((body, options["delaySeconds"]))
        return await env.QUEUE.send(body, **options)


class Broken:
    """A queue that takes nothing."""

    async def send(self, _body: Any, **_options: Any) -> None:
        await fail("Queue send failed: Too Many Requests")


@pytest.mark.parametrize(
    ("delay_ms", "seconds"),
    [(0, 0), (-5, 0), (1, 1), (1_000, 1), (1_001, 2), (120_000, 120), (10**9, 43_200)],
)
async def test_a_delay_is_rounded_up_to_seconds_within_the_queue_s_bounds(
    delay_ms: int, seconds: int
) -> None:
    recorder = Recorder()
    await CloudflareWake(recorder).wake(delay_ms)
    assert [delay for _, delay in recorder.sent] == [seconds]


async def test_a_hint_names_no_delivery() -> None:
    recorder = Recorder()
    await CloudflareWake(recorder).wake(0)
    assert recorder.sent == [({"due": True}, 0)]


async def test_a_hint_that_cannot_be_sent_is_logged_and_left_to_the_cron(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "webhook.queue"):
        await CloudflareWake(Broken()).wake(0)
    assert "the cron will do" in caplog.text
