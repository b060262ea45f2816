"""Who may do what: each operation asks for its scope, and a token is what its admin made it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.api.bad_input import check_shape
from tests.api.client import Api, opened
from tests.api.server import LOCAL, TOKEN
from tests.api.tenants import asked_for, operations
from webhook import WebhookRuntimeService, create_in_memory_webhook_persistence
from webhook.api import ApiSettings, create_app
from webhook.api.app import OPERATIONS
from webhook.domain.access import KNOWN_FOR_MS, TOKEN_PATTERN, USE_NOTED_EVERY_MS, Scope, token_id
from webhook.testing.clock import VirtualClock

GUARDED = [operation for operation in OPERATIONS if operation.scope is not None]
IDS = {
    "/endpoints": f"ep_{'0' * 26}",
    "/events": "nothing",
    "/deliveries": f"dlv_{'0' * 52}",
    "/recoveries": f"rcv_{'0' * 26}",
    "/tokens": f"tok_{'0' * 26}",
    "/tenants": "nobody",
}
URL = "https://hooks.example:8443/services/T0/hush?key=hush"


async def make(api: Api, *scopes: str, **fields: object) -> dict[str, Any]:
    """Make a token, and return the answer."""
    body = {"name": "a test's", "scopes": scopes} | fields
    answer = await api.client.post("/v1/tokens", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def bearer(api: Api, *scopes: str, **fields: object) -> dict[str, str]:
    return {"authorization": f"Bearer {(await make(api, *scopes, **fields))['token']}"}


# --- scopes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", Scope)
async def test_a_token_opens_what_its_scope_names_and_nothing_else(api: Api, scope: Scope) -> None:
    document = await api.get("/openapi.json")
    token = (await make(api, scope))["token"]
    opened_to = set()
    for asked in asked_for(document, IDS):
        status, text = await asked.send(api.client, token)
        assert status < 500, (asked.name, text)
        if status != 403:
            opened_to.add(asked.name)
            continue
        [needed] = [operation.scope for operation in GUARDED if operation.name == asked.name]
        problem = json.loads(text)
        check_shape(problem, 403)
        assert f"the scope {needed}," in problem["detail"]
    named = {o.name for o in GUARDED if o.scope == scope or scope is Scope.ADMIN}
    assert opened_to == named


async def test_the_document_names_the_scope_of_each_operation(api: Api) -> None:
    document = await api.get("/openapi.json")
    described = {o["operationId"]: o["security"] for _, _, o in operations(document)}
    assert described == {operation.name: [{"token": [operation.scope]}] for operation in GUARDED}
    page = (await api.client.get("/docs")).text
    assert page.count("The token needs the scope <code>") == len(GUARDED)


async def test_what_concerns_all_tenants_is_refused_to_a_token_of_one(api: Api) -> None:
    headers = await bearer(api, "admin", tenant="acme")
    for path in ("/v1/sending/pause", "/v1/sending/resume"):
        answer = await api.client.post(path, headers=headers)
        assert answer.status_code == 403
        assert "confined to one" in answer.json()["detail"]


async def test_the_path_of_a_url_is_shown_to_those_who_manage_alone(api: Api) -> None:
    further = URL.replace("hooks.", "more.")
    made = await api.add_endpoint(URL, failover={"urls": [further]})
    for scopes, shown in ((["read"], "https://hooks.example:8443"), (["read", "manage"], URL)):
        headers = await bearer(api, *scopes)
        for path in ("/v1/endpoints", f"/v1/endpoints/{made['id']}"):
            answer = (await api.client.get(path, headers=headers)).json()
            [endpoint] = answer.get("data", [answer])
            assert endpoint["url"] == shown
            assert endpoint["failover"]["urls"] == [shown.replace("hooks.", "more.")]
            assert ("hush" in json.dumps(answer)) == (shown == URL)


async def test_a_secret_is_shown_to_those_who_may_read_secrets_alone(api: Api) -> None:
    body = {"url": URL, "event_types": ["*"]}
    for scopes, shown in ((["manage"], False), (["manage", "secrets"], True)):
        headers = await bearer(api, *scopes)
        made = (await api.client.post("/v1/endpoints", json=body, headers=headers)).json()
        assert ("secret" in made) == shown
        batch = {"endpoints": [body]}
        both = await api.client.post("/v1/endpoints/batch", json=batch, headers=headers)
        assert ("secret" in both.json()["data"][0]) == shown
        read = await api.client.post(f"/v1/endpoints/{made['id']}/secret", headers=headers)
        assert read.status_code == (200 if shown else 403)
        assert ("whsec_" in read.text) == shown


# --- tokens ---------------------------------------------------------------------------------------


async def test_a_token_is_shown_once_and_kept_nowhere(api: Api) -> None:
    made = await make(api, "emit", "read", "emit", name="shop", tenant="acme")
    token, details = made["token"], made["details"]
    assert re.fullmatch(TOKEN_PATTERN, token)
    assert "." not in token
    assert token_id(token) == details["id"]
    assert (details["name"], details["scopes"]) == ("shop", ["emit", "read"])
    assert details["tenant"] == "acme"
    assert (details["expires_at"], details["last_used_at"]) == (None, None)
    listed = await api.get("/v1/tokens")
    assert listed["data"] == [details]
    found = await api.service.access.find_token(details["id"])
    assert found is not None
    secret = token.rpartition("_")[2]
    assert secret not in json.dumps(listed) + repr(found) + found.hash


async def test_two_tokens_have_nothing_in_common(api: Api) -> None:
    one, other = [(await make(api, "emit"))["token"].split("_") for _ in range(2)]
    assert one[1] != other[1]
    assert one[2] != other[2]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "x" * 257}, "/name"),
        ({"name": "two\nlines"}, "/name"),
        ({"name": None}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["root"]}, "/scopes/0"),
        ({"tenant": "no spaces"}, "/tenant"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "tomorrow"}, "/expires_at"),
        ({"token": "mine"}, "/token"),
    ],
)
async def test_a_token_that_cannot_be_is_refused_at_its_field(
    api: Api, change: dict[str, object], pointer: str
) -> None:
    body = {"name": "x", "scopes": ["read"]} | change
    answer = await api.client.post("/v1/tokens", json=body)
    assert answer.status_code == 422
    check_shape(answer.json(), 422)
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await api.get("/v1/tokens"))["data"] == []


async def test_an_unknown_token_is_revoked_with_a_404(api: Api) -> None:
    for token in ("tok_x", f"tok_{'0' * 26}", "bootstrap"):
        assert (await api.client.delete(f"/v1/tokens/{token}")).status_code == 404


# --- tokens and time ------------------------------------------------------------------------------


@dataclass
class Timed:
    """A service whose guard lives in virtual time, and a client without a token."""

    client: httpx2.AsyncClient
    service: WebhookRuntimeService
    clock: VirtualClock

    async def status(self, token: str) -> int:
        headers = {"authorization": f"Bearer {token}"}
        return (await self.client.get("/v1/events", headers=headers)).status_code


@asynccontextmanager
async def timed(**settings: Any) -> AsyncIterator[Timed]:
    clock = VirtualClock()
    service = WebhookRuntimeService(LOCAL, clock=clock, auto_start=False)
    app = create_app(ApiSettings(token=TOKEN, **settings), service, clock=clock)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://api"
    ) as client:
        yield Timed(client, service, clock)
    await service.shutdown()


async def test_a_revoked_token_lets_in_for_ten_seconds_at_most() -> None:
    async with timed() as world:
        token, text = await world.service.access.create_token("x", [Scope.READ])
        assert await world.status(text) == 200
        await world.service.access.revoke_token(token.id)
        await world.clock.advance(KNOWN_FOR_MS - 1)
        assert await world.status(text) == 200
        await world.clock.advance(1)
        assert await world.status(text) == 401


async def test_a_token_that_nobody_used_just_now_is_revoked_at_once() -> None:
    async with timed() as world:
        token, text = await world.service.access.create_token("x", [Scope.READ])
        await world.service.access.revoke_token(token.id)
        assert await world.status(text) == 401


async def test_a_token_ends_at_its_very_time_also_where_it_is_remembered() -> None:
    async with timed() as world:
        end = world.clock.now_ms() + 5_000
        _, text = await world.service.access.create_token("x", [Scope.READ], expires_at=end)
        assert await world.status(text) == 200
        await world.clock.advance(4_999)
        assert await world.status(text) == 200
        await world.clock.advance(1)
        assert await world.status(text) == 401


async def test_the_chance_of_a_token_counts_and_not_its_id_alone() -> None:
    async with timed() as world:
        _, text = await world.service.access.create_token("x", [Scope.READ])
        forged = text[:-1] + ("0" if text[-1] != "0" else "1")
        assert await world.status(forged) == 401
        assert await world.status(text) == 200
        assert await world.status(forged) == 401  # while the right one is remembered


async def test_use_is_noted_to_the_hour_and_not_by_each_request() -> None:
    async with timed() as world:
        token, text = await world.service.access.create_token("x", [Scope.READ])
        first = world.clock.now_ms()
        for _ in range(5):
            assert await world.status(text) == 200
            await world.clock.advance(USE_NOTED_EVERY_MS // 5 - 1)
        used = await world.service.access.find_token(token.id)
        assert used is not None
        assert used.last_used_at == first
        await world.clock.advance(5)
        assert await world.status(text) == 200
        used = await world.service.access.find_token(token.id)
        assert used is not None
        assert used.last_used_at == world.clock.now_ms()


async def test_a_token_works_where_no_bootstrap_token_is_set() -> None:
    service = WebhookRuntimeService(LOCAL, auto_start=False)
    _, text = await service.access.create_token("x", [Scope.READ])
    transport = httpx2.ASGITransport(create_app(ApiSettings(), service))
    async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
        for token, status in ((text, 200), (f"{text[:-4]}0000", 401), ("wrong", 503)):
            headers = {"authorization": f"Bearer {token}"}
            assert (await client.get("/v1/events", headers=headers)).status_code == status
    await service.shutdown()


async def test_stores_without_an_access_store_have_the_bootstrap_token_alone() -> None:
    persistence = create_in_memory_webhook_persistence()
    persistence.access_store = None
    async with opened(persistence=persistence, auto_start=False) as api:
        await api.add_endpoint(URL)
        body = {"name": "x", "scopes": ["read"]}
        assert (await api.client.post("/v1/tokens", json=body)).status_code == 501
        assert (await api.client.get("/v1/audit")).status_code == 501
