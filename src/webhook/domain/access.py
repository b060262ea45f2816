"""Who may do what, and who did it: scopes, API tokens, the audit log. Times are epoch ms.

A token is ``whtok_``, the 26 characters of its id, ``_``, and 256 bits of chance in 52 letters and
digits. Only its SHA-256 is kept: with that much chance nothing slower is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import StrEnum

import msgspec

from webhook.domain.ids import ALPHABET, KEY_CHARS, encode, is_key, key_time_ms

TOKEN_BYTES = 32
TOKEN_PATTERN = f"whtok_[{ALPHABET}]{{{KEY_CHARS}}}_[{ALPHABET}]{{52}}"
TOKEN_NAME_CHARS_MAX = 256
# A token that is in use says so no more often than that.
USE_NOTED_EVERY_MS = 3_600_000
# A token that was revoked lets in for at most so long.
KNOWN_FOR_MS = 10_000
_TOKEN = re.compile(TOKEN_PATTERN)


class Scope(StrEnum):
    """What a caller may do; ``admin`` may do everything, none of the others includes another."""

    EMIT = "emit"
    READ = "read"
    MANAGE = "manage"
    SECRETS = "secrets"
    ADMIN = "admin"


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a token. ``tenant`` None is bound to none, ``expires_at`` None never ends."""

    id: str
    hash: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: int
    tenant: str | None = None
    expires_at: int | None = None
    last_used_at: int | None = None

    def lets_in(self, text: str, now: int) -> bool:
        """Whether ``text`` is this token, compared in constant time, and has not expired."""
        same = hmac.compare_digest(self.hash, token_hash(text))
        return same and (self.expires_at is None or now < self.expires_at)

    def __repr__(self) -> str:
        """Hide the hash from logs."""
        return f"ApiToken(id={self.id!r}, tenant={self.tenant!r}, scopes={self.scopes!r})"


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something: a token's id, ``bootstrap``, ``rpc:`` and a binding, or ``cli``.

    ``source`` is the network address, where there is one.
    """

    name: str
    source: str | None = None
    request_id: str | None = None


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done. ``tenant`` None concerned them all; no value of a field is in it."""

    id: str
    action: str
    actor: str
    tenant: str | None = None
    target: str | None = None
    detail: str | None = None
    source: str | None = None
    request_id: str | None = None

    @property
    def at(self) -> int:
        """When it was done."""
        return key_time_ms(self.id.removeprefix("aud_"))


def make_token(key: str, chance: bytes) -> str:
    """Return a new token whose id is ``tok_`` + key, from 32 bytes of chance."""
    if len(chance) != TOKEN_BYTES:
        message = f"A token is made from {TOKEN_BYTES} bytes, not {len(chance)}."
        raise ValueError(message)
    return f"whtok_{key}_{encode(int.from_bytes(chance), 52)}"


def token_hash(text: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(text.encode()).hexdigest()


def token_id(text: str) -> str | None:
    """Return the id that a token claims to have; None if it is none of ours."""
    if _TOKEN.fullmatch(text) is None:
        return None
    return f"tok_{text[6 : 6 + KEY_CHARS]}"


def is_token_id(text: str) -> bool:
    """Whether ``text`` has the form ``tok_`` + 26 characters."""
    return text.startswith("tok_") and is_key(text[4:])
