"""HTTP connections that cost no more than is allowed: in time, in number, and in bytes of headers.

uvicorn itself waits for ever for the first byte, for the rest of headers, and for the rest of a
body, and refuses every caller alike when there are too many.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, ClassVar

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from webhook.api import BUSY_KEY
from webhook.api.errors import HeadersTooLarge, NotHttp, RequestTooSlow
from webhook.api.problems import problem_response
from webhook.domain.errors import WebhookError

# Of a request's line and headers; the read that goes over it may bring up to 256 KiB.
HEADER_BYTES_MAX = 32 * 1024
HEADER_S = 10.0
IDLE_S = 10.0
# Connections beyond those that are served: they get /health, or a 503 and their end.
SPARE = 64
# How long what was answered may take to leave a connection that ends.
LINGER_S = 5.0
_TOO_LARGE = 431
_HEADERS = [
    (b"connection", b"close"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


class BoundedConnection(H11Protocol):
    """One connection. ``bounded`` makes the class that a server is given."""

    connections_max: ClassVar[int]
    request_s: ClassVar[float]

    @classmethod
    def bounded(cls, connections_max: int, request_s: float) -> type[BoundedConnection]:
        """Return it with its bounds: how many are served, how long a request may take to come."""
        bounds = {"connections_max": connections_max, "request_s": request_s}
        return type("Connection", (cls,), bounds)

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - they are uvicorn's
        super().__init__(*args, **kwargs)
        # What is waited for: the head of a request or its body, after or of which request.
        self._awaited: tuple[str, RequestResponseCycle | None] | None = None
        self._since = self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._end: asyncio.TimerHandle | None = None
        self._busy = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, end it at once, or serve /health alone."""
        super().connection_made(transport)
        if len(self.connections) > self.connections_max + SPARE:
            transport.abort()
            return
        if len(self.connections) > self.connections_max:
            self._busy = True
            self.app = _busy(self.app)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        for timer in (self._timer, self._end):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Note that the caller is alive."""
        self._heard = self.loop.time()
        super().data_received(data)

    def handle_events(self) -> None:
        """Take what has come, and see what is missing now."""
        super().handle_events()
        if self._busy and (present := self._present) is not None:
            present.keep_alive = False
        self._watch()

    @property
    def _present(self) -> RequestResponseCycle | None:
        """The last request; uvicorn's type forgets that there may have been none."""
        return self.cycle

    def _watch(self) -> None:
        their = self.conn.their_state
        awaited: tuple[str, RequestResponseCycle | None] | None = None
        if their is h11.SEND_BODY:
            awaited = ("body", self.cycle)
        elif their is h11.IDLE and (self._present is None or self.conn.trailing_data[0]):
            awaited = ("head", self.cycle)
        if awaited == self._awaited:
            return
        self._awaited = awaited
        if awaited is None:
            return  # The timer, if any, finds nothing to do.
        self._since = self._heard = self.loop.time()
        if self._timer is None:
            self._look()

    def _look(self) -> None:
        """End what has taken too long, or look again when it will have."""
        self._timer = None
        if self._awaited is None or self.transport.is_closing():
            return
        now = self.loop.time()
        body = self._awaited[0] == "body"
        if body and self.flow.read_paused:
            # It is us who do not read: no fault of the caller's.
            self._since = self._heard = now
        whole_s = self.request_s if body else min(HEADER_S, self.request_s)
        end = min(self._since + whole_s, self._heard + IDLE_S)
        if now < end:
            self._timer = self.loop.call_at(end, self._look)
        elif self._present is None and not self.conn.trailing_data[0]:
            self.transport.abort()  # It has never said anything.
        else:
            what = "body" if body else "headers"
            self._refuse(RequestTooSlow(f"The {what} did not come within {whole_s:g} s."))

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or has too much of it."""
        error = sys.exception()
        if getattr(error, "error_status_hint", 400) == _TOO_LARGE:
            self._refuse(HeadersTooLarge(f"The headers have more than {HEADER_BYTES_MAX} bytes."))
        else:
            self._refuse(NotHttp(msg))

    def _refuse(self, error: WebhookError) -> None:
        """Answer with an error if nothing has been answered, and end the connection."""
        present = self._present
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            answer = problem_response(error)
            headers = [*answer.raw_headers, *_HEADERS]
            head = present is not None and present.scope["method"] == "HEAD"
            for event in (
                h11.Response(status_code=answer.status_code, headers=headers, reason=b""),
                h11.Data(data=b"" if head else bytes(answer.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        if present is not None and not present.response_complete:
            present.disconnected = True
            present.message_event.set()
        self._close()

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that nobody uses."""
        super().timeout_keep_alive_handler()
        self._close()

    def _close(self) -> None:
        # A caller who does not read keeps a closing connection open for ever.
        self.transport.close()
        self._end_within(LINGER_S)

    def _end_within(self, seconds: float) -> None:
        if self._end is None:
            self._end = self.loop.call_later(seconds, self.transport.abort)

    def pause_writing(self) -> None:
        """Give a caller who does not read its answer as long as one who does not send."""
        super().pause_writing()
        self._end_within(self.request_s)

    def resume_writing(self) -> None:
        """Go on with one who has read."""
        super().resume_writing()
        if self._end is not None and not self.transport.is_closing():
            self._end.cancel()
            self._end = None


def _busy(app: ASGIApp) -> ASGIApp:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, BUSY_KEY: True}, receive, send)

    return refuse
