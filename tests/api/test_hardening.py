"""What strangers try on the web: no page of theirs gets in, nobody is locked out, logs are true."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.api.bad_input import check_shape
from tests.api.client import Api
from tests.api.server import LOCAL, TOKEN
from tests.api.test_problems import request_of
from webhook import WebhookRuntimeService
from webhook.adapters.log_text import LogText, printable
from webhook.api import ApiSettings, create_app
from webhook.api.app import OPERATIONS
from webhook.api.auth import WAITING_MAX, WRONG_FORGOTTEN_MS, WRONG_FREE, WRONG_WAIT_MS_MAX
from webhook.api.bounded import Bounded
from webhook.api.operation import Operation
from webhook.domain.access import Actor, Scope
from webhook.domain.errors import StoreUnavailable
from webhook.engine.access import acting, present_actor
from webhook.testing.clock import VirtualClock

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


def named(operation: Operation) -> str:
    return operation.name


# --- headers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
async def test_every_answer_has_the_headers_and_lets_no_page_of_others_in(
    api: Api, operation: Operation
) -> None:
    asked = request_of(operation)
    preflight = {
        "origin": "https://evil.example",
        "access-control-request-method": operation.method,
        "access-control-request-headers": "authorization",
    }
    answers = [
        await api.client.request(**asked),
        await api.client.request(**asked, headers={"origin": "https://evil.example"}),
        await api.client.request(**asked, headers={"authorization": ""}),
        await api.client.request("BREW", asked["url"]),
        await api.client.options(asked["url"], headers=preflight),
        await api.client.get("/nowhere"),
    ]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value]
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "set-cookie" not in answer.headers
        assert [name for name in answer.headers if name.startswith("access-control-")] == []
        assert answer.headers["x-request-id"]


async def test_a_cookie_lets_nobody_in(api: Api) -> None:
    cookies = {"cookie": f"token={TOKEN}; authorization=Bearer {TOKEN}", "authorization": ""}
    assert (await api.client.get("/v1/events", headers=cookies)).status_code == 401
    query = {"token": TOKEN, "access_token": TOKEN}
    answer = await api.client.get("/v1/events", params=query, headers={"authorization": ""})
    assert answer.status_code == 401


async def test_docs_name_no_other_host(api: Api) -> None:
    page = (await api.client.get("/docs")).text
    loaded = re.findall(r"(?:src|href|action|url)\s*[=(]\s*[\"']?([^\"' )>]+)", page)
    assert loaded
    assert [one for one in loaded if not one.startswith(("#", "/"))] == []
    assert "<script" not in page


# --- request ids ----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["r-1", "A:b_c.D-9", "x" * 128])
async def test_the_callers_request_id_is_kept(api: Api, given: str) -> None:
    answer = await api.client.get("/v1/events/none", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given
    check_shape(answer.json(), 404)
    assert answer.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "a\tb", "{}", "<b>", "ü"])
async def test_what_is_no_request_id_is_replaced(api: Api, given: str) -> None:
    headers = {"x-request-id": given.encode()}
    made = [
        (await api.client.get("/health", headers=headers)).headers["x-request-id"]  # type: ignore[arg-type] # bytes
        for _ in range(2)
    ]
    assert all(re.fullmatch("[0-9a-f]{12}", one) for one in made)
    assert made[0] != made[1]


async def test_what_the_log_says_of_a_request_names_it(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailable("the disk\nis away")

    monkeypatch.setattr(api.service._deliveries, "list_events", away)
    answer = await api.client.get("/v1/events", headers={"x-request-id": "r-503"})
    assert answer.json()["request_id"] == "r-503"
    [record] = caplog.records
    assert "r-503" in record.getMessage()


async def test_the_background_acts_for_nobody() -> None:
    service = WebhookRuntimeService(LOCAL)
    with acting(Actor(name="somebody", request_id="r-1")):
        await service.initialize()  # starts the loops
        assert present_actor() is not None
    actors = [task.get_context().run(present_actor) for task in service._tasks]  # type: ignore[attr-defined] # C's
    assert actors == [None] * 3
    await service.shutdown()


# --- the log --------------------------------------------------------------------------------------


def written(message: str, *args: object, error: BaseException | None = None) -> str:
    info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("webhook.x", logging.WARNING, "", 0, message, args, info)
    return LogText("%(levelname)s %(name)s: %(message)s").format(record)


def test_nothing_in_a_message_begins_a_line_of_its_own() -> None:
    forged = "x\n2026-01-31 INFO webhook.api: all is well\r\x1b[2J\x00\u202e\u2028\udc80 ü"
    line = written("said %s", forged)
    assert line.isprintable()
    assert "\\n2026" in line
    assert line.endswith("\\r\\x1b[2J\\x00\\u202e\\u2028\\udc80 ü")


def test_the_lines_of_a_traceback_are_indented_and_printable() -> None:
    with pytest.raises(ValueError, match="invalid") as raised:
        int("x\nWARNING webhook.x: forged\x1b[31m\u2028")
    error = ExceptionGroup("x\nWARNING webhook.x: forged", [raised.value])
    lines = written("failed", error=error).split("\n")
    assert lines[0] == "WARNING webhook.x: failed"
    assert len(lines) > 3
    assert all(line.startswith("  ") and line.isprintable() for line in lines[1:])


def test_a_line_names_the_request_that_it_belongs_to_once() -> None:
    with acting(Actor(name="x", request_id="r-1")):
        assert written("failed").endswith("failed (request r-1)")
        assert written("error r-1").endswith("error r-1")
    assert written("failed").endswith("failed")


def test_a_plain_text_stays_as_it_is() -> None:
    assert printable("naïve 🔑") == "naïve 🔑"


# --- how fast -------------------------------------------------------------------------------------


@dataclass
class Timed:
    """A service whose guard lives in virtual time, and a client without a token."""

    client: httpx2.AsyncClient
    service: WebhookRuntimeService
    clock: VirtualClock

    async def get(self, token: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {token}"}
        return await self.client.get("/v1/events", headers=headers)


@asynccontextmanager
async def timed(source: str = "192.0.2.1", **settings: Any) -> AsyncIterator[Timed]:
    clock = VirtualClock()
    service = WebhookRuntimeService(LOCAL, clock=clock, auto_start=False)
    app = create_app(ApiSettings(token=TOKEN, **settings), service, clock=clock)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app, client=(source, 1)), base_url="http://api"
    ) as client:
        yield Timed(client, service, clock)
    await service.shutdown()


async def test_a_token_that_comes_too_fast_is_told_when_to_come_again() -> None:
    async with timed(requests_per_second=5) as world:
        statuses = [(await world.get(TOKEN)).status_code for _ in range(7)]
        assert statuses == [200] * 5 + [429] * 2
        refused = await world.get(TOKEN)
        check_shape(refused.json(), 429)
        assert refused.headers["retry-after"] == "1"
        await world.clock.advance(199)
        assert (await world.get(TOKEN)).status_code == 429
        await world.clock.advance(1)
        assert (await world.get(TOKEN)).status_code == 200
        assert (await world.get(TOKEN)).status_code == 429
        await world.clock.advance(60_000)
        assert [(await world.get(TOKEN)).status_code for _ in range(6)] == [200] * 5 + [429]


async def test_less_than_one_a_second_is_a_rate_too() -> None:
    async with timed(requests_per_second=0.1) as world:
        assert (await world.get(TOKEN)).status_code == 200
        refused = await world.get(TOKEN)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        await world.clock.advance(10_000)
        assert (await world.get(TOKEN)).status_code == 200


async def test_each_token_has_a_rate_of_its_own_and_health_has_none() -> None:
    async with timed(requests_per_second=1) as world:
        _, other = await world.service.access.create_token("x", [Scope.READ])
        assert [(await world.get(TOKEN)).status_code for _ in range(2)] == [200, 429]
        assert [(await world.get(other)).status_code for _ in range(2)] == [200, 429]
        for _ in range(5):
            assert (await world.client.get("/health")).status_code == 200


async def test_without_the_setting_there_is_no_rate() -> None:
    async with timed() as world:
        assert {(await world.get(TOKEN)).status_code for _ in range(50)} == {200}


async def test_wrong_tokens_wait_longer_and_longer_and_a_right_one_never() -> None:
    async with timed() as world:
        for _ in range(WRONG_FREE):
            assert (await world.get("wrong")).status_code == 401
        waited = 0
        for wait_ms in (100, 200, 400, 800, 1600, WRONG_WAIT_MS_MAX, WRONG_WAIT_MS_MAX):
            asking = asyncio.ensure_future(world.get("wrong"))
            await world.clock.advance(wait_ms - 1)
            assert not asking.done()
            assert (await world.get(TOKEN)).status_code == 200
            await world.clock.advance(1)
            assert (await asking).status_code == 401
            waited += wait_ms
        await world.clock.advance(WRONG_FORGOTTEN_MS)
        assert (await world.get("wrong")).status_code == 401


async def test_no_token_at_all_is_no_guess() -> None:
    async with timed() as world:
        for _ in range(3 * WRONG_FREE):
            assert (await world.client.get("/v1/events")).status_code == 401


async def test_of_many_that_guess_at_once_only_some_are_kept_waiting() -> None:
    async with timed() as world:
        for _ in range(WRONG_FREE):
            await world.get("wrong")
        guesses = [asyncio.ensure_future(world.get("wrong")) for _ in range(WAITING_MAX + 5)]
        await world.clock.idle()
        done = [guess.result() for guess in guesses if guess.done()]
        assert [answer.status_code for answer in done] == [429] * 5
        assert all(answer.headers["retry-after"] for answer in done)
        assert (await world.get(TOKEN)).status_code == 200
        await world.clock.advance(WRONG_WAIT_MS_MAX)
        assert {(await guess).status_code for guess in guesses} == {401, 429}


def test_a_table_that_strangers_fill_forgets_the_oldest() -> None:
    table: Bounded[int, str] = Bounded(3)
    for key in (1, 2, 3):
        table.put(key, str(key))
    assert table.get(1) == "1"
    table.put(4, "4")
    assert [table.get(key) for key in (1, 2, 3, 4)] == ["1", None, "3", "4"]
