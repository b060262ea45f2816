"""The ``Sender`` of a machine with sockets: aiohttp, hardened against receivers."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Mapping

import yarl
from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar

from webhook.adapters.aiohttp_errors import explain
from webhook.adapters.aiohttp_post import Answer, Target
from webhook.adapters.bounded_connector import BoundedConnector
from webhook.adapters.checked_resolver import CheckedResolver, Lookup, system_lookup
from webhook.adapters.env_proxies import ProxyFor
from webhook.domain.model import RESPONSE_BYTES_MAX, ErrorKind, Outcome
from webhook.domain.response import (
    BODY_TOO_LONG,
    response_text,
    status_problem,
    timeout_sentence,
)
from webhook.domain.retry import retry_after_ms
from webhook.domain.url_rules import UrlRules, check_url, url_host
from webhook.ports import Clock

CONNECTIONS_DEFAULT = 256
USER_AGENT_DEFAULT = "webhook"
# Node closes an idle connection after 5 s; reusing one at that moment costs an attempt.
KEEP_ALIVE_S = 4.0
URLS_KEPT = 4096


class AiohttpSender:
    """Sends at most ``connections`` requests at once, to no address that ``rules`` forbid.

    ``tls`` replaces the system's trust, ``lookup`` its name look-up. For a URL that ``proxy_for``
    has a proxy for, the proxy looks the name up and dials, and its addresses are checked by nobody
    here. Opens nothing before the first ``send``, and may be used again after ``close``; belongs to
    one event loop.
    """

    def __init__(
        self,
        rules: UrlRules,
        *,
        clock: Clock,
        connections: int = CONNECTIONS_DEFAULT,
        user_agent: str = USER_AGENT_DEFAULT,
        tls: ssl.SSLContext | None = None,
        lookup: Lookup = system_lookup,
        proxy_for: ProxyFor | None = None,
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._defaults = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._tls = tls
        self._lookup = lookup
        self._slots = asyncio.Semaphore(connections)
        self._proxy_for = proxy_for
        # Apart, since a proxy may well have a private address that no endpoint may have.
        self._session: ClientSession | None = None
        self._proxied: ClientSession | None = None
        # Judging and parsing a URL costs more than all else that happens here per request.
        self._url = functools.lru_cache(URLS_KEPT)(functools.partial(_checked_url, rules))
        self._targets: dict[str, Target] = {}

    async def send(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_ms: int
    ) -> Outcome:
        """POST ``body`` and say what came of it; raises nothing but cancellation.

        ``latency_ms`` runs until the headers of the answer are in.
        """
        async with self._slots:
            started_at = self._clock.now_ms()
            began = self._clock.monotonic_ms()
            decided: int | None = None
            response: Answer | ClientResponse | None = None
            kept = bytearray()
            note = None
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    response = await self._post(url, headers, body)
                    decided = round(self._clock.monotonic_ms() - began)
                    note = await _read(response, kept)
            except Exception as error:  # noqa: BLE001 - whatever a receiver causes is an outcome
                kind, sentence = _explain(error, url, timeout_ms)
                if response is None or decided is None:
                    latency_ms = round(self._clock.monotonic_ms() - began)
                    return Outcome(
                        started_at=started_at,
                        latency_ms=latency_ms,
                        error_kind=kind,
                        error=sentence,
                    )
                note = f"the body was cut off: {sentence}"
            finally:
                # Without effect when the body was read to its end; else the rest is not wanted.
                if response is not None:
                    response.close()
            return self._judge(response, started_at, decided, bytes(kept), note)

    async def close(self) -> None:
        """Close all connections."""
        self._targets.clear()
        sessions = (self._session, self._proxied)
        self._session = self._proxied = None
        for session in sessions:
            if session is not None:
                await session.close()

    async def _post(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer | ClientResponse:
        checked = self._url(url)
        proxy = self._proxy_for(checked) if self._proxy_for else None
        if proxy is not None:
            session = self._proxied = self._proxied or self._open(None)
            return await session.post(
                checked, data=body, headers=headers, allow_redirects=False, proxy=proxy
            )
        session = self._session = self._session or self._open(
            CheckedResolver(self._rules, self._lookup)
        )
        target = self._targets.get(url) or self._keep_target(url, checked)
        return await target.post(session, headers, body, RESPONSE_BYTES_MAX)

    def _keep_target(self, url: str, checked: yarl.URL) -> Target:
        if len(self._targets) >= URLS_KEPT:
            self._targets.clear()
        target = self._targets[url] = Target(checked, self._defaults)
        return target

    def _open(self, resolver: CheckedResolver | None) -> ClientSession:
        return ClientSession(
            connector=BoundedConnector(
                limit=0,  # waiting for a slot happens above, before the deadline starts
                resolver=resolver,
                ssl=True if self._tls is None else self._tls,
                keepalive_timeout=KEEP_ALIVE_S,
            ),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=RESPONSE_BYTES_MAX,
            headers=self._defaults,
        )

    def _judge(
        self,
        response: Answer | ClientResponse,
        started_at: int,
        latency_ms: int,
        kept: bytes,
        note: str | None,
    ) -> Outcome:
        status, answered = response.status, response.headers
        problem = status_problem(status, answered.get("Location"))
        text = None
        if answered.get("Content-Encoding", "identity").lower() == "identity":
            text = response_text(kept, cut=len(kept) > RESPONSE_BYTES_MAX) if kept else None
        elif kept:
            note = note or "the body is compressed, against our wish, and not kept"
        if problem is None:
            return Outcome(
                started_at=started_at,
                latency_ms=latency_ms,
                status_code=status,
                response=text,
                note=note,
            )
        return Outcome(
            started_at=started_at,
            latency_ms=latency_ms,
            status_code=status,
            error_kind=problem[0],
            error=problem[1],
            response=text,
            note=note,
            retry_after_ms=retry_after_ms(answered.get("Retry-After"), self._clock.now_ms()),
        )


def _checked_url(rules: UrlRules, url: str) -> yarl.URL:
    """Return the URL to dial; raises ``InvalidInput`` when the rules of today forbid it."""
    return yarl.URL(check_url(url, rules), encoded=True)


async def _read(response: Answer | ClientResponse, kept: bytearray) -> str | None:
    """Read a body into ``kept`` until it ends or is one byte too long; return a note if it is."""
    while len(kept) <= RESPONSE_BYTES_MAX:
        chunk = await response.content.read(RESPONSE_BYTES_MAX + 1 - len(kept))
        if not chunk:
            return None
        kept += chunk
    return BODY_TOO_LONG


def _explain(error: Exception, url: str, timeout_ms: int) -> tuple[ErrorKind, str]:
    if type(error) is TimeoutError and error.errno is None:
        return ErrorKind.TIMEOUT, timeout_sentence(timeout_ms)
    return explain(error, url_host(url))
