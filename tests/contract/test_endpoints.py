"""Endpoints are kept per tenant and guarded against lost updates."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.domain.balancing import Failover, Strategy
from webhook.domain.errors import Conflict, NotFound
from webhook.domain.model import Endpoint, EndpointStatus
from webhook.domain.retry import RetryPolicy
from webhook.domain.secret import SigningSecret
from webhook.ports import EndpointQuery, WebhookPersistence

from .builders import (
    FAILED,
    SENT,
    T0,
    add,
    add_one,
    changed,
    new_endpoint,
    new_event,
    new_key,
    pages,
)
from .stores import Maker, opened


async def _matched(store: WebhookPersistence, **event: Any) -> list[str]:
    [matched] = await store.endpoint_store.match([new_event(**event)])
    return sorted(matched)


def _pointers(error: pytest.ExceptionInfo[Conflict]) -> list[str]:
    return [each.pointer for each in error.value.errors]


async def test_an_endpoint_is_returned_as_it_was_added(maker: Maker) -> None:
    endpoint = new_endpoint(
        SENT,
        "template.*",
        at=T0 + 5,
        tenant="acme",
        external_id="crm-1",
        name="Größe ✓",
        description="two\nlines",
        filters={"provider_id": ("a", "b"), "size": (3, 2.5), "urgent": (True,)},
        headers={"X-Api-Key": "k", "x-Other": "ü"},
        secrets=(
            SigningSecret(value="whsec_new"),
            SigningSecret(value="whsec_old", expires_at=T0 + 9),
        ),
        retry=RetryPolicy(schedule_s=(1, 2.5), transient_only=True),
        timeout_ms=4_000,
        failover=Failover(urls=("https://b.example/",), strategy=Strategy.WEIGHTED, weights=(2, 0)),
        status=EndpointStatus.SUSPENDED,
        revision=7,
    )
    async with opened(maker) as store:
        await add(store, endpoint)
        assert await store.endpoint_store.get("acme", endpoint.id) == endpoint
        assert await store.endpoint_store.get(None, endpoint.id) == endpoint


async def test_an_endpoint_with_nothing_but_the_necessary_is_returned_as_it_was_added(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        assert await store.endpoint_store.get("default", endpoint.id) == endpoint


async def test_an_endpoint_is_not_got_through_another_tenant(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, tenant="acme")
        assert await store.endpoint_store.get("default", endpoint.id) is None
        assert await store.endpoint_store.get(None, f"ep_{new_key()}") is None


async def test_many_endpoints_are_got_at_once_whatever_their_tenant(maker: Maker) -> None:
    async with opened(maker) as store:
        mine, theirs = await add_one(store), await add_one(store, tenant="acme")
        await add_one(store)
        found = await store.endpoint_store.get_many([mine.id, f"ep_{new_key()}", theirs.id])
        assert sorted(each.id for each in found) == sorted([mine.id, theirs.id])
        assert await store.endpoint_store.get_many([]) == []


async def test_what_a_caller_does_to_its_copy_is_not_stored(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, headers={"x-kept": "1"})
        endpoint.headers["x-added"] = "2"
        found = await store.endpoint_store.get(None, endpoint.id)
        assert found is not None
        assert found.headers == {"x-kept": "1"}
        found.headers["x-added"] = "2"
        found.filters["a"] = ("b",)
        again = await store.endpoint_store.get(None, endpoint.id)
        assert again is not None
        assert (again.headers, again.filters) == ({"x-kept": "1"}, {})


async def test_an_external_id_is_taken_once_in_its_tenant(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store, external_id="crm-1")
        await add_one(store, external_id="crm-1", tenant="acme")
        with pytest.raises(Conflict) as error:
            await add(store, new_endpoint(), new_endpoint(external_id="crm-1"))
        assert _pointers(error) == ["/1/external_id"]


async def test_an_external_id_is_taken_once_within_a_call(maker: Maker) -> None:
    async with opened(maker) as store:
        twice = [new_endpoint(external_id="crm-1"), new_endpoint(external_id="crm-1")]
        with pytest.raises(Conflict) as error:
            await add(store, new_endpoint(), *twice)
        assert _pointers(error) == ["/2/external_id"]


async def test_adding_is_all_or_nothing(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store, external_id="crm-1")
        good = [new_endpoint(), new_endpoint(external_id="crm-2")]
        with pytest.raises(Conflict):
            await add(store, *good, new_endpoint(external_id="crm-1"))
        assert await store.endpoint_store.get_many([each.id for each in good]) == []
        assert len(await _matched(store)) == 1
        await add_one(store, external_id="crm-2")


async def test_a_tenant_has_at_most_so_many_endpoints(maker: Maker) -> None:
    async with opened(maker) as store:
        gone, *first = [new_endpoint(tenant="acme") for _ in range(3)]
        await store.endpoint_store.add([gone, *first], 3)
        await store.endpoint_store.add([gone, *first], 3)  # a repeat
        other, one, two = new_endpoint(), new_endpoint(tenant="acme"), new_endpoint(tenant="acme")
        with pytest.raises(Conflict) as error:
            await store.endpoint_store.add([other, one], 3)
        assert _pointers(error) == ["/1/tenant"]
        assert "3 endpoints" in error.value.message
        assert await store.endpoint_store.get_many([other.id, one.id]) == []
        # What is removed does not count, another tenant's neither.
        await store.endpoint_store.remove("acme", gone.id, T0)
        with pytest.raises(Conflict):
            await store.endpoint_store.add([one, other, two], 3)
        await store.endpoint_store.add([other, one], 3)
        await store.endpoint_store.add([two])


async def test_adding_the_same_endpoints_again_is_a_repeat(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoints = [new_endpoint(external_id="crm-1"), new_endpoint()]
        await add(store, *endpoints)
        await store.endpoint_store.update(changed(endpoints[0], name="newer"))
        await add(store, *endpoints)
        found = await store.endpoint_store.get(None, endpoints[0].id)
        assert found is not None
        assert found.name == "newer"
        assert len(await _matched(store)) == 2


async def test_an_update_replaces_the_revision_before_it(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, SENT, external_id="crm-1")
        newer = changed(
            endpoint,
            url="https://other.example/",
            event_types=(FAILED,),
            external_id="crm-2",
            headers={"x-new": "1"},
            updated_at=T0 + 9,
        )
        await store.endpoint_store.update(newer)
        assert await store.endpoint_store.get(None, endpoint.id) == newer
        assert await _matched(store, event_type=SENT) == []
        assert await _matched(store, event_type=FAILED) == [endpoint.id]


async def test_an_update_of_any_other_revision_conflicts_and_changes_nothing(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, SENT)
        first = changed(endpoint, name="first")
        await store.endpoint_store.update(first)
        for lost in (
            changed(endpoint, name="second"),
            changed(changed(first), name="ahead", event_types=(FAILED,)),
        ):
            with pytest.raises(Conflict):
                await store.endpoint_store.update(lost)
        assert await store.endpoint_store.get(None, endpoint.id) == first
        assert await _matched(store) == [endpoint.id]


async def test_an_update_that_took_place_may_be_repeated(maker: Maker) -> None:
    async with opened(maker) as store:
        newer = changed(await add_one(store, external_id="crm-1"), name="newer")
        await store.endpoint_store.update(newer)
        await store.endpoint_store.update(newer)
        assert await store.endpoint_store.get(None, newer.id) == newer


async def test_an_update_cannot_take_an_external_id_of_another(maker: Maker) -> None:
    async with opened(maker) as store:
        await add_one(store, external_id="crm-1")
        endpoint = await add_one(store, SENT, external_id="crm-2")
        with pytest.raises(Conflict) as error:
            await store.endpoint_store.update(
                changed(endpoint, external_id="crm-1", event_types=(FAILED,))
            )
        assert _pointers(error) == ["/external_id"]
        assert await store.endpoint_store.get(None, endpoint.id) == endpoint
        assert endpoint.id in await _matched(store)


async def test_an_external_id_that_was_given_up_is_free(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, external_id="crm-1")
        await store.endpoint_store.update(changed(endpoint, external_id=None))
        await add_one(store, external_id="crm-1")


async def test_an_update_of_no_endpoint_is_not_found(maker: Maker) -> None:
    async with opened(maker) as store:
        with pytest.raises(NotFound):
            await store.endpoint_store.update(changed(new_endpoint()))
        removed = await add_one(store)
        await store.endpoint_store.remove(None, removed.id, T0)
        with pytest.raises(NotFound):
            await store.endpoint_store.update(changed(removed))
        theirs = await add_one(store, tenant="acme")
        with pytest.raises(NotFound):
            await store.endpoint_store.update(changed(theirs, tenant="default"))
        assert await store.endpoint_store.get("acme", theirs.id) == theirs


async def test_a_removed_endpoint_is_gone_at_once(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        assert await store.endpoint_store.remove("default", endpoint.id, T0) is True
        assert await store.endpoint_store.get(None, endpoint.id) is None
        assert await store.endpoint_store.get_many([endpoint.id]) == []
        assert await _matched(store) == []
        query = EndpointQuery(tenant="default", limit=10)
        assert await pages(store.endpoint_store.list, query) == []


async def test_removing_what_is_not_there_says_so(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, tenant="acme")
        assert await store.endpoint_store.remove("default", endpoint.id, T0) is False
        assert await store.endpoint_store.remove(None, f"ep_{new_key()}", T0) is False
        assert await store.endpoint_store.get("acme", endpoint.id) == endpoint
        [matched] = await store.endpoint_store.match([new_event(tenant="acme")])
        assert matched == [endpoint.id]
        assert await store.endpoint_store.remove(None, endpoint.id, T0) is True
        assert await store.endpoint_store.remove(None, endpoint.id, T0) is False


async def test_repeating_an_add_does_not_bring_back_what_was_removed(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store)
        await store.endpoint_store.remove(None, endpoint.id, T0)
        await add(store, endpoint)
        assert await store.endpoint_store.get(None, endpoint.id) is None
        assert await _matched(store) == []


async def test_the_external_id_of_a_removed_endpoint_is_free_again(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoint = await add_one(store, external_id="crm-1")
        await store.endpoint_store.remove(None, endpoint.id, T0)
        successor = await add_one(store, external_id="crm-1")
        query = EndpointQuery(tenant="default", limit=10, external_id="crm-1")
        assert await pages(store.endpoint_store.list, query) == [successor]


async def test_endpoints_are_listed_oldest_first_from_page_to_page(maker: Maker) -> None:
    async with opened(maker) as store:
        endpoints = [new_endpoint(at=T0 + index) for index in range(25)]
        # Added in another order than that of their time.
        await add(store, *endpoints[10:], *endpoints[:10])
        await add_one(store, tenant="acme")
        for limit in (1, 7, 25, 100):
            query = EndpointQuery(tenant="default", limit=limit)
            assert await pages(store.endpoint_store.list, query) == endpoints


async def test_endpoints_are_listed_by_status_and_external_id(maker: Maker) -> None:
    async with opened(maker) as store:
        statuses = list(EndpointStatus)
        endpoints = [
            new_endpoint(at=T0 + index, external_id=f"crm-{index}", status=statuses[index % 4])
            for index in range(20)
        ]
        await add(store, *endpoints)

        async def listed(
            status: EndpointStatus | None, external_id: str | None = None
        ) -> list[Endpoint]:
            query = EndpointQuery(tenant="default", limit=3, status=status, external_id=external_id)
            return await pages(store.endpoint_store.list, query)

        for status in statuses:
            assert await listed(status) == [each for each in endpoints if each.status is status]
        assert await listed(None, "crm-5") == [endpoints[5]]
        assert await listed(endpoints[5].status, "crm-5") == [endpoints[5]]
        assert await listed(endpoints[6].status, "crm-5") == []
        assert await listed(None, "crm-99") == []


async def test_a_page_of_endpoints_goes_on_where_the_last_ended_while_new_ones_arrive(
    maker: Maker,
) -> None:
    async with opened(maker) as store:
        endpoints = [new_endpoint(at=T0 + index) for index in range(6)]
        await add(store, *endpoints[:4])
        page = await store.endpoint_store.list(EndpointQuery(tenant="default", limit=2))
        await add(store, *endpoints[4:])
        await store.endpoint_store.remove(None, endpoints[1].id, T0)
        rest = await pages(
            store.endpoint_store.list, EndpointQuery(tenant="default", limit=2, after=page.after)
        )
        assert page.items + rest == endpoints
