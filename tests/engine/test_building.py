"""A service may stand at the top of a module: building it touches nothing that moves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.domain.config import WebhookConfig
from webhook.domain.errors import ConfigError
from webhook.ports import WaitEvent
from webhook.runtime import WebhookRuntimeService
from webhook.testing import RecordingSender, VirtualClock


class Forbidden:
    """A clock and a chance that a Worker does not allow while it starts."""

    def now_ms(self) -> int:
        raise AssertionError("read the clock")

    def monotonic_ms(self) -> float:
        raise AssertionError("read the clock")

    async def wait(self, event: WaitEvent, timeout_ms: float | None) -> bool:
        raise AssertionError("started a timer", event, timeout_ms)

    def random_bytes(self, count: int) -> bytes:
        raise AssertionError("drew lots", count)

    def uniform(self) -> float:
        raise AssertionError("drew lots")


@pytest.mark.parametrize("auto_start", [True, False])
def test_building_a_service_touches_no_clock_chance_or_loop(auto_start: bool) -> None:
    service = WebhookRuntimeService(
        WebhookConfig(),
        persistence=create_sqlite_webhook_persistence(None),
        sender=RecordingSender(VirtualClock()),
        clock=Forbidden(),
        chance=Forbidden(),
        auto_start=auto_start,
    )
    assert service.config.timeout_ms == 15_000


def test_a_module_with_a_service_can_be_imported_where_time_and_chance_are_forbidden() -> None:
    # As in workerd while a Worker starts: entropy, clocks, threads and event loops all raise.
    code = """
import asyncio, os, secrets, threading, time
import aiohttp, webhook  # what the libraries do while they are imported is theirs
from webhook.adapters.aiohttp_sender import AiohttpSender

def forbid(*_, **__):
    raise AssertionError("not while starting")

os.urandom = secrets.token_bytes = forbid
time.time = time.time_ns = time.monotonic = time.sleep = forbid
asyncio.new_event_loop = asyncio.get_event_loop = asyncio.ensure_future = forbid
threading.Thread.start = forbid
webhook.WebhookRuntimeService(webhook.WebhookConfig(secret_key="whsec_" + "A" * 32))
print("built")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("built", "")


def test_contradicting_options_are_refused_when_the_service_is_built() -> None:
    with pytest.raises(ConfigError, match="retry_schedule_s"):
        WebhookRuntimeService(WebhookConfig(retry_schedule_s=(1,), retry_delay_ms=1))
