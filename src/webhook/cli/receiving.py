"""The receiver of ``webhook receive``: verifies, tells, records, and answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from webhook.cli.misbehaving import Way, whole
from webhook.domain.errors import WebhookError
from webhook.domain.ids import parse_delivery_id
from webhook.receive import BadPayload, BadSecret, Event, NoMatch, VerificationError, Verifier

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 4 * 1024 * 1024
_READ_S = 30.0
_LENGTH = re.compile("[0-9]{1,12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request and what became of it. ``event`` is None when it was not verified."""

    number: int
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    event: Event[object] | None
    problem: str | None
    answered: str


class Secrets:
    """What requests are verified with: the secrets that were given, or what the service says.

    ``ask`` returns the secrets of an endpoint; a delivery names its endpoint in its id.
    """

    def __init__(self, given: str | None, ask: Callable[[str], list[str]]) -> None:
        self._given = None if given is None else Verifier(given)
        self._ask = ask
        self._known: dict[str, Verifier] = {}

    async def unwrap(self, body: bytes, headers: Mapping[str, str]) -> Event[object]:
        """Return the event of a request; raises ``VerificationError`` or ``WebhookError``."""
        if self._given is not None:
            return self._given.unwrap(body, headers, object)
        delivery = parse_delivery_id(headers.get("webhook-delivery-id", ""))
        if delivery is None:
            raise WebhookError("it names no delivery of the service; give --secret")
        if (verifier := self._known.get(delivery.endpoint_id)) is not None:
            # What was rotated away since is asked for below.
            with contextlib.suppress(NoMatch):
                return verifier.unwrap(body, headers, object)
        verifier = Verifier(await asyncio.to_thread(self._ask, delivery.endpoint_id))
        self._known[delivery.endpoint_id] = verifier
        return verifier.unwrap(body, headers, object)


class Receiving:
    """Answers on a connection each; the first ``times`` requests fail in ``way``, all if None."""

    def __init__(
        self,
        secrets: Secrets,
        *,
        tell: Callable[[Received], None],
        way: Way | None = None,
        times: int | None = None,
        delay_s: float = 0.0,
        record: Path | None = None,
    ) -> None:
        self._secrets = secrets
        self._tell = tell
        self._way = way
        self._left = times
        self._delay_s = delay_s
        self._record = record
        self._count = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        try:
            async with asyncio.timeout(_READ_S):
                request = await _read(reader)
            if request is not None:
                await self._answer(request, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, request: _Request, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        number = self._count
        event, problem = await self._verified(request)
        way = self._next_way()
        if way is None:
            status = 204 if problem is None else 400
            way = Way(f"{status}", whole(status))
        if self._record is not None:
            file = self._record / _file_name(number, request.headers.get("webhook-id"))
            file.write_bytes(request.head + request.body)
        self._tell(
            Received(
                number=number,
                method=request.method,
                target=request.target,
                headers=request.headers,
                body=request.body,
                event=event,
                problem=problem,
                answered=way.sentence,
            )
        )
        await asyncio.sleep(self._delay_s)
        await way.answer(writer)

    def _next_way(self) -> Way | None:
        """Return how this request is to fail, None if it is not."""
        if self._way is None or self._left == 0:
            return None
        if self._left is not None:
            self._left -= 1
        return self._way

    async def _verified(self, request: _Request) -> tuple[Event[object] | None, str | None]:
        if request.method != "POST":
            return None, f"it is a {request.method[:32]}, and deliveries are POSTs"
        try:
            return await self._secrets.unwrap(request.body, request.headers), None
        except (VerificationError, BadPayload, BadSecret) as error:
            return None, str(error)
        except WebhookError as error:
            return None, f"no secret to verify with: {error.message}"


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: str
    headers: Mapping[str, str]
    head: bytes
    body: bytes


async def _read(reader: asyncio.StreamReader) -> _Request | None:
    """Read one request; None for what is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, _, rest = first.partition(" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    length = headers.get("content-length", "0")
    if not _LENGTH.fullmatch(length) or int(length) > BODY_BYTES_MAX:
        return None
    body = await reader.readexactly(int(length))
    return _Request(method, rest.partition(" ")[0], headers, head, body)


def _file_name(number: int, message_id: str | None) -> str:
    """Return a name for what was recorded; an id is a stranger's text."""
    told = re.sub(r"[^A-Za-z0-9_-]", "_", message_id or "")[:100]
    return f"{number:04}{'-' if told else ''}{told}.http"
