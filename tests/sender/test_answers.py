"""What is sent, and what an answer comes to: the status decides, at most 4 KiB of text are kept."""

from __future__ import annotations

import asyncio

import pytest

from tests.receiver import Answer, Receiver, Request
from tests.sender.attempts import (
    GENEROUS_S,
    TIMEOUT_MS,
    answer_to,
    post,
)
from webhook.adapters.aiohttp_sender import AiohttpSender
from webhook.domain.model import RESPONSE_BYTES_MAX, ErrorKind

# --- What is sent ------------------------------------------------------------------------------


async def test_body_and_headers_arrive_as_given(sender: AiohttpSender) -> None:
    headers = {
        "content-type": "application/json",
        "webhook-id": "evt_1",
        "tEsT-Header-1": "Kept as is",
    }
    body = '{"text":"snø \u2603"}'.encode()
    async with Receiver() as receiver:
        outcome = await sender.send(receiver.url + "?token=a%2Fb&x=[1]", headers, body, TIMEOUT_MS)
    (request,) = receiver.requests
    assert outcome.error_kind is None
    assert outcome.status_code == 200
    assert (request.method, request.target) == ("POST", "/hook?token=a%2Fb&x=[1]")
    assert request.body == body
    assert request.headers["content-length"] == str(len(body))
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["user-agent"] == "webhook"
    assert request.headers["accept-encoding"] == "identity"
    assert "cookie" not in request.headers
    assert "authorization" not in request.headers
    assert dict(request.raw_headers)["tEsT-Header-1"] == "Kept as is"


async def test_a_large_body_arrives_whole(sender: AiohttpSender) -> None:
    body = bytes(range(256)) * 4096
    async with Receiver() as receiver:
        assert (await post(sender, receiver.url, body=body)).status_code == 200
        assert receiver.requests[0].body == body


async def test_cookies_are_not_sent_back(sender: AiohttpSender) -> None:
    async with Receiver([Answer(200, [("Set-Cookie", "a=b; Path=/")])]) as receiver:
        await post(sender, receiver.url)
        await post(sender, receiver.url)
        assert "cookie" not in receiver.requests[1].headers


async def test_a_connection_is_used_again(sender: AiohttpSender) -> None:
    async with Receiver([200, 503, Answer(200, body=b"x" * 4000), 204]) as receiver:
        for _ in range(8):
            await post(sender, receiver.url)
        assert receiver.connections == 1


@pytest.mark.parametrize("value", ["a\r\nx: b", "a\nb", "a\rb", "a\0b"])
async def test_a_header_that_would_be_two_is_not_sent(sender: AiohttpSender, value: str) -> None:
    async with Receiver() as receiver:
        outcome = await sender.send(receiver.url, {"x-name": value}, b"{}", TIMEOUT_MS)
        assert outcome.error_kind is ErrorKind.NETWORK
        assert (await post(sender, receiver.url)).status_code == 200
        assert len(receiver.requests) == 1


async def test_an_answer_before_the_whole_request_ends_the_connection(
    sender: AiohttpSender,
) -> None:
    connections = 0
    over = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await over.wait()  # the rest of the request stays where it is
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        # More than the sockets between the two take.
        for _ in range(2):
            outcome = await post(sender, url, body=bytes(32 * 2**20))
            assert outcome.status_code == 413
        assert connections == 2
        over.set()


# --- The status decides ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 205, 226, 299])
async def test_2xx_is_success(sender: AiohttpSender, status: int) -> None:
    outcome = await answer_to(sender, status)
    assert (outcome.status_code, outcome.error_kind, outcome.error) == (status, None, None)


@pytest.mark.parametrize("status", [400, 401, 404, 408, 410, 429, 500, 503, 599, 600, 999])
async def test_other_statuses_are_failures(sender: AiohttpSender, status: int) -> None:
    outcome = await answer_to(sender, Answer(status, body=b"no"))
    assert outcome.status_code == status
    assert outcome.error_kind is ErrorKind.HTTP_STATUS
    assert outcome.error == f"HTTP {status}"
    assert outcome.response == "no"


