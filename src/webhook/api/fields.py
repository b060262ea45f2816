"""From what msgspec says about a document to a pointer and a sentence with the remedy."""

from __future__ import annotations

import difflib
import re
from typing import Any

import msgspec
from msgspec import inspect

from webhook.domain.errors import FieldError
from webhook.domain.json_text import escape

_AT = " - at `$"
_SEGMENT = re.compile(r"\.([^.\[\]`]+)|\[(\d+)\]|(\[\.\.\.\])")
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_EXPECTED = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_BOUND = re.compile(r"Expected `[^`]*`( of length)? ([<>]=?) (\S+)")
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_TIME = "Must be RFC 3339 with a time zone: 2026-01-31T12:00:00Z."


def field_error(error: msgspec.ValidationError, document: object, kind: type) -> FieldError:
    """Say which field of ``document`` is no good as a ``kind``, and what it should be.

    ``document`` is the parsed text; msgspec does not name the keys of mappings, so they are
    looked for in it.
    """
    what, _, path = str(error).rpartition(_AT) if _AT in str(error) else (str(error), "", "")
    segments = _segments(path.removesuffix("`"), error, document, kind)
    expected = _descend(inspect.type_info(kind), segments)
    pointer = "".join(f"/{escape(segment)}" for segment in segments)
    if match := _MISSING.fullmatch(what):
        return FieldError(f"{pointer}/{escape(match[1])}", "Is required.")
    if match := _UNKNOWN.fullmatch(what):
        return FieldError(f"{pointer}/{escape(match[1])}", _unknown(match[1], expected))
    return FieldError(pointer, _sentence(what, expected))


def _sentence(what: str, expected: inspect.Type | None) -> str:
    if what.startswith("Invalid enum value"):
        return f"Must be one of {', '.join(_choices(expected))}."
    if "RFC3339" in what or "timezone" in what:
        return _TIME
    if match := _BOUND.fullmatch(what):
        low, high = getattr(expected, "ge", None), getattr(expected, "le", None)
        if low is not None and high is not None:
            return f"Must be {low} to {high}."
        of_length = " long" if match[1] else ""
        return f"Must be {_BOUNDS[match[2]]} {match[3]}{of_length}."
    if match := _EXPECTED.fullmatch(what):
        wanted = " or ".join(_WORDS.get(name, name) for name in match[1].split(" | "))
        return f"Must be {wanted}, not {_WORDS.get(match[2], match[2])}."
    return f"{what}."


def _unknown(name: str, expected: inspect.Type | None) -> str:
    known = [field.encode_name for field in getattr(expected, "fields", ())]
    if not known:
        return "Is unknown here, where nothing is taken; leave it out."
    near = difflib.get_close_matches(name[:64], known, n=1)
    meant = f"; did you mean {near[0]}?" if near else "."
    return f"Is unknown here{meant} Known are {', '.join(known)}."


def _segments(path: str, error: msgspec.ValidationError, document: object, kind: type) -> list[str]:
    segments: list[str] = []
    place = document
    for match in _SEGMENT.finditer(path):
        segment = match[1] or match[2]
        if match[3]:
            found = _blamed_key(place, error, document, kind)
            if found is None:
                break
            segment = found
        segments.append(segment)
        place = _inside(place, segment)
    return segments


def _inside(place: object, segment: str) -> object:
    if isinstance(place, dict):
        return place.get(segment)
    if isinstance(place, list) and segment.isdigit() and int(segment) < len(place):
        return place[int(segment)]
    return None


def _blamed_key(
    place: object, error: msgspec.ValidationError, document: object, kind: type
) -> str | None:
    """Find the key of a mapping whose value brings the same error when it stands there alone."""
    if not isinstance(place, dict):
        return None
    items = dict(place)
    for key, value in items.items():
        place.clear()
        place[key] = value
        try:
            msgspec.convert(document, kind)
        except msgspec.ValidationError as again:
            if str(again) == str(error):
                return str(key)
        finally:
            place.clear()
            place.update(items)
    return None


def _descend(expected: inspect.Type | None, segments: list[str]) -> inspect.Type | None:
    expected = _plain(expected)
    for segment in segments:
        if isinstance(expected, inspect.StructType):
            field = next((f for f in expected.fields if f.encode_name == segment), None)
            expected = None if field is None else field.type
        elif isinstance(expected, inspect.DictType):
            expected = expected.value_type
        else:
            expected = getattr(expected, "item_type", None)
        expected = _plain(expected)
    return expected


def _plain(expected: inspect.Type | None) -> inspect.Type | None:
    """Look through annotations, and through "or null" and "or left out" to what else may stand."""
    while isinstance(expected, inspect.Metadata):
        expected = expected.type
    if isinstance(expected, inspect.UnionType):
        inner = (_plain(kind) for kind in expected.types)
        return next(
            (k for k in inner if k is not None and not isinstance(k, inspect.NoneType)), None
        )
    return expected


def _choices(expected: Any) -> list[str]:  # noqa: ANN401 - any type that msgspec knows
    if isinstance(expected, inspect.EnumType):
        return [str(member.value) for member in expected.cls]
    return [str(value) for value in getattr(expected, "values", ())]
