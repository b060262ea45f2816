"""Limits are set and cleared, health is shown, and the operator's switch holds all sending."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api.client import Api, opened
from tests.receiver import Receiver
from webhook.domain.health import CIRCUIT_MS, FAILURES_MAX

URL = "http://127.0.0.1:9/hook"


async def test_limits_are_set_changed_and_cleared(api: Api) -> None:
    made = await api.add_endpoint(URL, concurrency_max=2)
    assert (made["concurrency_max"], made["rate_limit_per_second"]) == (2, None)
    path = f"/v1/endpoints/{made['id']}"
    changed = await api.client.patch(path, json={"rate_limit_per_second": 5})
    assert changed.json()["concurrency_max"] == 2
    assert changed.json()["rate_limit_per_second"] == 5.0
    cleared = await api.client.patch(path, json={"concurrency_max": None})
    assert cleared.json()["concurrency_max"] is None
    assert (await api.get(path))["rate_limit_per_second"] == 5.0


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("concurrency_max", 0, "1 to 1000"),
        ("concurrency_max", -1, "1 to 1000"),
        ("concurrency_max", 1001, "1 to 1000"),
        ("concurrency_max", 1.5, "int"),
        ("concurrency_max", "2", "int"),
        ("rate_limit_per_second", 0, "0.01 to 1000"),
        ("rate_limit_per_second", 0.009, "0.01 to 1000"),
        ("rate_limit_per_second", 1000.1, "0.01 to 1000"),
        ("rate_limit_per_second", -5, "0.01 to 1000"),
        ("rate_limit_per_second", True, "not true or false"),
    ],
)
async def test_a_limit_out_of_range_is_refused_with_its_pointer(
    api: Api, field: str, value: object, remedy: str
) -> None:
    made = await api.add_endpoint(URL)
    body: dict[str, Any] = {"url": URL, "event_types": ["*"], field: value}
    for answer in (
        await api.client.post("/v1/endpoints", json=body),
        await api.client.patch(f"/v1/endpoints/{made['id']}", json={field: value}),
    ):
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert error["pointer"] == f"/{field}"
        assert remedy in error["detail"]


async def test_the_bounds_themselves_are_taken(api: Api) -> None:
    for limits in (
        {"concurrency_max": 1, "rate_limit_per_second": 0.01},
        {"concurrency_max": 1000, "rate_limit_per_second": 1000},
    ):
        made = await api.add_endpoint(URL, **limits)
        assert limits.items() <= made.items()


async def test_an_endpoint_shows_its_failures_and_until_when_it_is_left_alone() -> None:
    async with opened(auto_start=False) as api, Receiver([503]) as receiver:
        made = await api.add_endpoint(receiver.url)
        path = f"/v1/endpoints/{made['id']}"
        for _ in range(FAILURES_MAX):
            await api.emit()
        await api.service.flush()
        health = (await api.get(path))["health"]
        assert health["failures"] == FAILURES_MAX
        since, until = (
            datetime.fromisoformat(health[name]) for name in ("failing_since", "open_until")
        )
        assert since <= datetime.now(UTC) < until
        assert (until - since).total_seconds() * 1000 >= CIRCUIT_MS
        # It is paused and active again by hand: its health begins anew.
        await api.client.patch(path, json={"active": False})
        back = await api.client.patch(path, json={"active": True})
        assert back.json()["health"] == made["health"]
        assert (await api.get(path))["health"] == made["health"]


async def test_the_switch_pauses_and_resumes_all_sending(api: Api) -> None:
    async with Receiver() as receiver:
        await api.add_endpoint(receiver.url, tenant="acme")
        assert await api.get("/v1/sending") == {"paused": False, "paused_since": None}
        paused = (await api.client.post("/v1/sending/pause")).json()
        assert paused["paused"] is True
        assert datetime.fromisoformat(paused["paused_since"]) <= datetime.now(UTC)
        assert (await api.client.post("/v1/sending/pause")).json() == paused
        assert await api.get("/v1/sending") == paused
        accepted = await api.emit(tenant="acme")
        assert accepted["delivery_count"] == 1
        await api.service.flush()
        assert receiver.requests == []
        resumed = await api.client.post("/v1/sending/resume")
        assert resumed.json() == {"paused": False, "paused_since": None}
        await receiver.wait(1)


async def test_the_switch_needs_the_token(api: Api) -> None:
    for method, path in (("GET", ""), ("POST", "/pause"), ("POST", "/resume")):
        answer = await api.client.request(
            method, f"/v1/sending{path}", headers={"authorization": "Bearer wrong"}
        )
        assert answer.status_code == 401
    assert (await api.service.sending_status()).paused is False


async def test_a_probe_is_told_when_the_rate_lets_it_through(api: Api) -> None:
    async with Receiver() as receiver:
        made = await api.add_endpoint(receiver.url, rate_limit_per_second=0.01)
        probe = f"/v1/endpoints/{made['id']}/probe"
        assert (await api.client.post(probe)).json()["success"] is True
        refused = await api.client.post(probe)
        assert refused.status_code == 409
        assert "in 100 s" in refused.json()["detail"]
        assert len(receiver.requests) == 1
