"""``Verifier`` tells whether a request is a webhook of the sender's, and what it says."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

from webhook.receive.errors import BadSecret, BadTimestamp, Expired, NoMatch
from webhook.receive.events import Event, Shape, parse_event
from webhook.receive.headers import Headers, signed_headers
from webhook.receive.keys import read_keys
from webhook.standard_webhooks import signed_bytes

TOLERANCE_S = 300
# A rotation has eleven signatures at most; what comes after these is there to cost us time.
SIGNATURES_MAX = 50
# Digits as they are written: no sign, point, exponent, space, underscore, zero in front, and none
# but ASCII's, all of which `int` or `float` would take.
_SECONDS = re.compile(r"0|[1-9][0-9]{0,11}")


@dataclass(frozen=True, slots=True)
class Verified:
    """What the signature vouches for. ``timestamp`` is when this attempt was made, epoch s."""

    id: str
    timestamp: int
    key_index: int
    """Which of the secrets it was, from 0: tells when a rotation is over."""


class Verifier:
    """Verifies Standard Webhooks with any of some secrets; never returns False, but raises.

    ``secrets`` are one or several ``whsec_`` or ``whpk_`` (in one text, with spaces between, or in
    a list); several while the sender rotates. ``tolerance`` is how many seconds the time of the
    request may be away from now, either way; ``math.inf`` takes any. ``headers`` are the families
    that are looked for, in order.
    """

    def __init__(
        self,
        secrets: str | Iterable[str],
        *,
        tolerance: float = TOLERANCE_S,
        headers: Sequence[str] = ("webhook", "svix"),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raise ``BadSecret`` for a secret that cannot be one."""
        if not tolerance >= 0:
            raise ValueError("tolerance is a number of seconds, 0 or more")
        families = (headers,) if isinstance(headers, str) else tuple(headers)
        if not families:
            raise ValueError('headers names at least one family, such as "webhook"')
        self._keys = read_keys(secrets)
        self._tolerance = tolerance
        self._families = [family.lower() for family in families]
        self._clock = clock

    def verify(self, body: bytes, headers: Headers) -> Verified:
        """Return what was signed, or raise a ``VerificationError``.

        The body must be the very bytes that arrived: parsed and written again, it is another one.
        """
        raw = _raw(body)
        message_id, timestamp, signature = signed_headers(headers, self._families)
        if not _SECONDS.fullmatch(timestamp):
            raise BadTimestamp("the timestamp is no whole number of seconds since 1970")
        signatures = signature.split(" ")[:SIGNATURES_MAX]
        signed = signed_bytes(message_id, timestamp, raw)
        # Who signed comes before when: to a stranger, every refusal is the same.
        index = next((n for n, key in enumerate(self._keys) if key(signed, signatures)), None)
        if index is None:
            raise NoMatch(
                f"none of the signatures is by any of {len(self._keys)} secrets: is it this "
                "endpoint's secret, and the body as it arrived?"
            )
        late = int(self._clock()) - int(timestamp)
        if abs(late) > self._tolerance:
            when = "old" if late > 0 else "ahead"
            raise Expired(f"the request is {abs(late)} s {when}, more than {self._tolerance:g} s")
        return Verified(message_id, int(timestamp), index)

    @overload
    def unwrap(self, body: bytes, headers: Headers) -> Event[dict[str, Any]]: ...

    @overload
    def unwrap[T](self, body: bytes, headers: Headers, type: Shape[T]) -> Event[T]: ...

    def unwrap(self, body: bytes, headers: Headers, type: Any = dict) -> Event[Any]:  # noqa: A002 - it reads best where it is called
        """Verify, then read the event; its ``data`` becomes a ``type``.

        See ``webhook.receive.shapes`` for the types. Raises a ``VerificationError``, or
        ``BadPayload`` when the body is not such an event.
        """
        verified = self.verify(body, headers)
        return parse_event(_raw(body), verified.id, verified.timestamp, type)


def from_env(name: str = "WEBHOOK_SECRET", **options: Any) -> Verifier:  # noqa: ANN401 - as Verifier
    """Make a verifier of the secrets in an environment variable, with spaces between them."""
    secrets = os.environ.get(name, "")
    if not secrets.strip():
        raise BadSecret(
            f"the environment has no {name}: set it to the endpoint's secret (whsec_...)"
        )
    return Verifier(secrets, **options)


def _raw(body: object) -> bytes:
    """Return the body as bytes; raises TypeError with the cure, for it is the program's mistake."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, bytearray | memoryview):
        return bytes(body)
    if isinstance(body, str):
        cure = "give the bytes, before they are decoded"
    else:
        cure = (
            "give the raw bytes of the request, before they are parsed: JSON written again differs"
        )
    raise TypeError(f"the body is {type(body).__name__}, not bytes; {cure}")
