"""A probe sends exactly one request, stores nothing, and tells the truth about it."""

from __future__ import annotations

import json

import pytest

from tests.engine.world import World, add, all_deliveries, event, url_of
from webhook.domain.endpoint import EndpointPatch
from webhook.domain.errors import InvalidInput, NotFound
from webhook.domain.model import EndpointStatus, ErrorKind
from webhook.ports import EventQuery
from webhook.runtime import probe_endpoint
from webhook.testing import FOREVER, Reply


async def test_a_probe_sends_one_signed_request_and_stores_nothing(world: World) -> None:
    service = world.service(background=True)
    endpoint = await add(service)
    world.sender.script(url_of("a"), Reply(after_ms=120, response="thanks"))
    result = await world.clock.run(probe_endpoint(service, endpoint.id))
    await world.clock.advance(600_000)
    [sent] = world.sender.requests
    assert (result.success, result.status_code, result.latency_ms) == (True, 200, 120)
    assert (result.endpoint_id, result.response) == (endpoint.id, "thanks")
    assert sent.headers["webhook-signature"].startswith("v1,")
    assert json.loads(sent.body)["type"] == sent.headers["webhook-event-type"]
    assert await all_deliveries(service) == []
    listed = await service.list_events(EventQuery(tenant="default", limit=1))
    assert listed.items == []


@pytest.mark.parametrize("kind", [k for k in ErrorKind if k is not ErrorKind.INTERRUPTED])
async def test_a_probe_tells_the_truth_about_each_kind_of_error(
    world: World, kind: ErrorKind
) -> None:
    service = world.service()
    endpoint = await add(service, timeout_ms=2_000)
    status = {ErrorKind.HTTP_STATUS: 500, ErrorKind.REDIRECT: 302}.get(kind)
    world.sender.script(
        url_of("a"),
        Reply(after_ms=FOREVER)
        if kind is ErrorKind.TIMEOUT
        else Reply(status_code=status, error_kind=kind, error="as it was"),
    )
    result = await world.clock.run(service.probe_endpoint(endpoint.id))
    assert (result.success, result.error_kind, result.status_code) == (False, kind, status)
    assert result.error
    assert len(world.sender.requests) == 1


@pytest.mark.parametrize("status", list(EndpointStatus))
async def test_a_probe_works_whatever_the_endpoints_status(
    world: World, status: EndpointStatus
) -> None:
    service = world.service()
    endpoint = await add(service)
    endpoint = await service.update_endpoint(endpoint.id, EndpointPatch(status=status))
    assert (await world.clock.run(service.probe_endpoint(endpoint.id))).success
    assert await service.get_endpoint(endpoint.id) == endpoint


async def test_a_410_to_a_probe_disables_nothing(world: World) -> None:
    service = world.service()
    endpoint = await add(service)
    world.sender.script(url_of("a"), 410)
    assert not (await world.clock.run(service.probe_endpoint(endpoint.id))).success
    assert await service.get_endpoint(endpoint.id) == endpoint


async def test_a_probe_may_send_an_event_of_the_callers(world: World) -> None:
    service = world.service()
    endpoint = await add(service)
    await world.clock.run(service.probe_endpoint(endpoint.id, event({"n": 1}, id="mine")))
    [sent] = world.sender.requests
    assert sent.event_id == "mine"
    assert json.loads(sent.body)["data"] == {"n": 1}


async def test_a_probe_of_what_is_not_there_or_not_an_event_sends_nothing(world: World) -> None:
    service = world.service()
    endpoint = await add(service)
    with pytest.raises(NotFound):
        await service.probe_endpoint("ep_x")
    with pytest.raises(NotFound):
        await service.probe_endpoint(endpoint.id, tenant="other")
    with pytest.raises(InvalidInput):
        await service.probe_endpoint(endpoint.id, event(type="Not A Type"))
    assert world.sender.requests == []
