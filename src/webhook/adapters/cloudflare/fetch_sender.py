"""The ``Sender`` of a Python Worker: the platform's ``fetch``.

The platform resolves names and reaches no private network; what can be checked here is the URL
itself, at every attempt. Its failures are told apart by nothing but their text, so they are all
``network``, except for the deadline, which is ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPMethod
from typing import Any

from webhook.domain.errors import InvalidInput
from webhook.domain.model import RESPONSE_BYTES_MAX, ErrorKind, Outcome
from webhook.domain.response import (
    BODY_TOO_LONG,
    response_text,
    status_problem,
    timeout_sentence,
)
from webhook.domain.retry import retry_after_ms
from webhook.domain.url_rules import UrlRules, check_url
from webhook.ports import Clock

# A body of one byte a piece costs a turn of the event loop each, and CPU time is what is paid for.
READS_MAX = 64


class FetchSender:
    """Sends with ``fetch``, never following a redirect."""

    def __init__(self, rules: UrlRules, *, clock: Clock) -> None:
        self._rules = rules
        self._clock = clock

    async def send(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_ms: int
    ) -> Outcome:
        """POST ``body`` and say what came of it; see ``Sender``."""
        started_at, began = self._clock.now_ms(), self._clock.monotonic_ms()
        decided: int | None = None
        response: Any = None
        note: str | None = None
        kept = bytearray()
        try:
            target = check_url(url, self._rules)
            async with asyncio.timeout(timeout_ms / 1000):
                response = await _post(target, headers, body)
                decided = round(self._clock.monotonic_ms() - began)
                note = await _read(response, kept)
        except (InvalidInput, OSError) as error:
            kind, sentence = _explain(error, timeout_ms)
            if decided is None:
                latency_ms = round(self._clock.monotonic_ms() - began)
                return Outcome(
                    started_at=started_at, latency_ms=latency_ms, error_kind=kind, error=sentence
                )
            note = f"the body was cut off: {sentence}"
        return self._judge(response, started_at, decided, bytes(kept), note)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _judge(
        self, response: Any, started_at: int, latency_ms: int, kept: bytes, note: str | None
    ) -> Outcome:
        status = int(response.status)
        kind, sentence = status_problem(status, response.headers.get("Location")) or (None, None)
        retry_after = None
        if kind is not None:
            retry_after = retry_after_ms(response.headers.get("Retry-After"), self._clock.now_ms())
        return Outcome(
            started_at=started_at,
            latency_ms=latency_ms,
            status_code=status,
            error_kind=kind,
            error=sentence,
            response=response_text(kept, cut=len(kept) > RESPONSE_BYTES_MAX) if kept else None,
            note=note,
            retry_after_ms=retry_after,
        )


async def _post(url: str, headers: Mapping[str, str], body: bytes) -> Any:
    from workers import fetch  # noqa: PLC0415 - exists in a Worker only

    return await fetch(
        url, method=HTTPMethod.POST, headers=dict(headers), body=body, redirect="manual"
    )


async def _read(response: Any, kept: bytearray) -> str | None:
    """Keep the beginning of the body and drop the rest; return a note when it broke off."""
    stream = response.js_object.body
    if not stream:
        return None
    reader = stream.getReader()
    ended = False
    try:
        for _ in range(READS_MAX):
            chunk = await reader.read()
            if chunk.done:
                ended = True
                return None
            kept += chunk.value.to_bytes()
            if len(kept) > RESPONSE_BYTES_MAX:
                return BODY_TOO_LONG
    except OSError:
        ended = True
        raise
    except Exception as error:  # noqa: BLE001 - JavaScript's errors have one class only
        ended = True
        return f"the body was cut off: {_first_line(error)}"
    finally:
        if not ended:
            # Else the connection stays open, one of six, for as long as the invocation goes on.
            reader.cancel()
    return f"the body came in more than {READS_MAX} pieces, and only its beginning is kept"


def _explain(error: Exception, timeout_ms: int) -> tuple[ErrorKind, str]:
    if isinstance(error, InvalidInput):
        return ErrorKind.BLOCKED, f"blocked: {error.errors[0].detail if error.errors else error}"
    if isinstance(error, TimeoutError):
        return ErrorKind.TIMEOUT, timeout_sentence(timeout_ms)
    return ErrorKind.NETWORK, f"network: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    # The platform's text names no URL; it is cut in case that changes.
    return (str(error).splitlines() or [type(error).__name__])[0].split("http")[0][:200].strip()
