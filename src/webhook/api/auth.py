"""Who calls: the bearer token (RFC 6750) of a request, and how fast it may come.

The bootstrap token stands in the settings and may do everything; API tokens stand in the store.
All of it is known to one process, or one isolate of a Worker, alone.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from webhook.adapters.system import SystemClock
from webhook.api.bounded import Bounded
from webhook.api.caller import BOOTSTRAP, INSECURE, Caller
from webhook.api.errors import TokenNotConfigured, TooManyRequests, Unauthorized
from webhook.domain.access import KNOWN_FOR_MS, USE_NOTED_EVERY_MS, ApiToken, token_id
from webhook.domain.errors import WebhookError
from webhook.engine.access import Access
from webhook.ports import Clock

TOKENS_MAX = 1_000
# Of a source that has shown so many wrong tokens in a row, each further one waits for its answer.
SOURCES_MAX = 4_096
WRONG_FREE = 10
WRONG_WAIT_MS, WRONG_WAIT_MS_MAX = 100, 2_000
WRONG_FORGOTTEN_MS = 60_000
WAITING_MAX = 64
_IPV6 = 6
_log = logging.getLogger("webhook.api")


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How the API is guarded.

    Without a ``token``, here or in the request's context, every /v1 route answers 503 to whoever
    shows no API token, unless ``insecure`` opens it to everybody who can reach it. Each token has
    ``requests_per_second``, a second's worth of them at once; None is no limit.
    """

    token: str | None = field(default=None, repr=False)
    insecure: bool = False
    requests_per_second: float | None = None


class Guard:
    """Lets callers in."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        # What was read of a token, and when.
        self._known: Bounded[str, tuple[ApiToken, float]] = Bounded(TOKENS_MAX)
        # How many wrong tokens a source has shown in a row, and when the last.
        self._wrong: Bounded[str, tuple[int, float]] = Bounded(SOURCES_MAX)
        # When the requests of a caller are through that came so far, if each took its interval.
        self._through: Bounded[str, float] = Bounded(TOKENS_MAX)
        self._waiting = 0

    async def let_in(
        self,
        headers: Mapping[bytes, bytes],
        settings: ApiSettings,
        access: Access,
        source: str | None,
    ) -> Caller:
        """Return who calls; raises ``Unauthorized``, after a while if that happens often."""
        if not settings.token and settings.insecure:
            return INSECURE
        given = headers.get(b"authorization")
        text = None if given is None else _bearer(given)
        if not settings.token and (text is None or token_id(text) is None):
            raise TokenNotConfigured
        if text is None:
            what = "missing" if given is None else "of another kind"
            raise Unauthorized(f"The token is {what}; send authorization: Bearer <token>.")
        # A header's bytes were read as latin-1, which loses none.
        if settings.token and hmac.compare_digest(text.encode("latin-1"), settings.token.encode()):
            return BOOTSTRAP
        token = await self._token(text, access)
        if token is None:
            await self._slow_down(source)
            raise Unauthorized("The token is not the right one.")
        return Caller(token.id, frozenset(token.scopes), token.tenant)

    async def _token(self, text: str, access: Access) -> ApiToken | None:
        """Return the token, as it was at most ``KNOWN_FOR_MS`` ago."""
        found_id = token_id(text)
        if found_id is None:
            return None
        now = self._clock.now_ms()
        # Nothing of a token changes, but that it is revoked.
        if (token := self._remembered(found_id)) is not None:
            return token if token.lets_in(text, now) else None
        token = await access.find_token(found_id)
        if token is None or not token.lets_in(text, now):
            return None
        self._known.put(found_id, (token, self._clock.monotonic_ms()))
        if (token.last_used_at or 0) <= now - USE_NOTED_EVERY_MS:
            await _note_use(access, token)
        return token

    def _remembered(self, found_id: str) -> ApiToken | None:
        known = self._known.get(found_id)
        if known is None or self._clock.monotonic_ms() - known[1] >= KNOWN_FOR_MS:
            return None
        return known[0]

    async def _slow_down(self, source: str | None) -> None:
        """Let a wrong token wait, the longer the more came before; a right one never comes here."""
        now = self._clock.monotonic_ms()
        network = _network(source)
        count, last = self._wrong.get(network) or (0, now)
        count = 1 if now - last >= WRONG_FORGOTTEN_MS else count + 1
        self._wrong.put(network, (count, now))
        if count <= WRONG_FREE:
            return
        wait_ms = min(WRONG_WAIT_MS * 2 ** min(count - WRONG_FREE - 1, 10), WRONG_WAIT_MS_MAX)
        if self._waiting >= WAITING_MAX:
            raise TooManyRequests("Too many wrong tokens come at once.", -(-wait_ms // 1000))
        self._waiting += 1
        try:
            await self._clock.wait(asyncio.Event(), wait_ms)
        finally:
            self._waiting -= 1

    def take_turn(self, caller: Caller, settings: ApiSettings) -> None:
        """Raise ``TooManyRequests`` when the caller comes faster than it may."""
        if settings.requests_per_second is None:
            return
        now = self._clock.monotonic_ms()
        interval_ms = 1000 / settings.requests_per_second
        through = max(now, self._through.get(caller.name) or now) + interval_ms
        late_ms = through - now - max(1000.0, interval_ms)
        if late_ms > 0:
            rate = f"{settings.requests_per_second:g}"
            message = f"This token has {rate} requests a second; some were faster."
            raise TooManyRequests(message, -(-int(late_ms) // 1000) or 1)
        self._through.put(caller.name, through)


def _bearer(given: bytes) -> str | None:
    """Return the token, None when the header is of another kind."""
    scheme, _, value = given.strip().partition(b" ")
    return value.strip().decode("latin-1") if scheme.lower() == b"bearer" else None


def _network(source: str | None) -> str:
    """Return whose address it is: of IPv6 a customer has a whole /64."""
    try:
        address = ip_address(source or "")
    except ValueError:
        return source or ""
    return (
        str(ip_network((address, 64), strict=False)) if address.version == _IPV6 else str(address)
    )


async def _note_use(access: Access, token: ApiToken) -> None:
    try:
        await access.note_use(token)
    except WebhookError as error:
        # Whoever shows a right token gets in, also where nothing can be written.
        _log.warning("could not note that %s is in use: %s", token.id, error)
