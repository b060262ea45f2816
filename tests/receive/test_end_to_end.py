"""The service delivers to a receiver that fails at first: the retry is handled, and only once."""

from __future__ import annotations

import asyncio

import pytest

from tests.receive.apps import APPS, Handler
from webhook import EndpointInput, WebhookConfig, WebhookEvent, WebhookRuntimeService


@pytest.mark.parametrize("name", ["fastapi", "flask"])
async def test_a_delivery_whose_handler_raised_once_is_retried_and_handled(name: str) -> None:
    handler = Handler()
    config = WebhookConfig(
        allow_http=True, allow_private_hosts=True, max_retries=3, retry_delay_ms=1, jitter=0
    )
    runtime = WebhookRuntimeService(config)
    with APPS[name](handler) as url:
        await runtime.add_endpoint(
            EndpointInput(url=f"{url}/receiver", event_types=["*"], secret=handler.sender.secret)
        )
        event = WebhookEvent(id="evt-1", type="message.sent", data={"fail": 1})
        [delivery] = await runtime.emit_sync(event)
        assert delivery.attempts[0].status_code == 500
        async with asyncio.timeout(60):
            while (  # noqa: ASYNC110 - a store tells nobody
                found := await runtime.get_delivery(delivery.id)
            ).status == "pending":
                await asyncio.sleep(0.01)
    await runtime.shutdown()
    assert [attempt.status_code for attempt in found.attempts] == [500, 204]
    assert [each.id for each in handler.handled] == ["evt-1"]
    assert handler.calls["evt-1"] == 2
