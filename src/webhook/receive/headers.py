"""Request headers in whatever shape a framework has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from webhook.receive.errors import BadHeader, MissingHeader

ID_CHARACTERS_MAX = 256
_PARTS = ("id", "timestamp", "signature")


class HasItems(Protocol):
    """What has ``items()`` as a mapping does; one that repeats a name is welcome."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return names and values."""
        ...


Headers = (
    Mapping[str, str]
    | HasItems
    | Iterable[tuple[str, str]]
    | Iterable[tuple[bytes, bytes]]
    | Iterable[Sequence[str]]
)
"""A mapping, pairs, or the raw pairs of bytes of ASGI; letter case does not matter."""


def signed_headers(headers: Headers, families: Sequence[str]) -> tuple[str, str, str]:
    """Return id, timestamp and signature of the first family that is there as a whole.

    Only one family counts, so that nobody can add a second one to a request and choose which of
    them is looked at. Raises ``MissingHeader`` and ``BadHeader``.
    """
    found = _values(headers, families)
    for family in families:
        values = [found.get(f"{family}-{part}", []) for part in _PARTS]
        if not all(values):
            continue
        for part, given in zip(_PARTS, values, strict=True):
            if len(given) > 1:
                raise BadHeader(f"the header {family}-{part} came {len(given)} times")
            if not given[0]:
                raise MissingHeader(f"the header {family}-{part} is empty")
        message_id, timestamp, signature = (given[0] for given in values)
        check_id(message_id)
        return message_id, timestamp, signature
    names = [f"{families[0]}-{part}" for part in _PARTS]
    absent = ", ".join(name for name in names if name not in found)
    raise MissingHeader(f"no {absent} among the headers, and no other complete set")


def check_id(message_id: str) -> None:
    """Raise ``BadHeader`` for an id that is none: id, timestamp and body are told apart by dots."""
    if "." in message_id:
        raise BadHeader("the id has a dot in it")
    if len(message_id) > ID_CHARACTERS_MAX:
        raise BadHeader(f"the id is longer than {ID_CHARACTERS_MAX} characters")
    if not message_id.isascii() or not message_id.isprintable() or " " in message_id:
        raise BadHeader("the id has characters that no id has")


def _values(headers: Headers, families: Sequence[str]) -> dict[str, list[str]]:
    """Collect every value of the headers that matter, by lower-case name."""
    wanted = {f"{family}-{part}" for family in families for part in _PARTS}
    found: dict[str, list[str]] = {}
    pairs = headers.items() if hasattr(headers, "items") else headers
    for name, value in pairs:
        text = _text(name).lower()
        if text in wanted:
            found.setdefault(text, []).append(_text(value))
    return found


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("latin-1")
    raise TypeError(
        f"a header is text or bytes, not {type(value).__name__}: give a mapping of names to "
        "values, a list of pairs, or the raw headers of ASGI"
    )