@pytest.mark.parametrize(
    ("location", "sentence"),
    [
        ("https://user:pw@other.example.com/secret?token=1", "redirect 301"),
        ("https://other.example.com:8443/secret?token=1", "redirect 301 to other.example.com:8443"),
        ("//other.example.com/secret", "redirect 301 to other.example.com"),
        ("/secret", "redirect 301 to the same host"),
        ("http://127.0.0.1:1/secret", "redirect 301 to 127.0.0.1:1"),
        ("::nonsense::", "redirect 301"),
        ("", "redirect 301"),
    ],
)
async def test_a_redirect_is_not_followed_and_named_without_its_path(
    sender: AiohttpSender, location: str, sentence: str
) -> None:
    async with Receiver([Answer(301, [("Location", location)])]) as receiver:
        outcome = await post(sender, receiver.url)
        assert len(receiver.requests) == 1
    assert outcome.status_code == 301
    assert outcome.error_kind is ErrorKind.REDIRECT
    assert outcome.error == sentence


@pytest.mark.parametrize("status", [300, 302, 303, 304, 307, 308])
async def test_no_redirect_is_followed(sender: AiohttpSender, status: int) -> None:
    async with Receiver([Answer(status, [("Location", "/again")])]) as receiver:
        outcome = await post(sender, receiver.url)
        assert len(receiver.requests) == 1
    assert outcome.error_kind is ErrorKind.REDIRECT


async def test_early_hints_are_not_the_answer(sender: AiohttpSender) -> None:
    async def hint_first(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    assert (await answer_to(sender, hint_first)).status_code == 200


@pytest.mark.parametrize(
    ("value", "wait_ms"),
    [
        ("120", 120_000),
        ("0", None),
        ("-5", None),
        ("1e99", None),
        ("9" * 200, 86_400_000),
        ("soon", None),
        ("Fri, 31 Dec 2099 23:59:59 GMT", 86_400_000),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
    ],
)
async def test_retry_after_is_read(sender: AiohttpSender, value: str, wait_ms: int | None) -> None:
    outcome = await answer_to(sender, Answer(503, [("Retry-After", value)]))
    assert outcome.retry_after_ms == wait_ms


# --- The body ----------------------------------------------------------------------------------


async def test_the_body_is_kept_as_text(sender: AiohttpSender) -> None:
    outcome = await answer_to(sender, Answer(200, body="gut \u2713".encode()))
    assert outcome.response == "gut \u2713"
    assert outcome.note is None


async def test_what_is_no_utf8_is_replaced_and_nul_removed(sender: AiohttpSender) -> None:
    outcome = await answer_to(sender, Answer(200, body=b"a\0b\xff\xfec"))
    assert outcome.response == "ab\ufffd\ufffdc"


async def test_the_text_is_never_longer_than_its_limit(sender: AiohttpSender) -> None:
    outcome = await answer_to(sender, Answer(500, body=b"\xff" * RESPONSE_BYTES_MAX))
    assert outcome.response is not None
    assert len(outcome.response.encode()) <= RESPONSE_BYTES_MAX


async def test_a_long_body_is_cut_between_characters(sender: AiohttpSender) -> None:
    outcome = await answer_to(sender, Answer(500, body=b"x" + "\u2713".encode() * 5000))
    assert outcome.response == "x" + "\u2713" * ((RESPONSE_BYTES_MAX - 1) // 3)
    assert outcome.note is not None
    assert "longer" in outcome.note


async def test_a_body_of_exactly_the_limit_is_whole(sender: AiohttpSender) -> None:
    outcome = await answer_to(sender, Answer(200, body=b"x" * RESPONSE_BYTES_MAX))
    assert outcome.response == "x" * RESPONSE_BYTES_MAX
    assert outcome.note is None


async def test_a_body_without_a_length_ends_with_the_connection(sender: AiohttpSender) -> None:
    async def unbounded(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        await writer.drain()

    outcome = await answer_to(sender, unbounded)
    assert (outcome.response, outcome.note) == ("all of it", None)


async def test_a_chunked_body_is_put_together(sender: AiohttpSender) -> None:
    chunked = Answer(200, [("Transfer-Encoding", "chunked")], b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert (await answer_to(sender, chunked)).response == "abcde"


async def test_a_204_with_a_body_is_success_and_poisons_nothing(sender: AiohttpSender) -> None:
    smuggled = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    async with Receiver([Answer(204, body=smuggled), 202]) as receiver:
        assert (await post(sender, receiver.url)).status_code == 204
        second = await post(sender, receiver.url)
        assert second.status_code != 500, "the body of one answer was read as the next answer"


async def test_bytes_after_an_answer_are_not_the_next_answer(sender: AiohttpSender) -> None:
    async def two_answers(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(GENEROUS_S)

    async with Receiver([two_answers, 202]) as receiver:
        assert (await post(sender, receiver.url)).status_code == 200
        assert (await post(sender, receiver.url)).status_code != 500
