"""Every change and every secret that is read is in the audit log: who, what, when, from where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.client import Api, opened
from tests.api.tenants import asked_for, operations
from webhook import create_in_memory_webhook_persistence
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.api.app import OPERATIONS
from webhook.domain.access import Scope
from webhook.domain.recovery import Recovery, RecoveryKind, RecoveryRange

# Who emits is in the events, and a probe changes nothing.
NOT_AUDITED = {"emit", "probe_endpoint"}
ACTIONS = {
    "add_endpoint": "endpoint.create",
    "add_endpoints": "endpoint.create",
    "update_endpoint": "endpoint.update",
    "remove_endpoint": "endpoint.remove",
    "get_secret": "secret.read",
    "rotate_secret": "secret.rotate",
    "erase_payload": "event.erase_payload",
    "replay_delivery": "delivery.replay",
    "cancel_delivery": "delivery.cancel",
    "replay_deliveries": "recovery.start",
    "recover_endpoint": "recovery.start",
    "cancel_recovery": "recovery.cancel",
    "pause_sending": "sending.pause",
    "resume_sending": "sending.resume",
    "create_token": "token.create",
    "revoke_token": "token.revoke",
    "delete_tenant": "tenant.deleted",
}


async def entries(api: Api, **params: str | int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.get("/v1/audit", **params))["data"]
    return found


def test_every_operation_that_changes_something_or_shows_a_secret_has_its_action() -> None:
    changing = {
        operation.name
        for operation in OPERATIONS
        if operation.method != "GET" or operation.scope is Scope.SECRETS
    }
    assert set(ACTIONS) == changing - NOT_AUDITED


async def things(api: Api) -> dict[str, str]:
    """Make one of everything, and return what their ids are."""
    endpoint = await api.add_endpoint("http://127.0.0.1:9/hush?key=hush", secret=SECRET)
    event = await api.emit()
    [delivery] = (await api.get(f"/v1/events/{event['id']}/deliveries"))["data"]
    token = await api.client.post("/v1/tokens", json={"name": "x", "scopes": ["read"]})
    wish = {"status": "canceled"}
    recovery = await api.client.post("/v1/deliveries/replay", json=wish)
    return {
        "/endpoints": endpoint["id"],
        "/events": event["id"],
        "/deliveries": delivery["id"],
        "/recoveries": recovery.json()["id"],
        "/tokens": token.json()["details"]["id"],
        "/tenants": "acme",
    }


RUNNING = Recovery(
    id=f"rcv_{'0' * 26}",
    tenant="default",
    kind=RecoveryKind.FILTER,
    range=RecoveryRange(),
    fingerprint="",
    created_at=0,
    updated_at=0,
)
SECRET = "whsec_" + "aHVzaGh1c2g" * 4
# What must have been done before an operation changes anything.
BEFORE = {"replay_delivery": "/v1/deliveries/{}/cancel"}


@pytest.mark.parametrize("name", ACTIONS)
async def test_each_leaves_an_entry_that_says_who_what_and_from_where(name: str) -> None:
    persistence = create_in_memory_webhook_persistence()
    async with opened(persistence=persistence, auto_start=False) as api:
        ids = await things(api)
        if name == "cancel_recovery":
            assert persistence.recovery_store is not None
            await persistence.recovery_store.start(RUNNING)
            ids["/recoveries"] = RUNNING.id
        if name in BEFORE:
            await api.client.post(BEFORE[name].format(ids["/deliveries"]))
        before = await entries(api)
        document = await api.get("/openapi.json")
        [asked] = [one for one in asked_for(document, ids) if one.name == name]
        answer = await api.client.request(
            asked.method,
            asked.url,
            content=asked.body,
            headers={"x-request-id": "of-the-test", "content-type": "application/json"},
        )
        assert answer.status_code < 300, answer.text
        entry, *rest = await entries(api)
        if name == "delete_tenant":
            # That it begins, and that it has ended.
            assert rest.pop(0)["action"] == "tenant.delete"
        assert rest == before
        assert entry["action"] == ACTIONS[name]
        assert entry["actor"] == "bootstrap"
        assert entry["source"] == "127.0.0.1"
        assert entry["request_id"] == "of-the-test"
        wanted = [value for key, value in ids.items() if key.startswith(_collection(asked.url))]
        if "{id}" in _path(document, name) and name != "recover_endpoint":
            assert entry["target"] == wanted[0]
        assert "hush" not in json.dumps(entry)
        assert "aHVzaGh1c2g" not in json.dumps(entry)


def _collection(url: str) -> str:
    return "/" + url.split("/")[2]


def _path(document: dict[str, Any], name: str) -> str:
    return next(path for _, path, o in operations(document) if o["operationId"] == name)


async def test_reading_and_emitting_leave_no_entry(api: Api) -> None:
    ids = await things(api)
    before = await entries(api)
    for asked in asked_for(await api.get("/openapi.json"), ids):
        if asked.name not in ACTIONS:
            answer = await api.client.request(asked.method, asked.url, content=asked.body)
            assert answer.status_code < 300, answer.text
    assert await entries(api) == before


async def test_a_refused_change_leaves_no_entry(api: Api) -> None:
    await api.add_endpoint("http://127.0.0.1:9/", external_id="taken")
    before = await entries(api)
    body = {"url": "http://127.0.0.1:9/", "event_types": ["*"], "external_id": "taken"}
    assert (await api.client.post("/v1/endpoints", json=body)).status_code == 409
    assert (await api.client.delete(f"/v1/endpoints/ep_{'0' * 26}")).status_code == 404
    assert (await api.client.post("/v1/endpoints", json={"url": "x"})).status_code == 422
    assert await entries(api) == before


async def test_an_entry_names_the_token_and_the_fields_but_no_value(api: Api) -> None:
    made = await api.add_endpoint("http://127.0.0.1:9/")
    token = (
        await api.client.post("/v1/tokens", json={"name": "x", "scopes": ["manage", "emit"]})
    ).json()
    headers = {"authorization": f"Bearer {token['token']}"}
    change = {"url": "http://127.0.0.1:9/hush", "headers": {"x-key": "hush"}, "name": None}
    path = f"/v1/endpoints/{made['id']}"
    assert (await api.client.patch(path, json=change, headers=headers)).status_code == 200
    entry = (await entries(api))[0]
    assert entry["actor"] == token["details"]["id"]
    assert set(entry["detail"].split()) == {"url", "headers", "name"}
    assert (entry["tenant"], entry["target"]) == ("default", made["id"])


async def test_each_endpoint_of_a_batch_has_an_entry(api: Api) -> None:
    one = {"url": "http://127.0.0.1:9/", "event_types": ["*"]}
    batch = {"endpoints": [one, {**one, "tenant": "acme"}]}
    made = (await api.client.post("/v1/endpoints/batch", json=batch)).json()["data"]
    found = {(entry["tenant"], entry["target"]) for entry in await entries(api)}
    assert found == {("default", made[0]["id"]), ("acme", made[1]["id"])}
    assert [e["target"] for e in await entries(api, tenant="acme")] == [made[1]["id"]]


async def test_the_log_is_paged_by_cursor_and_bounded_by_time(api: Api) -> None:
    for _ in range(5):
        await api.add_endpoint("http://127.0.0.1:9/")
    whole = await entries(api)
    paged: list[dict[str, Any]] = []
    cursor: dict[str, str | int] = {}
    while True:
        page = await api.get("/v1/audit", limit=2, **cursor)
        paged += page["data"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert paged == whole
    assert len(whole) == 5
    assert await entries(api, since="2001-01-01T00:00:00Z") == whole
    assert await entries(api, until="2001-01-01T00:00:00Z") == []


async def test_no_operation_changes_or_removes_an_entry(api: Api) -> None:
    document = await api.get("/openapi.json")
    assert {m for m, path, _ in operations(document) if path.startswith("/v1/audit")} == {"GET"}


async def test_on_sqlite_the_entry_is_in_the_file_with_its_change(tmp_path: Path) -> None:
    file = tmp_path / "webhook.db"
    async with opened(persistence=create_sqlite_webhook_persistence(file)) as api:
        made = await api.add_endpoint("http://127.0.0.1:9/")
        await api.client.patch(f"/v1/endpoints/{made['id']}", json={"active": False})
        await api.client.delete(f"/v1/endpoints/{made['id']}")
        assert [(entry["action"], entry["target"]) for entry in await entries(api)] == [
            ("endpoint.remove", made["id"]),
            ("endpoint.update", made["id"]),
            ("endpoint.create", made["id"]),
        ]
