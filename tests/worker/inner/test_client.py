"""``AsyncClient`` inside a Python Worker, where it has the platform's ``fetch``; a real server."""

from __future__ import annotations

import os
import uuid
from typing import Any

import js
import pytest

from webhook.client import AsyncClient, Client, Invalid, NotFound, Unreachable
from webhook.client.fetch import FetchTransport

URL = os.environ.get("WEBHOOK_TEST_SERVICE", "")
TOKEN = os.environ.get("WEBHOOK_TEST_TOKEN", "")


def new_tenant() -> str:
    return f"w-{uuid.uuid4().hex}"


async def test_an_event_goes_in_and_is_found_again() -> None:
    tenant = new_tenant()
    async with AsyncClient(URL, TOKEN) as client:
        accepted = await client.emit("message.sent", {"text": "hü", "n": 2**70}, tenant=tenant)
        event = await client.get_event(accepted.id, tenant=tenant)
        assert event.data == {"text": "hü", "n": 2**70}
        await client.erase_payload(accepted.id, tenant=tenant)
        assert (await client.get_event(accepted.id, tenant=tenant)).payload_erased


async def test_lists_page_by_themselves() -> None:
    tenant = new_tenant()
    async with AsyncClient(URL, TOKEN) as client:
        batch = [{"type": "a.b", "data": n, "tenant": tenant} for n in range(5)]
        await client.emit_many(batch)
        found = [event.data async for event in client.list_events(tenant=tenant, limit=2)]
    assert found == [4, 3, 2, 1, 0]


async def test_an_error_names_the_field() -> None:
    async with AsyncClient(URL, TOKEN) as client:
        with pytest.raises(Invalid) as refused:
            await client.emit("No Type", 1)
        assert [error.pointer for error in refused.value.errors] == ["/type"]
        with pytest.raises(NotFound):
            await client.probe_endpoint("ep_unknown")


async def test_a_lost_answer_makes_no_second_event() -> None:
    tenant, losses = new_tenant(), ["lost"]

    async def fetch(url: str, options: Any) -> Any:
        answer = await js.fetch(url, options)
        if losses and losses.pop():
            raise OSError("lost")
        return answer

    async with AsyncClient(URL, TOKEN, transport=FetchTransport(fetch)) as client:
        accepted = await client.emit("a.b", 1, tenant=tenant)
        assert not accepted.duplicate
        events = [event.id async for event in client.list_events(tenant=tenant)]
    assert events == [accepted.id]


async def test_nobody_there_is_unreachable() -> None:
    async with AsyncClient("http://127.0.0.1:1", None, retries=0) as client:
        with pytest.raises(Unreachable):
            await client.health()


def test_nothing_can_block_in_a_worker() -> None:
    with pytest.raises(RuntimeError, match="AsyncClient"):
        Client(URL)
