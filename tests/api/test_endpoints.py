"""Endpoints are made, shown without their secrets, changed, tried out and removed."""

from __future__ import annotations

import socket

import msgspec
from standardwebhooks.webhooks import Webhook

from tests.api.client import Api, opened
from tests.api.server import LOCAL
from tests.receiver import Answer, Receiver

URL = "http://127.0.0.1:9/hook"
SECRET = "whsec_" + "A" * 32


async def test_a_new_endpoint_is_shown_whole_and_with_its_secret(api: Api) -> None:
    made = await api.add_endpoint(URL)
    assert made.pop("id").startswith("ep_")
    assert made.pop("secret").startswith("whsec_")
    assert made.pop("created_at") == made.pop("updated_at")
    assert made == {
        "tenant": "default",
        "external_id": None,
        "url": URL,
        "name": None,
        "description": None,
        "event_types": ["*"],
        "filters": {},
        "header_names": [],
        "retry": None,
        "timeout_ms": None,
        "concurrency_max": None,
        "rate_limit_per_second": None,
        "ordering_on_failure": "continue",
        "failover": None,
        "status": "active",
        "active": True,
        "signature": "v1",
        "public_key": None,
        "health": {"failures": 0, "failing_since": None, "open_until": None},
    }


async def test_every_field_is_kept_and_read_back(api: Api) -> None:
    given = {
        "tenant": "acme",
        "external_id": "crm-1",
        "name": "CRM",
        "description": "Where sales look",
        "event_types": ["message.*", "a.b"],
        "filters": {"provider_id": ["a", 1, True, 1.5]},
        "timeout_ms": 20_000,
        "concurrency_max": 3,
        "rate_limit_per_second": 0.5,
        "active": False,
    }
    retry = {"retry_delay_ms": 10, "max_retries": 3}
    headers = {"X-Key": "very secret", "Authorization": "Basic abc"}
    made = await api.add_endpoint(URL, **given, headers=headers, secret=SECRET, retry=retry)
    assert made.pop("secret") == SECRET
    shown = await api.get(f"/v1/endpoints/{made['id']}")
    assert shown == made
    assert {name: shown[name] for name in given} == given
    assert shown["retry"] | retry == shown["retry"]
    assert shown["header_names"] == ["Authorization", "X-Key"]
    assert shown["status"] == "inactive"


async def test_nothing_but_the_first_answer_and_an_explicit_call_shows_secrets(api: Api) -> None:
    made = await api.add_endpoint(URL, headers={"x-key": "very secret"}, secret=SECRET)
    path = f"/v1/endpoints/{made['id']}"
    for answer in (
        await api.client.get(path),
        await api.client.get("/v1/endpoints"),
        await api.client.patch(path, json={"name": "x"}),
    ):
        assert SECRET not in answer.text
        assert "very secret" not in answer.text
    shown = (await api.client.post(f"{path}/secret")).json()
    assert (shown["secret"], shown["public_key"]) == (SECRET, None)


async def test_a_batch_makes_all_or_none(api: Api) -> None:
    one = {"url": URL, "event_types": ["*"]}
    both = {"endpoints": [one, one | {"external_id": "b"}]}
    answer = await api.client.post("/v1/endpoints/batch", json=both)
    assert answer.status_code == 201
    assert [made["external_id"] for made in answer.json()["data"]] == [None, "b"]
    assert all(made["secret"] for made in answer.json()["data"])
    taken = await api.client.post("/v1/endpoints/batch", json=both)
    assert taken.status_code == 409
    assert taken.json()["errors"][0]["pointer"] == "/endpoints/1/external_id"
    assert len((await api.get("/v1/endpoints"))["data"]) == 2


async def test_a_tenant_with_as_many_endpoints_as_it_may_have_gets_a_409() -> None:
    config = msgspec.structs.replace(LOCAL, endpoints_per_tenant=2)
    body = {"url": URL, "event_types": ["*"]}
    async with opened(config) as api:
        await api.add_endpoint(URL)
        both = await api.client.post("/v1/endpoints/batch", json={"endpoints": [body, body]})
        assert both.status_code == 409
        assert both.json()["errors"][0]["pointer"] == "/endpoints/0/tenant"
        second = await api.add_endpoint(URL)
        refused = await api.client.post("/v1/endpoints", json=body)
        assert refused.status_code == 409
        [error] = refused.json()["errors"]
        assert error["pointer"] == "/tenant"
        assert "more than 2 endpoints" in error["detail"]
        await api.add_endpoint(URL, tenant="other")
        await api.client.delete(f"/v1/endpoints/{second['id']}")
        await api.add_endpoint(URL)


