"""A name, the caller's own id or idempotency key, stands for one content, once accepted."""

from __future__ import annotations

import pytest

from webhook.domain.errors import Conflict
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import NewEvent
from webhook.ports import AcceptedEvent, EventQuery, WebhookPersistence

from .builders import (
    T0,
    add_one,
    emit,
    first_attempts,
    list_deliveries,
    new_event,
    pages,
    refs_of,
)
from .stores import Maker, opened


async def _keys(store: WebhookPersistence, tenant: str = "default") -> list[str]:
    query = EventQuery(tenant=tenant, limit=50)
    return [event.key for event in await pages(store.delivery_store.list_events, query)]


def _accepted(event: NewEvent, delivery_count: int, *, duplicate: bool = False) -> AcceptedEvent:
    return AcceptedEvent(
        key=event.key,
        id=event.id or f"evt_{event.key}",
        delivery_count=delivery_count,
        duplicate=duplicate,
    )


async def test_the_same_content_under_a_name_is_a_duplicate(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        for first, again in (
            (new_event(id="a"), new_event(id="a", at=T0 + 5)),
            (new_event(idempotency_key="a"), new_event(idempotency_key="a", at=T0 + 5)),
        ):
            before = len(await _keys(store))
            await emit(store, first)
            # What has changed since does not change the answer.
            await add_one(store)
            result = await emit(store, again, first=first_attempts(10))
            assert result.events == [_accepted(first, before + 1, duplicate=True)]
            assert (result.claimed, result.waiting) == ([], False)
            assert len(await _keys(store)) == before + 1
            assert len(await list_deliveries(store, event_key=again.key)) == 0


async def test_an_id_and_a_key_of_the_same_text_are_two_names(maker: Maker) -> None:
    async with opened(maker) as store:
        result = await emit(store, new_event(id="a", data=1), new_event(idempotency_key="a"))
        assert [each.duplicate for each in result.events] == [False, False]


async def test_a_name_belongs_to_its_tenant(maker: Maker) -> None:
    async with opened(maker) as store:
        await emit(store, new_event(id="a", data=1))
        result = await emit(store, new_event(id="a", data=2, tenant="acme"))
        assert result.events[0].duplicate is False
        found = await store.delivery_store.get_event("acme", "a")
        assert found is not None
        assert found.tenant == "acme"


async def test_equal_names_within_a_call_are_one_event(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        first, between, again = new_event(id="a"), new_event(), new_event(id="a")
        result = await emit(store, first, between, again, first=first_attempts(10))
        assert result.events == [
            _accepted(first, 1),
            _accepted(between, 1),
            _accepted(first, 1, duplicate=True),
        ]
        assert sorted(refs_of(result.claimed)) == sorted(
            DeliveryRef(endpoint.id, event.key) for event in (first, between)
        )
        assert sorted(await _keys(store)) == sorted([first.key, between.key])


async def test_other_content_under_a_name_conflicts_and_nothing_is_stored(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store)
        await emit(store, new_event(id="a", data=1))
        before = await _keys(store)
        call = [new_event(), new_event(id="b"), new_event(id="a", data=2), new_event(id="c")]
        with pytest.raises(Conflict) as error:
            await emit(store, *call, first=first_attempts(10))
        assert [each.pointer for each in error.value.errors] == ["/2"]
        assert await _keys(store) == before
        assert len(await list_deliveries(store)) == 1
        for name in ("b", "c"):
            assert await store.delivery_store.get_event("default", name) is None
            result = await emit(store, new_event(id=name, data="other"))
            assert result.events[0].duplicate is False


async def test_the_first_content_stays_after_a_conflict(maker: Maker) -> None:
    async with opened(maker) as store:
        first = new_event(id="a", data=1)
        await emit(store, first)
        with pytest.raises(Conflict):
            await emit(store, new_event(id="a", data=2))
        result = await emit(store, new_event(id="a", data=1))
        assert result.events == [_accepted(first, 0, duplicate=True)]
        with pytest.raises(Conflict):
            await emit(store, new_event(id="a", data=2))


async def test_other_content_under_a_name_within_a_call_conflicts(maker: Maker) -> None:
    async with opened(maker) as store:
        call = [new_event(id="a", data=1), new_event(), new_event(id="a", data=2)]
        with pytest.raises(Conflict) as error:
            await emit(store, *call)
        assert [each.pointer for each in error.value.errors] == ["/2"]
        assert await _keys(store) == []
        assert (await emit(store, call[2])).events == [_accepted(call[2], 0)]
