"""``/v1/tenants``: what there is of one, and deleting it whole."""

from __future__ import annotations

import pytest

from tests.api.bad_input import check_shape
from tests.api.client import Api, opened
from tests.api.test_access import bearer
from webhook import WebhookPersistence
from webhook.adapters.memory import MemoryDeliveryStore, MemoryEndpointStore

URL = "http://127.0.0.1:9/hook"
ACME = "/v1/tenants/acme"
ZEROS = dict.fromkeys(
    ("endpoints", "subscriptions", "events", "names", "deliveries", "recoveries", "notices",
     "api_tokens", "audit_log", "payload_horizons"), 0,
)  # fmt: skip


@pytest.fixture
async def acme(api: Api) -> Api:
    """An API whose tenant acme has something."""
    await api.add_endpoint(URL, tenant="acme", active=False)
    await api.emit(tenant="acme", id="order-1")
    await api.emit(id="order-1")
    return api


async def test_a_tenant_is_counted_deleted_and_audited(acme: Api) -> None:
    found = await acme.get(ACME)
    assert found == {
        "tenant": "acme",
        "rows": ZEROS | {"endpoints": 1, "events": 1, "names": 1, "audit_log": 1},
        "deleting_since": None,
        "ends_from": None,
    }
    deleted = await acme.client.delete(ACME)
    assert deleted.status_code == 200
    assert deleted.json() == {**found, "rows": ZEROS}
    assert await acme.event_ids(tenant="acme") == []
    assert await acme.event_ids() == ["order-1"]
    entries = (await acme.get("/v1/audit"))["data"]
    assert [(e["action"], e["actor"], e["tenant"], e["target"]) for e in entries] == [
        ("tenant.deleted", "bootstrap", None, "acme"),
        ("tenant.delete", "bootstrap", None, "acme"),
    ]
    assert "nothing is left: endpoints 0," in entries[0]["detail"]
    assert not (await acme.emit(tenant="acme", id="order-1"))["duplicate"]


async def test_what_is_new_gets_a_409_while_it_is_deleted(acme: Api) -> None:
    await acme.service.tenants.delete("acme", pieces=0)
    endpoint = {"url": URL, "event_types": ["*"], "tenant": "acme"}
    event = {"type": "message.sent", "data": 1, "tenant": "acme"}
    token = {"name": "x", "scopes": ["read"], "tenant": "acme"}
    mine = event | {"tenant": "default"}
    for path, body, pointer in (
        ("/v1/events", event, "/tenant"),
        ("/v1/events", event | {"id": "order-1"}, "/tenant"),
        ("/v1/events", {"events": [mine, event]}, "/events/1/tenant"),
        ("/v1/endpoints", endpoint, "/tenant"),
        ("/v1/endpoints/batch", {"endpoints": [endpoint]}, "/endpoints/0/tenant"),
        ("/v1/tokens", token, "/tenant"),
        ("/v1/deliveries/replay", {"tenant": "acme", "status": "failed"}, "/tenant"),
    ):
        refused = await acme.client.post(path, json=body)
        assert refused.status_code == 409, (path, refused.text)
        problem = refused.json()
        check_shape(problem, 409)
        assert problem["errors"][0]["pointer"] == pointer
        assert "is being deleted" in problem["detail"]
    assert (await acme.get(ACME))["deleting_since"]
    assert (await acme.client.delete(ACME)).status_code == 200
    await acme.emit(tenant="acme")


async def test_it_goes_on_until_tokens_are_known_no_more(acme: Api) -> None:
    await bearer(acme, "emit", tenant="acme")
    answer = await acme.client.delete(ACME)
    assert answer.status_code == 202
    left = answer.json()
    assert left["rows"] == ZEROS
    assert left["ends_from"] > left["deleting_since"]
    assert await acme.get(ACME) == left


async def test_a_tenant_is_for_an_admin_of_all(acme: Api) -> None:
    for headers in (
        await bearer(acme, "manage", "secrets"),
        await bearer(acme, "admin", tenant="acme"),
        await bearer(acme, "admin", tenant="other"),
    ):
        for method in ("GET", "DELETE"):
            refused = await acme.client.request(method, ACME, headers=headers)
            assert refused.status_code == 403
    assert (await acme.get(ACME))["rows"]["events"] == 1


async def test_what_can_be_no_tenant_is_not_found_and_nothing_is_deleted_by_mistake(
    acme: Api,
) -> None:
    for method in ("GET", "DELETE"):
        answer = await acme.client.request(method, "/v1/tenants/a%20b")
        assert answer.status_code == 404
        check_shape(answer.json(), 404)
        assert "1 to 128" in answer.json()["detail"]
        answer = await acme.client.request(method, f"{ACME}?sure=1")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "?sure")
    answer = await acme.client.request("DELETE", ACME, json={"rows": 1})
    assert answer.status_code == 422
    assert (await acme.get(ACME))["deleting_since"] is None


async def test_stores_that_cannot_say_so() -> None:
    apart = WebhookPersistence(
        endpoint_store=MemoryEndpointStore(), delivery_store=MemoryDeliveryStore()
    )
    async with opened(persistence=apart) as api:
        answer = await api.client.delete(ACME)
        assert answer.status_code == 501
        assert "tenant_store" in answer.json()["detail"]
