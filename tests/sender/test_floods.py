"""A receiver that goes on for ever costs a stated number of bytes; one that is garbled an attempt.

``tests/worker/inner/test_hostile_receivers.py`` holds the Worker's sender to the same receivers.
"""

from __future__ import annotations

import tracemalloc

import pytest

from tests import hostile
from tests.receiver import Answer, Receiver
from tests.sender.attempts import answer_to, post
from tests.worker.inner import test_hostile_receivers as in_the_worker
from webhook.adapters.aiohttp_sender import AiohttpSender
from webhook.adapters.bounded_connector import ANSWER_BYTES_MAX, BoundedHandler
from webhook.domain.model import RESPONSE_BYTES_MAX, ErrorKind

# What asyncio reads at once.
LAST_READ_MAX = 256 * 1024
MEMORY_MAX = 16 * 1024 * 1024
# Where the status is known in time, it decides.
ENDS: dict[str, tuple[int | None, ErrorKind | None]] = {
    "body": (200, None),
    "body-of-a-failure": (503, ErrorKind.HTTP_STATUS),
    "body-without-length": (200, None),
    "chunks-of-one-byte": (200, None),
    "chunk-extension": (200, None),
    "chunk-extensions": (200, None),
    "chunk-size": (200, None),
    "trailers": (200, None),
    "headers": (None, ErrorKind.PROTOCOL),
    "header-line": (None, ErrorKind.PROTOCOL),
    "folded-header": (None, ErrorKind.PROTOCOL),
    "status-line": (None, ErrorKind.PROTOCOL),
    "informational": (None, ErrorKind.PROTOCOL),
    "early-hints": (None, ErrorKind.PROTOCOL),
    "empty-lines": (None, ErrorKind.PROTOCOL),
    "zeros": (None, ErrorKind.PROTOCOL),
    "answers": (200, None),
    "switched-protocols": (101, ErrorKind.HTTP_STATUS),
    "compressed": (200, None),
}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what came out of the sockets."""
    sizes: list[int] = []
    original = BoundedHandler.data_received

    def count(self: BoundedHandler, data: bytes) -> None:
        sizes.append(len(data))
        original(self, data)

    monkeypatch.setattr(BoundedHandler, "data_received", count)
    return sizes


def test_every_receiver_is_in_the_tables_of_both_senders() -> None:
    assert set(ENDS) == set(hostile.floods())
    apart = {"informational", "early-hints", "chunk-size"}
    assert set(in_the_worker.FLOODS) == set(ENDS) - apart
    assert set(in_the_worker.GARBLED) == set(hostile.garbled())


@pytest.mark.parametrize("name", ENDS)
async def test_a_flood_costs_a_bounded_number_of_bytes(
    sender: AiohttpSender, taken: list[int], name: str
) -> None:
    flood = hostile.floods()[name]
    tracemalloc.start()
    try:
        outcome = await answer_to(sender, flood)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (outcome.status_code, outcome.error_kind) == ENDS[name]
    assert 0 < sum(taken) <= ANSWER_BYTES_MAX + LAST_READ_MAX
    if name.startswith("chunks-of") or name == "chunk-extensions":
        assert outcome.response == "x" * RESPONSE_BYTES_MAX, "the parser was not resumed"
    assert peak < MEMORY_MAX
    assert len(outcome.response or "") <= RESPONSE_BYTES_MAX


async def test_a_flood_on_a_connection_that_is_kept_is_bounded_too(
    sender: AiohttpSender, taken: list[int]
) -> None:
    flood = hostile.floods()["informational"]
    async with Receiver([Answer(200), flood, Answer(200, body=b"ok")]) as receiver:
        assert (await post(sender, receiver.url)).status_code == 200
        outcome = await post(sender, receiver.url)
        assert (outcome.status_code, outcome.error_kind) == (None, ErrorKind.PROTOCOL)
        assert outcome.error == "protocol: the answer is too large"
        assert (await post(sender, receiver.url)).response == "ok"
    assert sum(taken) <= ANSWER_BYTES_MAX + 2 * LAST_READ_MAX


async def test_answers_on_one_connection_do_not_add_up(
    sender: AiohttpSender, taken: list[int]
) -> None:
    async with Receiver([Answer(200, body=b"x" * RESPONSE_BYTES_MAX)]) as receiver:
        for _ in range(300):
            assert (await post(sender, receiver.url)).status_code == 200
        assert receiver.connections == 1
    assert sum(taken) > ANSWER_BYTES_MAX


@pytest.mark.parametrize("name", hostile.garbled())
async def test_a_garbled_answer_is_an_outcome_with_a_sentence(
    sender: AiohttpSender, name: str
) -> None:
    outcome = await answer_to(sender, hostile.writes(hostile.garbled()[name]))
    if outcome.status_code is None:
        assert outcome.error_kind is ErrorKind.PROTOCOL
        assert outcome.error is not None
        assert outcome.error.startswith("protocol: ")
    else:
        assert (outcome.error_kind is None) == (200 <= outcome.status_code < 300)


@pytest.mark.parametrize("name", ["chunk-size-negative", "chunk-size-enormous"])
async def test_a_garbled_body_is_noted_also_when_it_comes_with_the_headers(
    sender: AiohttpSender, name: str
) -> None:
    outcome = await answer_to(sender, hostile.writes(hostile.garbled()[name]))
    assert (outcome.status_code, outcome.error_kind) == (200, None)
    assert outcome.note is not None
    assert outcome.note.startswith("the body was cut off: protocol: ")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP, gzip", "x-gzip"])
async def test_nothing_is_decompressed(sender: AiohttpSender, encoding: str) -> None:
    outcome = await answer_to(
        sender, Answer(200, [("Content-Encoding", encoding)], hostile.gzip_bomb(5).body)
    )
    assert (outcome.status_code, outcome.error_kind, outcome.response) == (200, None, None)
    assert outcome.note is not None


async def test_a_redirect_that_comes_back_for_ever_is_one_request(sender: AiohttpSender) -> None:
    async with Receiver([Answer(301, [("Location", "/hook")])]) as receiver:
        outcome = await post(sender, receiver.url)
        assert len(receiver.requests) == 1
    assert (outcome.status_code, outcome.error_kind) == (301, ErrorKind.REDIRECT)
