"""``Receiver``: which handler is called, what is dropped, what is answered."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.domain.matching import patterns_for
from webhook.receive import Event, Gone, MemorySeen, Receiver, Verifier
from webhook.receive.receiver import covers
from webhook.receive.testing import WebhookSender

SENDER = WebhookSender()
VERIFIER = Verifier(SENDER.secret)


@dataclass
class Sent:
    text: str


def ask(receiver: Receiver, event: dict[str, Any] | bytes, **options: Any) -> int:
    return int(receiver.answer_sync(*SENDER.sign(event, **options)))


async def ask_async(receiver: Receiver, event: dict[str, Any], **options: Any) -> int:
    return int(await receiver.answer(*SENDER.sign(event, **options)))


@given(
    st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map(".".join),
    st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map(".".join),
    st.booleans(),
)
def test_a_pattern_matches_what_it_matches_at_the_sender(
    event_type: str, name: str, group: bool
) -> None:
    pattern = f"{name}.*" if group else name
    assert covers(pattern, event_type) == (pattern in patterns_for(event_type))
    assert covers("*", event_type)


def test_the_first_handler_that_matches_is_called_and_no_other() -> None:
    receiver, calls = Receiver(VERIFIER), []
    for pattern in ("message.sent", "message.*", "call.ended", "*"):
        receiver.on(pattern)(lambda event, pattern=pattern: calls.append((pattern, event.type)))
    for event_type in ("message.sent", "message.read", "call.ended", "call.started"):
        assert ask(receiver, {"type": event_type}) == 204
    assert calls == [
        ("message.sent", "message.sent"),
        ("message.*", "message.read"),
        ("call.ended", "call.ended"),
        ("*", "call.started"),
    ]


@pytest.mark.parametrize(
    ("earlier", "later"), [("*", "a"), ("*", "*"), ("a.*", "a.b"), ("a.*", "a.b.*"), ("a", "a")]
)
def test_a_handler_that_would_never_be_called_is_refused(earlier: str, later: str) -> None:
    receiver = Receiver(VERIFIER)
    receiver.on("c")(print)
    receiver.on(earlier)(print)
    with pytest.raises(ValueError, match="would never be called"):
        receiver.on(later)


@pytest.mark.parametrize("pattern", ["", ".*", "a*", "*.a", "a.*.b", "**"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="none of"):
        Receiver(VERIFIER).on(pattern)


def test_a_handler_gets_its_data_as_its_own_type() -> None:
    receiver, got = Receiver(VERIFIER), []

    @receiver.on("message.sent", Sent)
    def handle(event: Event[Sent]) -> None:
        got.append(event.data.text)

    assert ask(receiver, {"type": "message.sent", "data": {"text": "hi"}}) == 204
    assert got == ["hi"]
    assert handle is not None


def test_data_that_does_not_fit_answers_400_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver, got = Receiver(VERIFIER), []
    receiver.on("message.sent", Sent)(lambda event: got.append(event.data))
    assert ask(receiver, {"type": "message.sent", "data": {}}, id="evt_1") == 400
    assert "BadPayload: data.text is missing" in caplog.text
    assert ask(receiver, b"no event", id="evt_1") == 400
    assert ask(receiver, {"type": "message.sent", "data": {"text": "hi"}}, id="evt_1") == 204
    assert got == [Sent("hi")]


def test_a_type_that_nobody_handles_is_taken() -> None:
    assert ask(Receiver(VERIFIER), {"type": "message.sent"}) == 204


def test_an_event_is_handled_once() -> None:
    receiver = Receiver(VERIFIER)
    got: list[Event[Any]] = []
    receiver.on("*")(got.append)
    for _ in range(3):
        assert ask(receiver, {"type": "a"}, id="evt_1") == 204
    assert ask(receiver, {"type": "a"}, id="evt_2") == 204
    assert [event.id for event in got] == ["evt_1", "evt_2"]


def fail_once(error: BaseException) -> tuple[Callable[[Event[Any]], None], list[str]]:
    calls: list[str] = []

    def handle(event: Event[Any]) -> None:
        calls.append(event.id)
        if len(calls) == 1:
            raise error

    return handle, calls


def test_a_handler_that_raises_gets_the_retry(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(VERIFIER)
    handle, calls = fail_once(RuntimeError("the database is away"))
    receiver.on("*")(handle)
    assert [ask(receiver, {"type": "a"}, id="evt_1") for _ in range(3)] == [500, 204, 204]
    assert calls == ["evt_1"] * 2
    assert "the handler of a failed with evt_1" in caplog.text
    assert "the database is away" in caplog.text


def test_a_handler_that_wants_no_more_answers_410(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(VERIFIER)
    handle, calls = fail_once(Gone())
    receiver.on("*")(handle)
    assert [ask(receiver, {"type": "a"}, id="evt_1") for _ in range(2)] == [410, 204]
    assert calls == ["evt_1"] * 2
    assert "the handler of a wants no more" in caplog.text


def test_even_an_interrupt_leaves_no_mark() -> None:
    receiver = Receiver(VERIFIER)
    handle, _ = fail_once(KeyboardInterrupt())
    receiver.on("*")(handle)
    with pytest.raises(KeyboardInterrupt):
        ask(receiver, {"type": "a"}, id="evt_1")
    assert ask(receiver, {"type": "a"}, id="evt_1") == 204


async def test_a_cancelled_handler_leaves_no_mark() -> None:
    receiver, entered, calls = Receiver(VERIFIER), asyncio.Event(), []

    @receiver.on("*")
    async def handle(event: Event[Any]) -> None:
        calls.append(event.id)
        entered.set()
        if len(calls) == 1:
            await asyncio.Event().wait()

    first = asyncio.create_task(ask_async(receiver, {"type": "a"}, id="evt_1"))
    await entered.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await ask_async(receiver, {"type": "a"}, id="evt_1") == 204
    assert calls == ["evt_1"] * 2
    assert handle is not None


async def test_one_that_is_still_running_answers_503() -> None:
    receiver, entered, leave = Receiver(VERIFIER), asyncio.Event(), asyncio.Event()

    @receiver.on("*")
    async def handle(_: Event[Any]) -> None:
        entered.set()
        await leave.wait()

    first = asyncio.create_task(ask_async(receiver, {"type": "a"}, id="evt_1"))
    await entered.wait()
    async with asyncio.timeout(30):
        assert await ask_async(receiver, {"type": "a"}, id="evt_1") == 503
    leave.set()
    assert await first == 204
    assert await ask_async(receiver, {"type": "a"}, id="evt_1") == 204
    assert handle is not None


async def test_a_plain_function_does_not_hold_up_the_loop() -> None:
    receiver, leave, loop = Receiver(VERIFIER), threading.Event(), asyncio.get_running_loop()
    entered = asyncio.Event()

    @receiver.on("slow")
    def slow(_: Event[Any]) -> None:
        loop.call_soon_threadsafe(entered.set)
        assert leave.wait(30)

    first = asyncio.create_task(ask_async(receiver, {"type": "slow"}))
    await entered.wait()
    assert await ask_async(receiver, {"type": "other"}) == 204
    leave.set()
    assert await first == 204
    assert slow is not None


async def test_a_plain_callable_may_return_a_coroutine() -> None:
    receiver, got = Receiver(VERIFIER), []

    class Handler:
        async def __call__(self, event: Event[Any]) -> None:
            got.append(event.type)

    receiver.on("*")(Handler())
    assert await ask_async(receiver, {"type": "a"}) == 204
    assert got == ["a"]


def test_a_coroutine_function_runs_where_there_is_no_loop() -> None:
    receiver, got = Receiver(VERIFIER), []

    @receiver.on("*")
    async def handle(event: Event[Any]) -> None:
        await asyncio.sleep(0)
        got.append(event.type)

    assert ask(receiver, {"type": "a"}) == 204
    assert got == ["a"]
    assert handle is not None


def test_a_plain_handler_runs_outside_of_any_loop() -> None:
    receiver, found = Receiver(VERIFIER), []

    @receiver.on("*")
    def handle(_: Event[Any]) -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        found.append(True)

    assert ask(receiver, {"type": "a"}) == 204
    assert found == [True]
    assert handle is not None


def test_a_bad_signature_is_refused_and_only_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "webhook.receive")
    receiver = Receiver(VERIFIER)
    got: list[Event[Any]] = []
    receiver.on("*")(got.append)
    body, headers = SENDER.sign({"type": "a"})
    assert receiver.answer_sync(body + b" ", headers) == 400
    assert "NoMatch: none of the signatures" in caplog.text
    assert receiver.answer_sync(*SENDER.sign({"type": "a"}, timestamp=1)) == 400
    assert "Expired: " in caplog.text
    assert got == []
    assert SENDER.secret not in caplog.text


class Broken(MemorySeen):
    """Cannot write what became of an event."""

    def done(self, message_id: str) -> None:
        raise OSError(f"the disk is full, {message_id}")

    abort = done


def test_what_was_handled_stays_so_when_it_cannot_be_remembered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver = Receiver(VERIFIER, Broken())
    handle, _ = fail_once(RuntimeError())
    receiver.on("*")(handle)
    assert ask(receiver, {"type": "a"}, id="evt_1") == 500
    assert ask(receiver, {"type": "a"}, id="evt_2") == 204
    assert "cannot remember what became of evt_2" in caplog.text
    # Its mark was not taken away, so the retry waits until the mark has ended.
    assert ask(receiver, {"type": "a"}, id="evt_1") == 503


class Away(MemorySeen):
    def begin(self, message_id: str, ttl: float) -> Any:
        raise OSError(f"no connection, {message_id}, {ttl}")


def test_nothing_is_handled_while_nobody_knows_whether_it_was() -> None:
    receiver = Receiver(VERIFIER, Away())
    got: list[Event[Any]] = []
    receiver.on("*")(got.append)
    with pytest.raises(OSError, match="no connection"):
        ask(receiver, {"type": "a"})
    assert got == []


class Trickle(io.BytesIO):
    """Gives a byte at a time, however many are asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(1, -1 if size is None else size))


def test_a_wsgi_stream_may_give_less_than_it_is_asked_for() -> None:
    receiver, statuses = Receiver(VERIFIER), []
    body, headers = SENDER.sign({"type": "a"})
    environ: dict[str, Any] = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()
    }
    environ |= {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body))}
    environ["wsgi.input"] = Trickle(body)
    assert receiver.wsgi(environ, lambda status, _: statuses.append(status)) == []
    assert statuses == ["204 No Content"]
