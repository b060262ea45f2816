"""What a decoder says becomes a pointer to the field and a sentence that helps."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType

from webhook.api.fields import field_error


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, le=9)] = 1
    depth: Annotated[int, Meta(ge=1)] = 1
    tags: Annotated[list[str], Meta(max_length=2)] = []


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    inner: Inner | None = None
    many: list[Inner] = []
    by_key: dict[str, Inner] = {}
    colour: Colour | UnsetType = UNSET
    mode: Literal["fast", "slow"] = "fast"
    at: Annotated[datetime, Meta(tz=True)] | None = None
    ratio: float = 1.0
    flag: bool = False


@pytest.mark.parametrize(
    ("document", "pointer", "sentence"),
    [
        ({}, "/name", "Is required."),
        ([], "", "Must be an object, not an array."),
        ({"name": 1}, "/name", "Must be a string, not an integer."),
        ({"name": "", "inner": {"size": 0}}, "/inner/size", "Must be 1 to 9."),
        ({"name": "", "inner": {"depth": 0}}, "/inner/depth", "Must be at least 1."),
        ({"name": "", "inner": {"tags": ["a"] * 3}}, "/inner/tags", "Must be at most 2 long."),
        ({"name": "", "many": [{}, {"size": "x"}]}, "/many/1/size", "Must be an integer, not a s"),
        ({"name": "", "by_key": {"a": {}, "b/~": {"size": None}}}, "/by_key/b~1~0/size", "not nul"),
        ({"name": "", "by_key": {"a": {}, "b": 1}}, "/by_key/b", "Must be an object, not an int"),
        ({"name": "", "by_key": {"a": {"tag": 1}}}, "/by_key/a/tag", "did you mean tags?"),
        ({"name": "", "colour": "green"}, "/colour", "Must be one of red, blue."),
        ({"name": "", "mode": "x"}, "/mode", "Must be one of fast, slow."),
        ({"name": "", "at": "x"}, "/at", "Must be RFC 3339 with a time zone"),
        ({"name": "", "at": "2026-01-31T12:00:00"}, "/at", "Must be RFC 3339 with a time zone"),
        ({"name": "", "ratio": "x"}, "/ratio", "Must be a number, not a string."),
        ({"name": "", "flag": 1}, "/flag", "Must be true or false, not an integer."),
        ({"name": "", "colours": 1}, "/colours", "did you mean colour? Known are name, inner"),
        ({"name": "", "zzz": 1}, "/zzz", "Is unknown here. Known are name"),
    ],
)
def test_says_where_and_what(document: Any, pointer: str, sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(document, Outer)
    before = msgspec.json.encode(document)
    found = field_error(caught.value, document, Outer)
    assert found.pointer == pointer
    assert sentence in found.detail
    assert msgspec.json.encode(document) == before


def test_what_it_does_not_know_it_passes_on() -> None:
    found = field_error(msgspec.ValidationError("Something new - at `$.name`"), {}, Outer)
    assert (found.pointer, found.detail) == ("/name", "Something new.")