async def test_an_external_id_is_taken_once_in_its_tenant(api: Api) -> None:
    made = await api.add_endpoint(URL, external_id="crm")
    body = {"url": URL, "event_types": ["*"], "external_id": "crm"}
    answer = await api.client.post("/v1/endpoints", json=body)
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["pointer"] == "/external_id"
    await api.add_endpoint(URL, external_id="crm", tenant="other")
    found = (await api.get("/v1/endpoints", external_id="crm"))["data"]
    assert [one["id"] for one in found] == [made["id"]]


async def test_a_change_leaves_the_rest_and_null_clears(api: Api) -> None:
    made = await api.add_endpoint(URL, name="a", description="b", timeout_ms=5)
    path = f"/v1/endpoints/{made['id']}"
    changed = await api.client.patch(path, json={"name": None, "active": False})
    assert changed.status_code == 200
    after = made | {"name": None, "active": False, "status": "inactive"}
    del after["secret"], after["updated_at"]
    shown = changed.json()
    assert shown.pop("updated_at") >= made["updated_at"]
    assert shown == after
    assert (await api.get("/v1/endpoints", status="inactive"))["data"] != []
    assert (await api.get("/v1/endpoints", status="active"))["data"] == []


async def test_a_refused_change_changes_nothing(api: Api) -> None:
    made = await api.add_endpoint(URL)
    path = f"/v1/endpoints/{made['id']}"
    before = await api.get(path)
    answer = await api.client.patch(path, json={"name": "x", "url": "nowhere"})
    assert answer.json()["errors"][0]["pointer"] == "/url"
    assert await api.get(path) == before


async def test_a_removed_endpoint_is_gone(api: Api) -> None:
    made = await api.add_endpoint(URL)
    path = f"/v1/endpoints/{made['id']}"
    answer = await api.client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await api.client.get(path)).status_code == 404
    assert (await api.client.delete(path)).status_code == 404
    assert (await api.get("/v1/endpoints"))["data"] == []


async def test_an_endpoint_of_another_tenant_is_not_there(api: Api) -> None:
    made = await api.add_endpoint(URL, tenant="acme")
    path = f"/v1/endpoints/{made['id']}"
    for method, below in (
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/secret"),
        ("POST", "/secret/rotate"), ("POST", "/probe"),
    ):  # fmt: skip
        other = await api.client.request(
            method, path + below, params={"tenant": "x"}, content=b"{}"
        )
        assert other.status_code == 404, method
    assert (await api.get(path, tenant="acme"))["id"] == made["id"]
    assert (await api.get(path))["id"] == made["id"]


async def test_a_probe_sends_one_signed_request_and_stores_nothing(api: Api) -> None:
    async with Receiver([Answer(200, body=b"thanks")]) as receiver:
        made = await api.add_endpoint(receiver.url, active=False)
        answer = await api.client.post(f"/v1/endpoints/{made['id']}/probe")
        assert answer.status_code == 200
        [request] = receiver.requests
    Webhook(made["secret"]).verify(request.body, dict(request.headers))
    result = answer.json()
    assert result.pop("latency_ms") >= 0
    assert result.pop("probed_at").endswith("Z")
    assert result == {
        "endpoint_id": made["id"],
        "success": True,
        "status_code": 200,
        "error_kind": None,
        "error": None,
        "response": "thanks",
    }
    assert await api.event_ids() == []


async def test_a_probe_tells_why_it_failed(api: Api) -> None:
    async with Receiver([503]) as receiver:
        made = await api.add_endpoint(receiver.url)
        result = (await api.client.post(f"/v1/endpoints/{made['id']}/probe", json={})).json()
    assert (result["success"], result["status_code"]) == (False, 503)
    assert (result["error_kind"], result["error"]) == ("http_status", "HTTP 503")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        made = await api.add_endpoint(f"http://127.0.0.1:{closed.getsockname()[1]}/")
        result = (await api.client.post(f"/v1/endpoints/{made['id']}/probe")).json()
    assert (result["success"], result["error_kind"]) == (False, "refused")
