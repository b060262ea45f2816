"""The receivers of ``tests/sender/test_floods.py``, against the Worker's sender: all end in time.

Not among the floods: informational answers without end. Nothing of them reaches JavaScript, and the
local workerd reads them on after an abort; SECURITY.md says what that means.
"""

from __future__ import annotations

import os

import pytest

from webhook.adapters.cloudflare.fetch_sender import FetchSender
from webhook.adapters.cloudflare.fetching import READS_MAX
from webhook.adapters.system import SystemClock
from webhook.domain.model import RESPONSE_BYTES_MAX, ErrorKind, Outcome
from webhook.domain.url_rules import UrlRules

RECEIVER = os.environ.get("WEBHOOK_TEST_RECEIVER", "")
# Of what the receiver could write before it was cut off: buffers of both ends included.
SENT_MAX = 8 * 1024 * 1024
Ends = tuple[int | None, ErrorKind | None]
NETWORK: Ends = (None, ErrorKind.NETWORK)
FLOODS: dict[str, Ends] = {
    "body": (200, None),
    "body-of-a-failure": (503, ErrorKind.HTTP_STATUS),
    "body-without-length": (200, None),
    "chunks-of-one-byte": (200, None),
    "chunk-extension": (200, None),
    "chunk-extensions": (200, None),
    "trailers": (200, None),
    "headers": NETWORK,
    "header-line": NETWORK,
    "folded-header": NETWORK,
    "status-line": NETWORK,
    "empty-lines": NETWORK,
    "zeros": NETWORK,
    "answers": (200, None),
    "switched-protocols": (101, ErrorKind.HTTP_STATUS),
    "compressed": (200, None),
}
# What workerd takes for an answer, of the garbled ones; the others are network failures.
TAKEN = frozenset(
    {
        "length-and-chunked", "chunk-size-negative", "chunk-size-enormous", "bare-line-feeds",
        "headers-of-bytes", "half-a-body", "broken-gzip", "unknown-encoding",
    }
)  # fmt: skip
GARBLED = (
    "nothing-but-zeros", "tls", "smtp", "http-0.9", "http-2", "http-9", "no-status", "status-0",
    "status-99", "status-1000", "status-minus-1", "status-wide", "length-minus-1",
    "length-enormous", "length-twice", "length-and-chunked", "chunk-size-negative",
    "chunk-size-enormous", "nul-in-a-header", "bare-line-feeds", "header-without-colon",
    "header-without-name", "headers-of-bytes", "half-a-body", "broken-gzip", "unknown-encoding",
)  # fmt: skip


async def send(path: str, timeout_ms: int = 20_000) -> Outcome:
    sender = FetchSender(UrlRules(allow_private_hosts=True, allow_http=True), clock=SystemClock())
    return await sender.send(RECEIVER + path, {}, b"{}", timeout_ms)


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_ends_by_itself_and_keeps_no_connection(name: str) -> None:
    outcome = await send(f"/flood/{name}")
    assert (outcome.status_code, outcome.error_kind) == FLOODS[name]
    assert "timeout" not in str(outcome.note)
    assert len(outcome.response or "") <= RESPONSE_BYTES_MAX
    asked = 0
    while True:
        sent, active = str((await send(f"/sent/{name}")).response).split()
        if active == "0":
            break
        asked += 1
        assert asked < 1_000, "the receiver still sends"
    assert int(sent) < SENT_MAX


async def test_a_body_in_too_many_pieces_is_not_read_on() -> None:
    outcome = await send("/flood/chunks-of-one-byte")
    assert outcome.note == (
        f"the body came in more than {READS_MAX} pieces, and only its beginning is kept"
    )
    assert set(outcome.response or "") == {"x"}


async def test_a_chunk_size_that_never_ends_meets_the_deadline() -> None:
    outcome = await send("/flood/chunk-size", 500)
    assert (outcome.status_code, outcome.error_kind, outcome.response) == (200, None, None)
    assert outcome.note == "the body was cut off: timeout after 0.5 s"


async def test_headers_that_drip_meet_the_deadline() -> None:
    outcome = await send("/drip-headers", 500)
    assert (outcome.status_code, outcome.error_kind) == (None, ErrorKind.TIMEOUT)


@pytest.mark.parametrize("path", ["/many-headers", "/huge-header"])
async def test_oversized_headers_are_a_network_failure(path: str) -> None:
    outcome = await send(path)
    assert (outcome.status_code, outcome.error_kind) == NETWORK


async def test_a_gzip_bomb_grows_to_no_more_than_is_kept() -> None:
    outcome = await send("/gzip-bomb")
    assert (outcome.status_code, outcome.error_kind) == (200, None)
    assert outcome.note == "the body is longer than the 4096 bytes that are kept"


async def test_a_redirect_that_comes_back_for_ever_is_one_request() -> None:
    outcome = await send("/around")
    assert (outcome.status_code, outcome.error_kind) == (301, ErrorKind.REDIRECT)
    assert outcome.error == "redirect 301 to the same host"


@pytest.mark.parametrize("name", GARBLED)
async def test_a_garbled_answer_is_an_outcome_with_a_sentence(name: str) -> None:
    outcome = await send(f"/garbled/{name}")
    if name in TAKEN:
        assert (outcome.status_code, outcome.error_kind) == (200, None)
    else:
        assert (outcome.status_code, outcome.error_kind) == NETWORK
        assert outcome.error is not None
        assert outcome.error.startswith("network: ")
