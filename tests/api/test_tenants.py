"""A token that is bound to a tenant never learns that others exist: not even that they might.

There are two worlds, alike but for tenant b, which one of them lacks. Whatever a's token asks, by
every operation of the OpenAPI document, both give it the same answer; and b's things stay as they
are. The token is an admin, so that no scope stands in the way.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from tests.api.server import LOCAL, TOKEN, Nowhere
from tests.api.tenants import Asked, asked_for, operations
from webhook import WebhookConfig, WebhookRuntimeService
from webhook.api import ApiSettings, create_app
from webhook.api.app import OPERATIONS

CONFIG = WebhookConfig(
    allow_http=LOCAL.allow_http, allow_private_hosts=LOCAL.allow_private_hosts, max_retries=0
)
OURS = re.compile(
    r"(whtok_[a-z0-9_]+|whsec_[A-Za-z0-9+/=]+|(?:ep|evt|dlv|rcv|tok|aud)_[a-z0-9]{26,52})"
)
TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# Of these there is one for all tenants, and a bound token may not touch it.
OF_ALL = {operation.name for operation in OPERATIONS if operation.whole}
type Ids = dict[str, str]


@dataclass
class World:
    """A service, and what it knows of each tenant."""

    client: httpx2.AsyncClient
    service: WebhookRuntimeService
    document: dict[str, Any] = field(default_factory=dict)
    token: str = ""
    ids: dict[str, Ids] = field(default_factory=dict)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.post(path, json=body)
        assert answer.status_code < 300, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def settle_in(self, tenant: str) -> None:
        """Give a tenant two of everything; what is marked with its name must stay its own."""
        endpoint = recovery = token = {}
        for number in range(2):
            body = {
                "url": f"https://{tenant}.example/hush-{tenant}-{number}",
                "event_types": ["*"],
                "tenant": tenant,
                "external_id": f"external-{tenant}-{number}",
                "headers": {"x-key": f"hush-{tenant}"},
            }
            endpoint = await self.post("/v1/endpoints", body)
        for number in range(2):
            event = {
                "id": f"order-{tenant}-{number}",
                "type": "message.sent",
                "data": f"hush-{tenant}",
                "tenant": tenant,
            }
            await self.post("/v1/events", event)
        await self.service.flush()
        path = f"/v1/events/order-{tenant}-1/deliveries"
        listed = (await self.client.get(path, params={"tenant": tenant})).json()["data"]
        delivery = min(listed, key=lambda one: str(one["endpoint_id"]))
        for status in ("exhausted", "canceled"):
            wish = {"tenant": tenant, "status": status}
            recovery = await self.post("/v1/deliveries/replay", wish)
        await self.service.flush()
        for name in ("first", "second"):
            scopes = {"name": f"{name} of {tenant}", "scopes": ["read"], "tenant": tenant}
            token = await self.post("/v1/tokens", scopes)
        self.ids[tenant] = {
            "/endpoints": endpoint["id"],
            "/events": f"order-{tenant}-1",
            "/deliveries": delivery["id"],
            "/recoveries": recovery["id"],
            "/tokens": token["details"]["id"],
            "/tenants": tenant,
            "endpoint_id": endpoint["id"],
            "event_id": f"order-{tenant}-1",
            "external_id": f"external-{tenant}-1",
            "id": f"order-{tenant}-1",
        }

    async def everything_of(self, tenant: str) -> dict[str, Any]:
        """Read all that there is of a tenant, as its operator."""
        seen = {}
        for asked in asked_for(self.document, self.ids[tenant], tenant):
            if asked.method == "GET" and asked.name not in {"get_secret", "list_audit"}:
                seen[asked.name] = await asked.send(self.client, TOKEN)
        return seen

    async def answers(self, asked: list[Asked], token: str) -> dict[str, tuple[int, str]]:
        """Ask for all of it, reading before anything is removed."""
        return {
            one.name: _plain(*await one.send(self.client, token))
            for one in sorted(asked, key=lambda one: (one.method == "DELETE", one.method))
        }


def _plain(status: int, text: str) -> tuple[int, str]:
    """Leave out what differs between two worlds anyway: ids by chance, times, order within a ms."""
    plain = TIMES.sub("(time)", OURS.sub("(ours)", text))
    if '"next_cursor"' in plain:
        page = json.loads(plain)
        page["data"].sort(key=json.dumps)
        plain = json.dumps(page, separators=(",", ":"))
    return status, plain


@asynccontextmanager
async def world(*tenants: str) -> AsyncIterator[World]:
    service = WebhookRuntimeService(CONFIG, sender=Nowhere(), auto_start=False)
    app = create_app(ApiSettings(token=TOKEN), service)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app),
        base_url="http://api",
        headers={"authorization": f"Bearer {TOKEN}", "x-request-id": "same"},
    ) as client:
        made = World(client, service)
        made.document = (await client.get("/openapi.json")).json()
        for tenant in tenants:
            await made.settle_in(tenant)
        bound = {"name": "bound", "scopes": ["admin"], "tenant": "a"}
        made.token = (await made.post("/v1/tokens", bound))["token"]
        yield made
    await service.shutdown()


@pytest.fixture
async def worlds() -> AsyncIterator[tuple[World, World]]:
    """One with both tenants, and one with a alone."""
    async with AsyncExitStack() as stack:
        both = await stack.enter_async_context(world("b", "a"))
        alone = await stack.enter_async_context(world("a"))
        yield both, alone


async def test_no_answer_tells_whether_another_tenant_has_what_is_asked_for(
    worlds: tuple[World, World],
) -> None:
    both, alone = worlds
    theirs = both.ids["b"]
    before = await both.everything_of("b")
    for tenant in (None, "a", "b"):
        asked = asked_for(both.document, theirs, tenant)
        answers = await both.answers(asked, both.token)
        assert answers == await alone.answers(asked, alone.token)
        assert {name for name, _ in answers.items()} == {
            operation.name for operation in OPERATIONS if operation.scope is not None
        }
        for name, (status, text) in answers.items():
            assert "hush-b" not in text, name
            assert status < 500, (name, text)
            if tenant == "b" and name not in OF_ALL:
                assert (status == 403) == _takes_a_tenant(both, name), (name, text)
    assert await both.everything_of("b") == before


def _takes_a_tenant(world: World, name: str) -> bool:
    [asked] = [one for one in asked_for(world.document, world.ids["b"], "b") if one.name == name]
    return "tenant" in asked.params or b'"tenant"' in (asked.body or b"")


async def test_no_list_and_no_count_has_anything_of_others(worlds: tuple[World, World]) -> None:
    both, alone = worlds
    for _ in range(2):  # the second time all that the first has made is there as well
        asked = asked_for(both.document, both.ids["a"])
        for method in ("GET", "POST"):
            some = [one for one in asked if one.method == method]
            here = [
                one for one in asked_for(alone.document, alone.ids["a"]) if one.method == method
            ]
            answers = await both.answers(some, both.token)
            assert answers == await alone.answers(here, alone.token)
            for name, (status, text) in answers.items():
                assert "hush-b" not in text, name
                assert '"tenant":"b"' not in text, name
                assert status < 300 or name in OF_ALL or status == 409, (name, text)


async def test_a_cursor_of_another_tenant_is_as_good_as_none(worlds: tuple[World, World]) -> None:
    both, alone = worlds
    walked = 0
    for method, path, operation in operations(both.document):
        if not any(parameter["name"] == "cursor" for parameter in operation["parameters"]):
            continue
        url = path.replace("{id}", both.ids["b"]["/events"])
        first = await both.client.request(method, url, params={"tenant": "b", "limit": "1"})
        cursor = first.json()["next_cursor"]
        assert cursor is not None, path
        walked += 1
        for tenant in ({}, {"tenant": "a"}):
            params = {"cursor": cursor, "limit": "1", **tenant}
            asked = Asked(operation["operationId"], method, url, params, None)
            answer = await asked.send(both.client, both.token)
            assert _plain(*answer) == _plain(*await asked.send(alone.client, alone.token))
            assert answer[0] == 422, answer
    assert walked >= 6


async def test_what_a_bound_token_makes_is_its_tenants(worlds: tuple[World, World]) -> None:
    both, _ = worlds
    for asked in asked_for(both.document, both.ids["a"]):
        if asked.method == "POST" and asked.name not in OF_ALL:
            # Names of its own for each, since a name can be given once.
            ids = {**both.ids["a"], "id": asked.name, "external_id": asked.name}
            [fresh] = [one for one in asked_for(both.document, ids) if one.name == asked.name]
            status, text = await fresh.send(both.client, both.token)
            assert status < 300, (asked.name, text)
            assert '"tenant":"default"' not in text, asked.name
            assert '"tenant":null' not in text, asked.name


async def test_a_tenant_of_others_is_refused_at_its_place_in_a_batch(
    worlds: tuple[World, World],
) -> None:
    both, _ = worlds
    headers = {"authorization": f"Bearer {both.token}"}
    event = {"type": "a", "data": 1}
    endpoint = {"url": "https://a.example/x", "event_types": ["*"]}
    for path, name, one in (
        ("events", "events", event),
        ("endpoints/batch", "endpoints", endpoint),
    ):
        batch = {name: [one, {**one, "tenant": "b"}]}
        answer = await both.client.post(f"/v1/{path}", json=batch, headers=headers)
        assert answer.status_code == 403
        assert [e["pointer"] for e in answer.json()["errors"]] == [f"/{name}/1/tenant"]
    answer = await both.client.post(
        "/v1/tokens", json={"name": "x", "scopes": ["read"], "tenant": None}, headers=headers
    )
    assert [e["pointer"] for e in answer.json()["errors"]] == ["/tenant"]


async def test_the_walk_would_notice_an_operation_that_forgets_the_tenant(
    worlds: tuple[World, World],
) -> None:
    both, alone = worlds
    asked = asked_for(both.document, both.ids["b"])
    here, there = await both.answers(asked, TOKEN), await alone.answers(asked, TOKEN)
    differ = {name for name in here if here[name] != there[name]}
    one_thing = {one.name for one in asked if "{id}" in _path_of(both, one.name)}
    # Events have ids of their callers, so they are asked for in a tenant always.
    assert one_thing - differ == {"get_event", "list_event_deliveries", "erase_payload"}
    assert {"list_tokens", "list_audit"} <= differ


def _path_of(world: World, name: str) -> str:
    return next(path for _, path, o in operations(world.document) if o["operationId"] == name)
