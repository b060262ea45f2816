"""What JSON text from outside must be before it is trusted: plain text, not too deep, no repeats.

RFC 8259 leaves repeated names and lone surrogates to the receiver; both are refused here, because
two readers of the same payload could see different things.
"""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any, NoReturn

from webhook.domain.errors import InvalidInput

DEPTH_MAX = 100
INTEGER_DIGITS_MAX = 300
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(set(range(256)) - set(_STEPS))
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_HIGH, _LOW, _BEYOND = 0xD800, 0xDC00, 0xE000


class RepeatedName(dict[str, Any]):
    """An object in which ``name`` stands twice."""

    name: str = ""


def check_depth(text: str, pointer: str = "") -> None:
    """Raise ``InvalidInput`` when arrays and objects are nested deeper than ``DEPTH_MAX``.

    Takes time in proportion to the text, whatever stands in it. Of what is no JSON it may let
    something deeper pass, but nothing that a parser follows that far.
    """
    if text.count("[") + text.count("{") <= DEPTH_MAX:
        return
    # Not a pattern for strings: on quotes that never close it would begin anew at each of them.
    escapes_gone = text.replace("\\\\", "").replace('\\"', "")
    outside_strings = "".join(escapes_gone.split('"')[::2])
    brackets = outside_strings.encode(errors="replace").translate(None, _NO_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEPTH_MAX:
        raise InvalidInput.at(pointer, f"Nested deeper than {DEPTH_MAX} levels; flatten it.")


def check_text(text: str, pointer: str = "") -> None:
    """Raise ``InvalidInput`` for NUL and lone surrogates, written as escapes or as they are."""
    if "\x00" in text or not _is_unicode(text):
        raise InvalidInput.at(pointer, "Holds NUL or half a surrogate pair; leave them out.")
    if "\\u" not in text:
        return
    expect_low, end = False, 0
    for match in _ESCAPE.finditer(text):
        code = int(match[1], 16) if match[1] else 0x20
        follows = expect_low and match.start() == end
        low = _LOW <= code < _BEYOND
        if code == 0 or low != follows or (expect_low and not low):
            raise InvalidInput.at(pointer, "Holds NUL or half a surrogate pair; leave them out.")
        expect_low, end = _HIGH <= code < _LOW, match.end()
    if expect_low:
        raise InvalidInput.at(pointer, "Holds half a surrogate pair; leave it out.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse(text: str, pointer: str = "") -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Parse JSON strictly; objects with a repeated name come back as ``RepeatedName``.

    Raises ``InvalidInput`` for what is no JSON, ``NaN`` and ``Infinity`` among it.
    """
    check_depth(text, pointer)
    try:
        return json.loads(
            text, object_pairs_hook=_pairs, parse_constant=_refuse_constant, parse_int=as_number
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput.at(pointer, f"Not JSON: {error.msg.lower()} at {where}.") from None
    except _ConstantError as error:
        raise InvalidInput.at(pointer, f"{error} is not JSON; send null or a number.") from None


def has_repeats(text: str) -> bool:
    """Whether a name stands twice in any object of a text that is known to be JSON."""
    repeats = 0

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeats
        repeats += len(dict(pairs)) < len(pairs)

    # What the numbers are does not matter, only that the longest of them is taken.
    json.loads(text, object_pairs_hook=look, parse_int=len, parse_float=len)
    return repeats > 0


class _ConstantError(ValueError):
    """NaN or an infinity stood in the text."""


def _refuse_constant(name: str) -> NoReturn:
    raise _ConstantError(name)


def as_number(digits: str) -> int | float:
    """Convert an integer of any length; Python itself refuses those of thousands of digits."""
    return int(digits) if len(digits) <= INTEGER_DIGITS_MAX else float(digits)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    repeated = RepeatedName(found)
    for name, _ in pairs:
        if name in seen:
            repeated.name = name
        seen.add(name)
    return repeated


def refuse_repeats(value: Any, pointer: str = "") -> None:  # noqa: ANN401 - whatever JSON can hold
    """Raise ``InvalidInput`` where a name stands twice in an object, at any depth."""
    if isinstance(value, RepeatedName):
        raise InvalidInput.at(
            f"{pointer}/{escape(value.name)}", "Stands twice in its object; keep one."
        )
    if isinstance(value, dict):
        for name, item in value.items():
            refuse_repeats(item, f"{pointer}/{escape(name)}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_repeats(item, f"{pointer}/{index}")


def escape(name: str) -> str:
    """Return a name as a JSON pointer's segment (RFC 6901, section 3)."""
    return name.replace("~", "~0").replace("/", "~1")
