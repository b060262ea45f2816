"""``Event``: what a verified body says."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from webhook.receive.errors import BadPayload
from webhook.receive.shapes import shaped

type Shape[T] = type[T] | Callable[[Any], T]
"""A type that ``data`` is made into, or a function that makes it."""


@dataclass(frozen=True, slots=True)
class Event[T]:
    """One event. ``id`` is the same at each retry; the rest is the body's, which was signed."""

    id: str
    type: str
    timestamp: dt.datetime
    """When it happened; where the body does not say, when the request was made."""
    data: T
    metadata: dict[str, Any] = field(default_factory=dict)
    payload: dict[str, Any] = field(default_factory=dict, repr=False)
    """The whole body, parsed."""


def parse_event[T](body: bytes, message_id: str, attempted_at: int, shape: Shape[T]) -> Event[T]:
    """Read a body; raises ``BadPayload``, which names the field."""
    payload = _parse(body)
    if not isinstance(payload, dict):
        raise BadPayload("the body is no JSON object")
    event_type = payload.get("type")
    if not isinstance(event_type, str):
        raise BadPayload("type is missing, or no text")
    if "data" not in payload:
        raise BadPayload("data is missing")
    metadata = payload.get("metadata")
    return Event(
        id=message_id,
        type=event_type,
        timestamp=_time(payload.get("timestamp"), attempted_at),
        data=shaped(payload["data"], shape),
        metadata=metadata if isinstance(metadata, dict) else {},
        payload=payload,
    )


def _parse(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        # Decoded here, since json.loads would take UTF-16 too.
        return json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except RecursionError:
        raise BadPayload("the body is nested too deeply") from None
    except ValueError as error:  # also what is not UTF-8
        raise BadPayload(f"the body is no JSON: {error}") from None


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _time(value: object, attempted_at: int) -> dt.datetime:
    if value is None:
        return dt.datetime.fromtimestamp(attempted_at, dt.UTC)
    try:
        found = dt.datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise BadPayload("timestamp is no ISO 8601 time") from None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
