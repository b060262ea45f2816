"""A real HTTP/1.1 receiver on a local port, which answers as it is told, however badly.

    async with Receiver([503, Answer(200, body=b"ok")]) as receiver:
        ...                                  # POST to receiver.url
        await receiver.wait(2)               # until two requests have arrived
        assert receiver.requests[1].headers["webhook-id"] == "evt_1"

``answers`` is a list (one reply per request, the last one for all that follow) or a function of the
request. A reply is a status, an ``Answer``, or a misbehaviour: a coroutine function of request and
``StreamWriter`` that owns the connection, which is closed when it returns (see ``tests.hostile``).
``ThreadedReceiver`` is the same in a thread of its own, for tests that block the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived. ``headers`` has lower-case names, ``raw_headers`` those sent.

    ``at`` is ``time.monotonic()`` and ``at_ms`` epoch ms when it was complete; ``connection``
    numbers the TCP connection, from 1.
    """

    method: str
    target: str
    headers: dict[str, str]
    raw_headers: list[tuple[str, str]]
    body: bytes
    connection: int
    at: float = field(default_factory=time.monotonic)
    at_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """A well-formed answer. ``delay_s`` passes first; ``hang_up`` closes without announcing it."""

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    delay_s: float = 0.0
    hang_up: bool = False


Misbehaviour = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]
Reply = int | Answer | Misbehaviour
Answers = Sequence[Reply] | Callable[[Request], Reply]


class Receiver:
    """Listens on 127.0.0.1 while entered; ``url`` says where."""

    def __init__(
        self,
        answers: Answers = (200,),
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        on_connect: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None,
    ) -> None:
        """``on_connect`` replaces the reading of requests altogether."""
        self.answers = answers
        self.requests: list[Request] = []
        self.connections = 0
        self.active = 0
        self.active_max = 0
        self.host, self.port = host, port
        self._tls = tls
        self._on_connect = on_connect
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it listens, with a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}/hook"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, self.host, self.port, ssl=self._tls, backlog=4096
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def wait(self, count: int, timeout_s: float = WAIT_S) -> list[Request]:
        """Wait until ``count`` requests have arrived in all, and return them all."""
        async with asyncio.timeout(timeout_s):
            while len(self.requests) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.requests

    def bodies(self) -> list[Any]:
        """Return all bodies, parsed as JSON, in order of arrival."""
        return [request.json() for request in self.requests]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            if self._on_connect is not None:
                await self._on_connect(writer)
            else:
                await self._converse(reader, writer, self.connections)
        except (OSError, EOFError):
            pass  # a client that hangs up is no error of the receiver's
        except asyncio.CancelledError:
            # The end of the test: a client that does not read must not hold it up.
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()
        self._tasks.discard(task)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        while (request := await _read(reader, connection)) is not None:
            number = len(self.requests)
            self.requests.append(request)
            self._arrived.set()
            self.active += 1
            self.active_max = max(self.active, self.active_max)
            try:
                going_on = await self._reply(self._choose(request, number), request, writer)
            finally:
                self.active -= 1
            if not going_on:
                return

    def _choose(self, request: Request, number: int) -> Reply:
        if callable(self.answers):
            return self.answers(request)
        return self.answers[min(number, len(self.answers) - 1)]

    async def _reply(self, reply: Reply, request: Request, writer: asyncio.StreamWriter) -> bool:
        if isinstance(reply, int):
            reply = Answer(reply)
        if not isinstance(reply, Answer):
            await reply(request, writer)
            return False
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        writer.write(encode(reply))
        await writer.drain()
        return not reply.hang_up and request.headers.get("connection") != "close"


class ThreadedReceiver:
    """A ``Receiver`` in a thread of its own; the same attributes, without await."""

    def __init__(
        self,
        answers: Answers = (200,),
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.receiver = Receiver(answers, tls=tls, host=host, port=port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.receiver.url

    @property
    def port(self) -> int:
        """The port alone."""
        return self.receiver.port

    @property
    def requests(self) -> list[Request]:
        """What has arrived so far."""
        return self.receiver.requests

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.receiver.__aenter__(), self._loop).result(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.receiver.__aexit__(), self._loop).result(WAIT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    def wait(self, count: int, timeout_s: float = WAIT_S) -> list[Request]:
        """Block until ``count`` requests have arrived in all, and return them all."""
        waiting = self.receiver.wait(count, timeout_s)
        return asyncio.run_coroutine_threadsafe(waiting, self._loop).result(timeout_s + 5)

    def bodies(self) -> list[Any]:
        """Return all bodies, parsed as JSON, in order of arrival."""
        return self.receiver.bodies()


def encode(answer: Answer) -> bytes:
    """Return an answer's bytes, with its length unless its headers say how the body ends."""
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Unheard Of"
    lines = [f"HTTP/1.1 {answer.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    names = {name.lower() for name, _ in answer.headers}
    if not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(answer.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body


async def _read(reader: asyncio.StreamReader, connection: int) -> Request | None:
    """Read one request; None when the client has hung up instead."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head[:-4].split("\r\n")
    method, target, _ = first.split(" ")
    raw = [(name, value.strip()) for name, _, value in (line.partition(":") for line in rest)]
    headers = {name.lower(): value for name, value in raw}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, raw, body, connection)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(parts)
