"""Stores that know nothing of each other, a user's own too, keep the same promise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from tests.engine.stores import watched
from tests.engine.world import (
    MINUTE_MS,
    SECOND_MS,
    World,
    add,
    all_deliveries,
    event,
    statuses,
    url_of,
)
from webhook.adapters.memory import MemoryDeliveryStore, MemoryEndpointStore
from webhook.adapters.sql.deliveries import SqlDeliveryStore
from webhook.adapters.sql.endpoints import SqlEndpointStore
from webhook.adapters.sql.migrate import migrate
from webhook.adapters.sqlite.database import SqliteDatabase
from webhook.domain.endpoint import EndpointPatch, tenant_full
from webhook.domain.errors import ConfigError, Conflict, NotFound
from webhook.domain.matching import filter_groups, groups_match
from webhook.domain.model import DeliveryStatus, Endpoint, EndpointStatus, NewEvent
from webhook.ports import EndpointQuery, Page, WebhookPersistence
from webhook.runtime import WebhookRuntimeService


class OwnEndpointStore:
    """What a user may write: a list, and the fewest lines that keep the contract."""

    def __init__(self) -> None:
        self._rows: list[Endpoint] = []

    async def add(self, endpoints: Sequence[Endpoint], tenant_max: int | None = None) -> None:
        for index, endpoint in enumerate(endpoints):
            count = sum(e.tenant == endpoint.tenant for e in [*self._rows, *endpoints])
            if tenant_max is not None and count > tenant_max:
                raise tenant_full(index, tenant_max)
        names = [(e.tenant, e.external_id) for e in self._rows if e.external_id]
        for index, endpoint in enumerate(endpoints):
            if (endpoint.tenant, endpoint.external_id) in names:
                raise Conflict.at(f"/{index}/external_id", "taken")
        self._rows += endpoints

    async def update(self, endpoint: Endpoint) -> None:
        stored = await self.get(endpoint.tenant, endpoint.id)
        if stored is None:
            raise NotFound
        if stored.revision != endpoint.revision - 1:
            raise Conflict
        self._rows[self._rows.index(stored)] = endpoint

    async def remove(self, tenant: str | None, endpoint_id: str, now: int) -> bool:
        del now  # a store that forgets has no use for it
        stored = await self.get(tenant, endpoint_id)
        if stored is not None:
            self._rows.remove(stored)
        return stored is not None

    async def get(self, tenant: str | None, endpoint_id: str) -> Endpoint | None:
        found = await self.get_many([endpoint_id])
        return next((e for e in found if tenant in (None, e.tenant)), None)

    async def get_many(self, endpoint_ids: Sequence[str]) -> list[Endpoint]:
        return [e for e in self._rows if e.id in endpoint_ids]

    async def match(self, events: Sequence[NewEvent]) -> list[list[str]]:
        return [
            [e.id for e in self._rows if e.active and e.tenant == event.tenant and _hits(e, event)]
            for event in events
        ]

    async def list(self, query: EndpointQuery) -> Page[Endpoint]:
        return Page([e for e in self._rows if e.tenant == query.tenant])


def _hits(endpoint: Endpoint, event: NewEvent) -> bool:
    wanted = not set(endpoint.event_types).isdisjoint(event.patterns)
    return wanted and groups_match(filter_groups(endpoint.filters), event.facets)


def memory_beside_memory() -> WebhookPersistence:
    return WebhookPersistence(
        endpoint_store=MemoryEndpointStore(), delivery_store=MemoryDeliveryStore()
    )


def own_beside_memory() -> WebhookPersistence:
    return WebhookPersistence(
        endpoint_store=OwnEndpointStore(), delivery_store=MemoryDeliveryStore()
    )


def memory_beside_sqlite() -> WebhookPersistence:
    database = SqliteDatabase(None)

    async def init() -> None:
        await migrate(database)

    return WebhookPersistence(
        endpoint_store=MemoryEndpointStore(),
        delivery_store=SqlDeliveryStore(database),
        init=init,
        close=database.close,
    )


def sqlite_beside_memory() -> WebhookPersistence:
    database = SqliteDatabase(None)

    async def init() -> None:
        await migrate(database)

    return WebhookPersistence(
        endpoint_store=SqlEndpointStore(database),
        delivery_store=MemoryDeliveryStore(),
        init=init,
        close=database.close,
    )


MAKERS = [memory_beside_memory, own_beside_memory, memory_beside_sqlite, sqlite_beside_memory]


@pytest.fixture(params=MAKERS, ids=lambda maker: str(maker.__name__))
async def apart(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    world = World(request.param())
    yield world
    await world.close()


async def test_an_event_is_matched_stored_and_delivered(apart: World) -> None:
    service = apart.service(background=True)
    await add(service, "a", filters={"provider": ["x"]})
    await add(service, "b", "message.failed")
    accepted = await service.emit(event(metadata={"provider": "x"}))
    await service.emit(event(metadata={"provider": "y"}))
    await apart.clock.idle()
    assert [sent.url for sent in apart.sender.requests] == [url_of("a")]
    assert accepted.delivery_count == 1
    assert await statuses(service) == [DeliveryStatus.SUCCESS]


async def test_emit_sync_and_retries_go_the_same_way(apart: World) -> None:
    service = apart.service(background=True, retry_schedule_s=(5,))
    await add(service)
    apart.sender.script(url_of("a"), 503, 200)
    [found] = await apart.clock.run(service.emit_sync(event()))
    assert found.attempts_made == 1
    await apart.clock.advance(5 * SECOND_MS)
    assert await statuses(service) == [DeliveryStatus.SUCCESS]


async def test_what_waits_for_an_inactive_endpoint_is_postponed_unsent(apart: World) -> None:
    service = apart.service(background=True, retry_schedule_s=(5,))
    endpoint = await add(service)
    apart.sender.script(url_of("a"), 503, 200)
    await service.emit(event())
    await apart.clock.idle()
    await service.update_endpoint(endpoint.id, EndpointPatch(active=False))
    await apart.clock.advance(30 * MINUTE_MS)
    assert len(apart.sender.requests) == 1
    assert await statuses(service) == [DeliveryStatus.PENDING]
    await service.update_endpoint(endpoint.id, EndpointPatch(active=True))
    await apart.clock.advance(MINUTE_MS)
    found = await apart.delivery(service)
    assert (found.status, found.attempts_made) == (DeliveryStatus.SUCCESS, 2)


async def test_what_waits_for_a_removed_endpoint_ends_as_canceled(apart: World) -> None:
    service = apart.service(background=True, retry_schedule_s=(5,))
    endpoint = await add(service)
    apart.sender.script(url_of("a"), 503)
    await service.emit(event())
    await apart.clock.idle()
    await service.remove_endpoint(endpoint.id)
    await apart.clock.advance(10 * SECOND_MS)
    found = await apart.delivery(service)
    assert (found.status, found.reason) == (DeliveryStatus.CANCELED, "the endpoint was removed")
    assert len(apart.sender.requests) == 1


async def test_gone_disables_the_endpoint_in_its_own_store(apart: World) -> None:
    service = apart.service(background=True)
    endpoint = await add(service)
    apart.sender.script(url_of("a"), 410)
    await service.emit(event())
    await apart.clock.idle()
    assert await statuses(service) == [DeliveryStatus.FAILED]
    stored = await service.get_endpoint(endpoint.id)
    assert (stored.status, stored.revision) == (EndpointStatus.ERROR, 2)
    assert (await service.emit(event())).delivery_count == 0


async def test_gone_disables_an_endpoint_that_is_being_edited(apart: World) -> None:
    service = apart.service(background=True)
    endpoint = await add(service)
    apart.sender.script(url_of("a"), 410)

    async def edit_first() -> None:
        apart.faults.hold.clear()
        await service.update_endpoint(endpoint.id, EndpointPatch(name="edited"))

    apart.faults.hold["update"] = edit_first
    await service.emit(event())
    await apart.clock.idle()
    stored = await service.get_endpoint(endpoint.id)
    assert (stored.status, stored.name) == (EndpointStatus.ERROR, "edited")


async def test_an_endpoint_store_that_fails_interrupts_no_delivery(apart: World) -> None:
    service = apart.service(background=True)
    await add(service)
    await service.initialize()
    await service.emit(event("warm up"))
    await apart.clock.idle()
    apart.faults.fail("get_many")
    await service.emit(event())
    await apart.clock.advance(30 * MINUTE_MS)
    assert len(apart.sender.requests) == 1
    apart.faults.heal()
    await apart.clock.advance(MINUTE_MS)
    found = await all_deliveries(service)
    assert [(d.status, d.interruptions, len(d.attempts)) for d in found] == [
        (DeliveryStatus.SUCCESS, 0, 1)
    ] * 2


async def test_a_repeat_under_the_same_keys_goes_to_the_endpoints_of_the_first_match(
    apart: World,
) -> None:
    service = apart.service(background=True)
    await add(service)
    apart.faults.fail("accept", 1, "after")
    accepted = await service.emit(event())
    await apart.clock.advance(MINUTE_MS)
    assert (accepted.delivery_count, accepted.duplicate) == (1, False)
    assert len(apart.sender.requests) == 1


async def test_a_type_that_is_not_enabled_goes_to_nobody_whatever_the_store_matches() -> None:
    class MatchesByType(OwnEndpointStore):
        async def match(self, events: Sequence[NewEvent]) -> list[list[str]]:
            return [[e.id for e in self._rows] for _ in events]

    world = World(
        WebhookPersistence(endpoint_store=MatchesByType(), delivery_store=MemoryDeliveryStore())
    )
    service = world.service(enabled_events=("message.failed",))
    await add(service)
    assert await world.clock.run(service.emit_sync(event())) == []
    assert len(await world.clock.run(service.emit_sync(event(type="message.failed")))) == 1
    await world.close()


async def test_both_stores_are_given_or_a_persistence_for_the_other_half() -> None:
    with pytest.raises(ConfigError, match="delivery_store"):
        WebhookRuntimeService(endpoint_store=MemoryEndpointStore())
    with pytest.raises(ConfigError, match="endpoint_store"):
        WebhookRuntimeService(delivery_store=MemoryDeliveryStore())


async def test_one_store_replaces_its_half_of_a_persistence(world: World) -> None:
    own = watched(own_beside_memory(), world.clock, world.faults).endpoint_store
    service = WebhookRuntimeService(
        persistence=world.persistence,
        endpoint_store=own,
        sender=world.sender,
        clock=world.clock,
        chance=world.chance,
        auto_start=False,
    )
    endpoint = await add(service)
    [found] = await world.clock.run(service.emit_sync(event()))
    assert found.status is DeliveryStatus.SUCCESS
    assert await own.get(None, endpoint.id) == endpoint
    assert await world.persistence.endpoint_store.get(None, endpoint.id) is None
