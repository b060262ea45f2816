"""Events are listed newest first, each once, whatever arrives meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.ports import EventQuery, WebhookPersistence

from .builders import (
    SENT,
    T0,
    emit,
    emit_mixed,
    new_events,
    pages,
)
from .stores import Maker, opened

LIMITS = (7, 50, 120, 250)


async def _list_events(
    store: WebhookPersistence, *, limit: int = 50, tenant: str = "default", **filters: Any
) -> list[str]:
    query = EventQuery(tenant=tenant, limit=limit, **filters)
    return [event.key for event in await pages(store.delivery_store.list_events, query)]


@pytest.mark.parametrize("limit", LIMITS)
async def test_events_are_listed_newest_first_from_page_to_page(maker: Maker, limit: int) -> None:
    async with opened(maker) as store:
        keys = [event.key for event in reversed(await emit_mixed(store))]
        assert await _list_events(store, limit=limit) == keys
        assert len(await _list_events(store, limit=limit, tenant="acme")) == len(keys)
        assert await _list_events(store, limit=limit, tenant="nobody") == []


async def test_events_are_listed_by_type_and_time(maker: Maker) -> None:
    async with opened(maker) as store:
        events = list(reversed(await emit_mixed(store)))
        sent = [event.key for event in events if event.type == SENT]
        assert await _list_events(store, limit=7, type=SENT) == sent
        assert await _list_events(store, limit=7, type="message") == []
        # The newest is 119 ms after the first; since is inclusive, until is not.
        keys = [event.key for event in events]
        assert await _list_events(store, limit=7, since=T0 + 100) == keys[:20]
        assert await _list_events(store, limit=7, until=T0 + 100) == keys[20:]
        assert await _list_events(store, limit=7, since=T0 + 30, until=T0 + 40) == keys[80:90]
        assert await _list_events(store, limit=2, since=T0 + 30, until=T0 + 40, type=SENT) == [
            key for key in keys[80:90] if key in sent
        ]
        assert await _list_events(store, since=T0 + 40, until=T0 + 40) == []


async def test_a_page_holds_no_more_than_asked_and_ends_with_none(maker: Maker) -> None:
    async with opened(maker) as store:
        await emit(store, *new_events(3))
        call = store.delivery_store.list_events
        page = await call(EventQuery(tenant="default", limit=2))
        assert len(page.items) == 2
        assert page.after is not None
        last = await call(EventQuery(tenant="default", limit=2, after=page.after))
        assert (len(last.items), last.after) == (1, None)


async def test_the_next_page_of_events_is_not_moved_by_new_ones(maker: Maker) -> None:
    async with opened(maker) as store:
        events = new_events(30)
        await emit(store, *events[:20])
        query = EventQuery(tenant="default", limit=8)
        page = await store.delivery_store.list_events(query)
        await emit(store, *events[20:])
        rest = await pages(
            store.delivery_store.list_events,
            EventQuery(tenant="default", limit=8, after=page.after),
        )
        assert [event.key for event in page.items + rest] == [
            event.key for event in reversed(events[:20])
        ]
