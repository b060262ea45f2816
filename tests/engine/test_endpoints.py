"""Endpoints: adding sends nothing, a change keeps what it does not name, and nobody's is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.engine.world import QueueOfHints, World, add, event, url_of
from webhook.domain.endpoint import EndpointInput, EndpointPatch
from webhook.domain.errors import Conflict, InvalidInput, NotFound
from webhook.domain.model import Endpoint, EndpointStatus
from webhook.domain.retry import RetryPolicy
from webhook.ports import EndpointQuery
from webhook.runtime import WebhookRuntimeService, add_endpoints

FULL: dict[str, Any] = {
    "external_id": "crm",
    "name": "CRM",
    "description": "tells the CRM",
    "filters": {"provider": ["a", "b"]},
    "headers": {"X-Tag": "1"},
    "retry": RetryPolicy(max_retries=2),
    "timeout_ms": 7_000,
}


async def listed(service: WebhookRuntimeService) -> list[Endpoint]:
    return (await service.list_endpoints(EndpointQuery(tenant="default", limit=50))).items


async def test_adding_an_endpoint_sends_nothing(world: World) -> None:
    service = world.service(background=True)
    await add(service)
    await service.add_endpoints([EndpointInput(url=url_of("b"), event_types=["*"])])
    await world.clock.advance(600_000)
    assert world.sender.requests == []


async def test_an_added_endpoint_has_a_secret_of_its_own_and_reads_back(world: World) -> None:
    service = world.service()
    first, second = await add(service, "a", **FULL), await add(service, "b")
    assert first.secrets[0].value.startswith("whsec_")
    assert first.secrets[0].value != second.secrets[0].value
    assert await service.get_endpoint(first.id) == first
    assert await listed(service) == [first, second]


async def test_endpoints_are_added_all_or_none(world: World) -> None:
    service = world.service()
    await add(service, "a", external_id="taken")
    good = EndpointInput(url=url_of("b"), event_types=["*"], external_id="free")
    with pytest.raises(InvalidInput) as bad:
        await add_endpoints(service, [good, EndpointInput(url="ftp://x", event_types=["*"])])
    assert [error.pointer for error in bad.value.errors] == ["/1/url"]
    with pytest.raises(Conflict) as taken:
        await add_endpoints(
            service, [good, EndpointInput(url=url_of("c"), event_types=["*"], external_id="taken")]
        )
    assert [error.pointer for error in taken.value.errors] == ["/1/external_id"]
    assert len(await listed(service)) == 1
    assert await add_endpoints(service, []) == []


async def test_the_conflict_of_a_single_endpoint_has_no_index(world: World) -> None:
    service = world.service()
    await add(service, "a", external_id="taken")
    with pytest.raises(Conflict) as caught:
        await add(service, "b", external_id="taken")
    assert [error.pointer for error in caught.value.errors] == ["/external_id"]


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ({"url": "https://new.example/x"}, {"url": "https://new.example/x"}),
        ({"event_types": ["message.failed"]}, {"event_types": ("message.failed",)}),
        ({"external_id": "erp"}, {"external_id": "erp"}),
        ({"external_id": None}, {"external_id": None}),
        ({"name": "ERP"}, {"name": "ERP"}),
        ({"name": None}, {"name": None}),
        ({"description": "d"}, {"description": "d"}),
        ({"description": None}, {"description": None}),
        ({"active": False}, {"status": EndpointStatus.INACTIVE}),
        ({"active": True}, {}),
        ({"status": EndpointStatus.SUSPENDED}, {"status": EndpointStatus.SUSPENDED}),
        ({"filters": {"x": [1]}}, {"filters": {"x": (1,)}}),
        ({"filters": None}, {"filters": {}}),
        ({"headers": {"X-New": "2"}}, {"headers": {"X-New": "2"}}),
        ({"headers": None}, {"headers": {}}),
        ({"retry": RetryPolicy(schedule_s=())}, {"retry": RetryPolicy(schedule_s=())}),
        ({"retry": None}, {"retry": None}),
        ({"timeout_ms": 9_000}, {"timeout_ms": 9_000}),
        ({"timeout_ms": None}, {"timeout_ms": None}),
        ({}, {}),
    ],
)
async def test_a_change_changes_what_it_names_and_nothing_else(
    world: World, change: dict[str, Any], after: dict[str, Any]
) -> None:
    service = world.service()
    before = await add(service, "a", **FULL)
    await world.clock.advance(1_000)
    changed = await service.update_endpoint(before.id, EndpointPatch(**change))
    fields = set(Endpoint.__struct_fields__) - set(after) - {"updated_at", "revision"}
    assert {name: getattr(changed, name) for name in after} == after
    assert {name for name in fields if getattr(changed, name) != getattr(before, name)} == set()
    assert (changed.revision, changed.updated_at) == (2, before.updated_at + 1_000)
    assert await service.get_endpoint(before.id) == changed


async def test_a_bad_change_names_its_field_and_changes_nothing(world: World) -> None:
    service = world.service()
    before = await add(service)
    with pytest.raises(InvalidInput) as caught:
        await service.update_endpoint(before.id, EndpointPatch(name="x", timeout_ms=0))
    assert [error.pointer for error in caught.value.errors] == ["/timeout_ms"]
    assert await service.get_endpoint(before.id) == before


async def test_of_two_edits_at_once_one_is_told_of_the_other(world: World) -> None:
    service = world.service()
    endpoint = await add(service)
    both = asyncio.Event()

    async def wait_for_the_other() -> None:
        if world.faults.calls["update"] == 2:
            both.set()
        await both.wait()

    world.faults.hold["update"] = wait_for_the_other
    results = await asyncio.gather(
        service.update_endpoint(endpoint.id, EndpointPatch(name="one")),
        service.update_endpoint(endpoint.id, EndpointPatch(description="two")),
        return_exceptions=True,
    )
    [won] = [result for result in results if isinstance(result, Endpoint)]
    [lost] = [result for result in results if not isinstance(result, Endpoint)]
    assert isinstance(lost, Conflict)
    assert await service.get_endpoint(endpoint.id) == won
    assert won.revision == 2


async def test_a_change_of_what_is_not_there_is_told(world: World) -> None:
    service = world.service()
    endpoint = await add(service)
    for endpoint_id, tenant in ((endpoint.id, "other"), ("ep_x", None), ("", None)):
        with pytest.raises(NotFound):
            await service.update_endpoint(endpoint_id, EndpointPatch(), tenant=tenant)
        assert not await service.remove_endpoint(endpoint_id, tenant=tenant)


async def test_an_attempt_uses_the_endpoint_as_it_is_when_it_starts(world: World) -> None:
    service = world.service(wake_queue=QueueOfHints())
    endpoint = await add(service)
    await service.emit(event())
    await service.update_endpoint(
        endpoint.id,
        EndpointPatch(
            url=url_of("new"), headers={"X-New": "1"}, timeout_ms=4_000, event_types=["x.y"]
        ),
    )
    await world.clock.run(service.flush())
    [sent] = world.sender.requests
    assert (sent.url, sent.headers["x-new"], sent.timeout_ms) == (url_of("new"), "1", 4_000)


async def test_a_tenants_events_reach_its_own_endpoints_only(world: World) -> None:
    service = world.service()
    await add(service, "mine", tenant="one")
    await add(service, "theirs", tenant="two")
    [found] = await world.clock.run(service.emit_sync(event(tenant="two")))
    assert found.tenant == "two"
    assert [sent.url for sent in world.sender.requests] == [url_of("theirs")]


@pytest.mark.parametrize(
    ("name", "value"),
    [("Host", "x"), ("WEBHOOK_ID", "x"), ("x-signed", "x"), ("X-A", "a\r\nX-B: c"), ("X A", "x")],
)
async def test_a_change_cannot_bring_in_a_header_that_is_not_allowed(
    world: World, name: str, value: str
) -> None:
    service = world.service(scheme="k-msg", secret_key="s", signature_header="X-Signed")
    before = await add(service)
    with pytest.raises(InvalidInput) as caught:
        await service.update_endpoint(before.id, EndpointPatch(headers={name: value}))
    assert [error.pointer for error in caught.value.errors] == [f"/headers/{name}"]
    assert await service.get_endpoint(before.id) == before
