"""A sender that sends nothing: it answers by script and remembers what it was asked to send."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from webhook.domain.model import ErrorKind, Outcome
from webhook.testing.clock import VirtualClock

FOREVER = math.inf
_OK_MIN, _OK_END = 200, 300


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver does with one request.

    After ``after_ms`` it answers with ``status_code``, or fails with ``error_kind``; whatever takes
    longer than the attempt's deadline is a timeout.
    """

    status_code: int | None = 200
    error_kind: ErrorKind | None = None
    error: str | None = None
    response: str | None = None
    retry_after_ms: int | None = None
    after_ms: float = 0


class SentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request that would have been sent; header names are in lower case."""

    url: str
    headers: dict[str, str]
    body: bytes
    timeout_ms: int
    started_at: int

    @property
    def event_id(self) -> str:
        """The id of the event that it delivers, in either scheme of headers."""
        return self.headers.get("webhook-id") or self.headers["x-webhook-id"]


class RecordingSender:
    """The ``Sender`` of a test. Receivers answer 200 at once unless ``script`` says otherwise."""

    def __init__(self, clock: VirtualClock) -> None:
        self.requests: list[SentRequest] = []
        self.under_way = 0
        self.closed = False
        self._clock = clock
        self._scripts: dict[str, list[Reply]] = {}

    def script(self, url: str, *replies: Reply | int) -> None:
        """Let the receiver at ``url`` reply so, one after the other, the last one for ever."""
        self._scripts[url] = [
            Reply(status_code=reply) if isinstance(reply, int) else reply for reply in replies
        ]

    def to(self, url: str) -> list[SentRequest]:
        """Return the requests to one receiver, in order."""
        return [request for request in self.requests if request.url == url]

    async def send(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_ms: int
    ) -> Outcome:
        """Remember the request and reply by script."""
        started_at = self._clock.now_ms()
        self.requests.append(
            SentRequest(
                url=url,
                headers={name.lower(): value for name, value in headers.items()},
                body=body,
                timeout_ms=timeout_ms,
                started_at=started_at,
            )
        )
        reply = self._next_reply(url)
        self.under_way += 1
        try:
            await self._clock.sleep(min(reply.after_ms, timeout_ms))
        finally:
            self.under_way -= 1
        if reply.after_ms >= timeout_ms:
            return Outcome(
                started_at=started_at,
                latency_ms=timeout_ms,
                error_kind=ErrorKind.TIMEOUT,
                error=f"no answer within {timeout_ms} ms",
            )
        return _outcome(reply, started_at)

    async def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def _next_reply(self, url: str) -> Reply:
        script = self._scripts.get(url)
        if script is None:
            return Reply()
        return script.pop(0) if len(script) > 1 else script[0]


def _outcome(reply: Reply, started_at: int) -> Outcome:
    kind, status = reply.error_kind, reply.status_code
    if kind is not None and kind not in (ErrorKind.HTTP_STATUS, ErrorKind.REDIRECT):
        status = None
    if kind is None and status is not None and not _OK_MIN <= status < _OK_END:
        kind = ErrorKind.HTTP_STATUS
    return Outcome(
        started_at=started_at,
        latency_ms=round(reply.after_ms),
        status_code=status,
        error_kind=kind,
        error=reply.error or (None if kind is None else f"scripted: {kind.value}"),
        response=reply.response,
        retry_after_ms=reply.retry_after_ms,
    )
