"""What becomes of one attempt in a Worker: ``fetch`` against a real receiver on the host."""

from __future__ import annotations

import asyncio
import os

import pytest

from webhook.adapters.cloudflare.fetch_sender import FetchSender
from webhook.adapters.system import SystemClock
from webhook.domain.model import ErrorKind, Outcome
from webhook.domain.url_rules import UrlRules

RECEIVER = os.environ.get("WEBHOOK_TEST_RECEIVER", "")
LOCAL = UrlRules(allow_private_hosts=True, allow_http=True)


async def send(path: str, *, timeout_ms: int = 5_000, rules: UrlRules = LOCAL) -> Outcome:
    url = path if "://" in path else RECEIVER + path
    sender = FetchSender(rules, clock=SystemClock())
    return await sender.send(url, {"content-type": "application/json"}, b"{}", timeout_ms)


async def test_a_2xx_is_a_success_with_the_beginning_of_its_body() -> None:
    outcome = await send("/ok")
    assert (outcome.status_code, outcome.error_kind, outcome.response) == (200, None, "thanks")
    assert outcome.note is None


async def test_an_empty_answer_has_no_response() -> None:
    outcome = await send("/empty")
    assert (outcome.status_code, outcome.error_kind, outcome.response) == (204, None, None)


async def test_a_failure_keeps_its_status_and_when_to_come_back() -> None:
    outcome = await send("/busy")
    assert (outcome.status_code, outcome.error_kind) == (503, ErrorKind.HTTP_STATUS)
    assert outcome.retry_after_ms == 7_000


async def test_a_redirect_is_not_followed_and_its_path_not_shown() -> None:
    outcome = await send("/moved")
    assert (outcome.status_code, outcome.error_kind) == (301, ErrorKind.REDIRECT)
    assert outcome.error == "redirect 301 to elsewhere.example"


async def test_no_answer_is_a_timeout() -> None:
    outcome = await send("/never", timeout_ms=300)
    assert (outcome.status_code, outcome.error_kind) == (None, ErrorKind.TIMEOUT)
    assert outcome.error == "timeout after 0.3 s"
    assert 250 <= outcome.latency_ms < 5_000


async def test_several_timeouts_at_once_leave_the_isolate_in_order() -> None:
    outcomes = await asyncio.gather(*(send("/never", timeout_ms=200 + n) for n in range(5)))
    assert {outcome.error_kind for outcome in outcomes} == {ErrorKind.TIMEOUT}
    assert (await send("/ok")).status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:1/",
        "/reset",
        "/not-http",
        "http://no-such-host.invalid/",
        "http://[::1]:1/",
    ],
)
async def test_what_the_platform_cannot_reach_is_a_network_failure(target: str) -> None:
    outcome = await send(target)
    assert (outcome.status_code, outcome.error_kind) == (None, ErrorKind.NETWORK)
    assert outcome.error is not None
    assert outcome.error.startswith("network: ")
    assert "http" not in outcome.error.removeprefix("network: ")


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::ffff:169.254.169.254]/",
        "https://localhost/",
        "http://example.com/",
    ],
)
async def test_a_literal_private_address_and_plain_http_are_blocked_unsent(url: str) -> None:
    outcome = await send(url, rules=UrlRules())
    assert (outcome.status_code, outcome.error_kind) == (None, ErrorKind.BLOCKED)


async def test_a_huge_body_is_cut_at_four_kib() -> None:
    outcome = await send("/huge")
    assert (outcome.status_code, outcome.error_kind) == (200, None)
    assert outcome.response == "x" * 4096
    assert outcome.note == "the body is longer than the 4096 bytes that are kept"


async def test_a_body_that_drips_is_cut_at_the_deadline_and_is_no_failure() -> None:
    outcome = await send("/drip", timeout_ms=400)
    assert (outcome.status_code, outcome.error_kind) == (200, None)
    assert set(outcome.response or "") == {"."}
    assert outcome.note == "the body was cut off: timeout after 0.4 s"


async def test_a_body_that_was_cut_off_keeps_no_connection() -> None:
    # The invocation goes on and has six connections only.
    for _ in range(8):
        await send("/drip", timeout_ms=100)
    asked = 0
    while (await send("/dripping")).response != "0":
        asked += 1
        assert asked < 1_000


async def test_a_body_that_breaks_off_is_no_failure() -> None:
    outcome = await send("/reset-in-body")
    assert (outcome.status_code, outcome.error_kind) == (200, None)
    assert outcome.note is not None
    assert outcome.note.startswith("the body was cut off")


async def test_headers_and_body_arrive_as_given() -> None:
    sender = FetchSender(LOCAL, clock=SystemClock())
    outcome = await sender.send(
        f"{RECEIVER}/echo",
        {"X-Custom": "a, b", "content-type": "application/json"},
        b"\x00\xff",
        5_000,
    )
    assert outcome.response == "a, b|00ff"
    await sender.close()
