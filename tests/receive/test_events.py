"""What ``unwrap`` makes of a verified body: events, and data as the receiver's own types."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict, assert_type

import msgspec
import pydantic
import pytest

from webhook.receive import BadPayload, Event, NoMatch, Verifier
from webhook.receive.shapes import shaped
from webhook.standard_webhooks import signed_bytes, strict_base64, v1

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = strict_base64(SECRET.removeprefix("whsec_")) or b""
AT = 1614265330
VERIFIER = Verifier(SECRET, clock=lambda: AT)
OURS = {
    "id": "evt_1",
    "type": "message.sent",
    "timestamp": "2026-11-24T14:23:53.595Z",
    "data": {"text": "hi"},
    "metadata": {"lang": "en"},
    "version": "1",
}


def signed(body: bytes) -> dict[str, str]:
    signature = v1(KEY, signed_bytes("evt_1", AT, body))
    return {"webhook-id": "evt_1", "webhook-timestamp": str(AT), "webhook-signature": signature}


def unwrapped(body: bytes | dict[str, Any], **options: Any) -> Event[Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return VERIFIER.unwrap(raw, signed(raw), **options)


def test_an_event_of_ours_is_read_whole() -> None:
    assert unwrapped(OURS) == Event(
        id="evt_1",
        type="message.sent",
        timestamp=dt.datetime(2026, 11, 24, 14, 23, 53, 595_000, dt.UTC),
        data={"text": "hi"},
        metadata={"lang": "en"},
        payload=OURS,
    )


def test_an_event_of_somebody_else_needs_a_type_and_data_only() -> None:
    event = unwrapped({"type": "a", "data": None, "more": 1}, type=Any)
    assert (event.id, event.type, event.data, event.metadata) == ("evt_1", "a", None, {})
    assert event.timestamp == dt.datetime.fromtimestamp(AT, dt.UTC)
    assert event.payload["more"] == 1
    local = unwrapped({"type": "a", "data": {}, "timestamp": "2026-11-24T14:23:53"})
    assert local.timestamp == dt.datetime(2026, 11, 24, 14, 23, 53, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is no JSON"),
        (b"\xff\xfe", "the body is no JSON"),
        ('{"type":"a","data":1}'.encode("utf-16"), "the body is no JSON"),
        (b'\xef\xbb\xbf{"type":"a","data":1}', "the body is no JSON"),
        (b'{"type":"a","data":NaN}', "NaN is no JSON number"),
        (b'{"type":"a","data":-Infinity}', "-Infinity is no JSON number"),
        (b'{"type":"a","data":' + b"9" * 5000 + b"}", "the body is no JSON"),
        (b"[" * 200_000, "the body is (nested too deeply|no JSON)"),
        (b"[]", "the body is no JSON object"),
        (b'{"data":1}', "type is missing"),
        (b'{"type":1,"data":1}', "type is missing, or no text"),
        (b'{"type":"a"}', "data is missing"),
        (b'{"type":"a","data":{},"timestamp":"yesterday"}', "timestamp is no ISO 8601"),
        (b'{"type":"a","data":{},"timestamp":7}', "timestamp is no ISO 8601"),
        (b'{"type":"a","data":1}', "data is a whole number, not an object"),
    ],
)
def test_a_good_signature_over_no_event_is_another_error(body: bytes, reason: str) -> None:
    VERIFIER.verify(body, signed(body))
    with pytest.raises(BadPayload, match=reason):
        unwrapped(body)


def test_what_is_not_verified_is_not_read() -> None:
    with pytest.raises(NoMatch):
        VERIFIER.unwrap(b"{", signed(b"{}"))


# --- shapes --------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Named(TypedDict):
    name: str
    nick: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Line:
    ends: tuple[Point, Point]
    colour: Colour = Colour.RED
    who: Named | None = None
    tags: list[str] = field(default_factory=list)


class Struct(msgspec.Struct):
    text: str


class Model(pydantic.BaseModel):
    text: str


type Alias = dict[str, Number]
Number = NewType("Number", int)


@pytest.mark.parametrize(
    ("shape", "value", "made"),
    [
        (Any, [1, {}], [1, {}]),
        (object, None, None),
        (dict, {"a": 1}, {"a": 1}),
        (None, None, None),
        (float, 1, 1.0),
        (int, 2**70, 2**70),
        (int | float, 1.5, 1.5),
        (float | int, 1, 1),
        (str | None, None, None),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Alias, {"a": 1}, {"a": 1}),
        (Annotated[int, "a number"], 1, 1),
        (list[int | None], [1, None], [1, None]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (set[str], ["a", "a"], {"a"}),
        (Literal["a", 1], 1, 1),
        (Colour, "red", Colour.RED),
        (dt.datetime, "2026-11-24T00:00:00Z", dt.datetime(2026, 11, 24, tzinfo=dt.UTC)),
        (dt.date, "2026-11-24", dt.date(2026, 11, 24)),
        (uuid.UUID, "00000000-0000-0000-0000-000000000007", uuid.UUID(int=7)),
        (Decimal, "1.10", Decimal("1.10")),
        (Named, {"name": "a", "more": 1}, {"name": "a"}),
        (
            Line,
            {"ends": [{"x": 1}, {"x": 2, "y": 3}], "who": {"name": "a", "nick": "b"}, "more": 1},
            Line((Point(1.0), Point(2.0, 3.0)), who={"name": "a", "nick": "b"}),
        ),
        (partial(msgspec.convert, type=Struct), {"text": "hi"}, Struct("hi")),
        (Model.model_validate, {"text": "hi"}, Model(text="hi")),
        (len, {"a": 1}, 1),
    ],
    ids=str,
)
def test_data_becomes_what_the_receiver_asks_for(shape: Any, value: Any, made: Any) -> None:
    found = shaped(value, shape)
    assert found == made
    assert type(found) is type(made)


@pytest.mark.parametrize(
    ("shape", "value", "reason"),
    [
        (int, True, "data is true or false, not a whole number"),
        (float, True, "data is true or false, not a number"),
        (int, 1.0, "data is a number, not a whole number"),
        (bool, 1, "data is a whole number, not true or false"),
        (str, 1, "data is a whole number, not text"),
        (Literal[1], True, "data is not one of 1"),
        (list[int], [1, "a"], r"data\[1\] is text, not a whole number"),
        (dict[str, int], {"a": None}, r"data\.a is null, not a whole number"),
        (tuple[int, str], [1], "data has 1 items, not 2"),
        (int | None, "a", "data is text, not a whole number; data is text, not null"),
        (Colour, "blue", "data: 'blue' is not a valid Colour"),
        (Decimal, "x", "data: "),
        (Decimal, 1.5, "data is a number, not text"),
        (dt.datetime, "x", "data: Invalid isoformat"),
        (Named, {}, r"data\.name is missing"),
        (Line, {"ends": [{"x": 1}, {}]}, r"data\.ends\[1\]\.x is missing"),
        (Line, [], "data is a list, not an object"),
        (partial(msgspec.convert, type=Struct), {}, "data: .*text"),
        (Model.model_validate, {}, "data: 1 validation error"),
    ],
    ids=str,
)
def test_data_that_does_not_fit_says_where(shape: Any, value: Any, reason: str) -> None:
    with pytest.raises(BadPayload, match=reason):
        shaped(value, shape)


def test_what_is_no_type_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="no type that JSON can become"):
        shaped(1, 7)


def test_a_checker_knows_the_type_of_the_data() -> None:
    body = json.dumps(OURS | {"data": {"name": "a"}}).encode()
    assert_type(VERIFIER.unwrap(body, signed(body)), Event[dict[str, Any]])
    assert_type(VERIFIER.unwrap(body, signed(body), Named), Event[Named])
    assert_type(VERIFIER.unwrap(body, signed(body), len), Event[int])
    assert math.isclose(VERIFIER.unwrap(body, signed(body), len).data, 1)
