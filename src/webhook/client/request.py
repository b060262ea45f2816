"""A call before it is made: what to send, and what the answer becomes. No I/O here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET

type Time = datetime | str
"""With a time zone; a text is RFC 3339."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request[T]:
    """One call of the API.

    ``answer`` is the type that its answer is decoded as, None where it has no content, and
    ``then`` makes the result of that. ``repeatable``: to do it twice is as good as once, so that
    it can be tried again when nobody knows whether it was done.
    """

    method: str
    path: str
    answer: Any
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    repeatable: bool = True
    then: Callable[[Any], T] = lambda answer: answer

    def next_page(self, cursor: str) -> Request[T]:
        """Return the same request for the page that begins at a cursor."""
        return dataclasses.replace(self, query={**self.query, "cursor": cursor})


def path(template: str, segment: str) -> str:
    """Return a path with an id in the place of ``{}``; an empty one would be another path."""
    if not segment:
        raise ValueError("An id is needed, not an empty text.")
    return template.format(quote(segment, safe=""))


def query(**given: object) -> dict[str, str]:
    """Return the parameters that were given, as texts."""
    return {name: _text(value) for name, value in given.items() if value is not None}


def body(**given: object) -> bytes:
    """Return a JSON object of what was given; None is left out, unless ``null`` says so."""
    return json_bytes({name: value for name, value in given.items() if value is not None})


def patch(**given: object) -> bytes:
    """Return a JSON object of what was given; None clears, UNSET is left out."""
    return json_bytes({name: value for name, value in given.items() if value is not UNSET})


def json_bytes(value: object) -> bytes:
    """Return a value as JSON: ``msgspec.Raw`` as it is, datetimes with their zone, no NaN."""
    if isinstance(value, msgspec.Raw):
        return bytes(value)
    if isinstance(value, Mapping):
        items = (f"{json.dumps(str(k))}:".encode() + json_bytes(v) for k, v in value.items())
        return b"{" + b",".join(items) + b"}"
    text = json.dumps(
        value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_plain
    )
    return text.encode()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return _text(value)
    # Structs, dataclasses, enums, sets, UUIDs, decimals; a TypeError for what is no JSON.
    return msgspec.to_builtins(value)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone: use datetime.now(UTC), for one.")
        return value.isoformat()
    return str(value)
