"""The ``Sender`` of a Python Worker: the platform's ``fetch``.

The platform resolves names and reaches no private network; what can be checked here, at every
attempt, is the URL itself, and what a resolver of one's own says of its name. Its failures are
told apart by nothing but their text, so they are all ``network``, except for the deadline, which
is ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from webhook.adapters.cloudflare.doh import DnsOverHttps, NameRefusedError
from webhook.adapters.cloudflare.fetching import first_line, post, read_beginning
from webhook.domain.errors import InvalidInput
from webhook.domain.model import RESPONSE_BYTES_MAX, ErrorKind, Outcome
from webhook.domain.response import (
    response_text,
    status_problem,
    timeout_sentence,
)
from webhook.domain.retry import retry_after_ms
from webhook.domain.url_rules import UrlRules, check_url, url_name
from webhook.ports import Clock


class FetchSender:
    """Sends with ``fetch``, never following a redirect.

    With ``dns_over_https``, a resolver's URL, names are looked up and judged before.
    """

    def __init__(self, rules: UrlRules, *, clock: Clock, dns_over_https: str | None = None) -> None:
        self._rules = rules
        self._clock = clock
        self._dns = DnsOverHttps(dns_over_https, clock=clock) if dns_over_https else None

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
                if self._dns is not None and (name := url_name(target)) is not None:
                    await self._dns.check(name, self._rules)
                response = await post(target, headers, body)
                decided = round(self._clock.monotonic_ms() - began)
                note = await read_beginning(response, kept)
        except (InvalidInput, NameRefusedError, OSError) as error:
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


def _explain(error: Exception, timeout_ms: int) -> tuple[ErrorKind, str]:
    if isinstance(error, InvalidInput):
        return ErrorKind.BLOCKED, f"blocked: {error.errors[0].detail if error.errors else error}"
    if isinstance(error, NameRefusedError):
        return error.kind, error.sentence
    if isinstance(error, TimeoutError):
        return ErrorKind.TIMEOUT, timeout_sentence(timeout_ms)
    return ErrorKind.NETWORK, f"network: {first_line(error)}"
