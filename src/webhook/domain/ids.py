"""Ids and keys: 26 characters of lower-case Crockford base32, time first, so that they sort.

A key is 48 bits of epoch milliseconds (10 characters) and 80 bits of chance (16 characters).
Public ids are prefixed: ``evt_`` + key, ``ep_`` + 26, ``dlv_`` + endpoint's 26 + event's 26.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TIME_CHARS = 10
KEY_CHARS = 26
KEY_MAX = "z" * KEY_CHARS
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
_CHANCE_BITS = 80
_CHANCE_LIMIT = 1 << _CHANCE_BITS
_VALUES = {char: value for value, char in enumerate(ALPHABET)}
_KEY = re.compile(f"[{ALPHABET}]{{{KEY_CHARS}}}")


class DeliveryRef(NamedTuple):
    """A delivery's identity: one event to one endpoint."""

    endpoint_id: str
    key: str

    @property
    def id(self) -> str:
        """The public id, ``dlv_`` + 52 characters."""
        return f"dlv_{self.endpoint_id.removeprefix('ep_')}{self.key}"


def encode(number: int, chars: int) -> str:
    """Return the last so many letters and digits of a number, an even count of them."""
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(5 * chars - 10, -1, -10)])


class KeyMaker:
    """Makes keys that rise within one millisecond, so that a batch keeps its order.

    ``random_bytes`` is the port to chance; nothing is drawn before the first call.
    """

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._last_ms = -1
        self._time = ""
        self._chance = 0

    def __call__(self, now_ms: int) -> str:
        """Return the next key for ``now_ms`` (epoch ms)."""
        if now_ms == self._last_ms:
            self._chance = (self._chance + 1) % _CHANCE_LIMIT
        else:
            self._last_ms = now_ms
            self._time = encode(now_ms, TIME_CHARS)
            # The top bit stays free, so that counting up cannot wrap within a millisecond.
            self._chance = int.from_bytes(self._random_bytes(10)) >> 1
        return self._time + encode(self._chance, KEY_CHARS - TIME_CHARS)


def key_floor(at_ms: int) -> str:
    """Return the smallest key that can be made at ``at_ms``: a bound for time ranges."""
    return encode(max(0, at_ms), TIME_CHARS) + ALPHABET[0] * (KEY_CHARS - TIME_CHARS)


def key_time_ms(key: str) -> int:
    """Return the epoch ms at which ``key`` was made."""
    at = 0
    for char in key[:TIME_CHARS]:
        at = at * 32 + _VALUES[char]
    return at


def is_key(text: str) -> bool:
    """Whether ``text`` has the form of a key."""
    return _KEY.fullmatch(text) is not None


def event_key(event_id: str) -> str | None:
    """Return the key inside an id of our own making, or None for a caller's id."""
    key = event_id.removeprefix("evt_")
    return key if key != event_id and is_key(key) else None


def is_endpoint_id(text: str) -> bool:
    """Whether ``text`` has the form ``ep_`` + 26 characters."""
    return text.startswith("ep_") and is_key(text[3:])


def lane_of(endpoint_id: str) -> str:
    """Return the endpoint's place in the walk of a claim: its id turned round, chance first.

    Whoever made an endpoint first has no advantage by it, and a walk may start at any text.
    """
    body = endpoint_id.removeprefix("ep_")
    return body[TIME_CHARS:] + body[:TIME_CHARS]


def endpoint_of_lane(lane: str) -> str:
    """Return the endpoint whose lane this is."""
    return "ep_" + lane[-TIME_CHARS:] + lane[:-TIME_CHARS]


def parse_delivery_id(text: str) -> DeliveryRef | None:
    """Read endpoint and key back out of a delivery's public id; None if it is not one."""
    body = text.removeprefix("dlv_")
    if body == text or len(body) != 2 * KEY_CHARS:
        return None
    endpoint, key = body[:KEY_CHARS], body[KEY_CHARS:]
    if not (is_key(endpoint) and is_key(key)):
        return None
    return DeliveryRef("ep_" + endpoint, key)
