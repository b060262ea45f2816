"""An event as a caller gives it, and the payload that is made of it once, at accept."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from webhook.domain.errors import InvalidInput, PayloadTooLarge
from webhook.domain.event_types import OPERATIONAL_TYPES, type_problem
from webhook.domain.json_text import as_number, check_depth, check_text
from webhook.domain.matching import facets, patterns_for
from webhook.domain.model import NewEvent

PAYLOAD_BYTES_MAX = 256 * 1024
CALL_BYTES_MAX = 1024 * 1024
EVENTS_MAX = 100
TENANT_DEFAULT = "default"
NAME_CHARS_MAX = 256

ID_PATTERN = r"[A-Za-z0-9_:-]{1,256}"
KEY_PATTERN = r"[\x21-\x7e]{1,256}"
TENANT_PATTERN = r"[A-Za-z0-9_.:-]{1,128}"
VERSION_PATTERN = r"[A-Za-z0-9_.-]{1,32}"
_ID = re.compile(ID_PATTERN)
_KEY = re.compile(KEY_PATTERN)
_TENANT = re.compile(TENANT_PATTERN)
_VERSION = re.compile(VERSION_PATTERN)


# The standard encoder, because it refuses NaN where others write null.
_PLAIN = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=msgspec.to_builtins
)
_METADATA = json.JSONDecoder(parse_int=as_number)


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened.

    ``data`` is any JSON value; ``msgspec.Raw`` is passed on byte for byte. ``metadata`` is what
    endpoints filter on. ``timestamp`` is a datetime with a zone, epoch ms, or RFC 3339 text, and
    the accept's time when left out. ``id`` and ``idempotency_key`` make a repeat recognisable; only
    one of them may be given. Events of one ``ordering_key`` reach each endpoint one after the
    other, in the order in which they were accepted.
    """

    type: str
    data: Any
    id: str | None = None
    tenant: str = TENANT_DEFAULT
    timestamp: datetime | int | str | None = None
    metadata: dict[str, Any] | msgspec.Raw = {}
    version: str = "1.0"
    idempotency_key: str | None = None
    ordering_key: str | None = None


def prepare(event: WebhookEvent, key: str, now: int, *, enabled: bool = True) -> NewEvent:
    """Work out everything about an event: payload, patterns, facets, name and content hash.

    ``enabled`` False keeps the event but matches nobody. Raises ``InvalidInput`` with a pointer to
    the field, ``PayloadTooLarge`` over 256 KiB.
    """
    _check_names(event)
    data = _json_text(event.data, "/data")
    metadata_text = _json_text(event.metadata, "/metadata")
    metadata = _METADATA.decode(metadata_text)
    if not isinstance(metadata, dict):
        raise InvalidInput.at("/metadata", "Must be an object of keys and values.")
    timestamp = _timestamp(event.timestamp, now)
    # Of what stands in quotes here nothing needs a backslash: the names are checked.
    payload = (
        f'{{"id":"{event.id or f"evt_{key}"}","type":"{event.type}","timestamp":"{timestamp}",'
        f'"data":{data},"metadata":{metadata_text},"version":"{event.version}"}}'
    )
    size = len(payload.encode())
    if size > PAYLOAD_BYTES_MAX:
        detail = f"The payload has {size} bytes, {PAYLOAD_BYTES_MAX} at most; send a reference."
        raise PayloadTooLarge.at("/data", detail)
    name = _name(event)
    return NewEvent(
        key=key,
        tenant=event.tenant,
        type=event.type,
        payload=payload,
        size=size,
        patterns=patterns_for(event.type) if enabled else [],
        facets=facets(metadata),
        id=event.id,
        name=name,
        content_hash=_content_hash(event, data, metadata_text) if name else None,
        ordering_key=event.ordering_key,
    )


def rfc3339(at_ms: int) -> str:
    """Return epoch ms as RFC 3339 UTC with milliseconds."""
    seconds, ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{ms:03}Z"


def tenant_problem(tenant: str) -> str | None:
    """Return what is wrong with a tenant's name, or None."""
    if _TENANT.fullmatch(tenant) is None:
        return "A tenant is 1 to 128 of A-Z, a-z, 0-9, _ . : and -."
    return None


def name_problem(name: str) -> str | None:
    """Return what is wrong with a caller's own id, or None."""
    if _ID.fullmatch(name) is None:
        return "An id is 1 to 256 of A-Z, a-z, 0-9, _ : and -; it holds no dot, since it is signed."
    return None


def key_problem(key: str) -> str | None:
    """Return what is wrong with an idempotency key, or None."""
    if _KEY.fullmatch(key) is None:
        return "An idempotency key is 1 to 256 visible ASCII characters."
    return None


def ordering_key_problem(key: str) -> str | None:
    """Return what is wrong with an ordering key, or None."""
    if _KEY.fullmatch(key) is None:
        return "An ordering key is 1 to 256 visible ASCII characters."
    return None


def _check_names(event: WebhookEvent) -> None:
    if problem := type_problem(event.type):
        raise InvalidInput.at("/type", problem)
    if event.type in OPERATIONAL_TYPES:
        detail = f"{event.type} is the service's own; emit another type."
        raise InvalidInput.at("/type", detail)
    if event.id is not None and event.idempotency_key is not None:
        raise InvalidInput.at("/idempotency_key", "Give id or idempotency_key, not both.")
    if event.id is not None and (problem := name_problem(event.id)):
        raise InvalidInput.at("/id", problem)
    if event.idempotency_key is not None and (problem := key_problem(event.idempotency_key)):
        raise InvalidInput.at("/idempotency_key", problem)
    if event.ordering_key is not None and (problem := ordering_key_problem(event.ordering_key)):
        raise InvalidInput.at("/ordering_key", problem)
    if problem := tenant_problem(event.tenant):
        raise InvalidInput.at("/tenant", problem)
    if _VERSION.fullmatch(event.version) is None:
        raise InvalidInput.at("/version", "A version is 1 to 32 of A-Z, a-z, 0-9, _ . and -.")


def _name(event: WebhookEvent) -> str | None:
    if event.id is not None:
        return f"id:{event.id}"
    return None if event.idempotency_key is None else f"key:{event.idempotency_key}"


def _json_text(value: Any, pointer: str) -> str:  # noqa: ANN401 - whatever JSON can hold
    """Return JSON text: the caller's own bytes, or the value encoded."""
    if isinstance(value, msgspec.Raw):
        try:
            text = bytes(value).decode()
        except UnicodeDecodeError:
            raise InvalidInput.at(pointer, "Not UTF-8.") from None
    else:
        text = _encode(value, pointer)
    check_depth(text, pointer)
    check_text(text, pointer)
    return text


def _encode(value: Any, pointer: str) -> str:  # noqa: ANN401 - whatever JSON can hold
    try:
        return _PLAIN.encode(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInput.at(pointer, f"Cannot be written as JSON: {error}.") from None


def _timestamp(given: datetime | int | str | None, now: int) -> str:
    if given is None:
        return rfc3339(now)
    try:
        if isinstance(given, int):
            return rfc3339(given)
        moment = given if isinstance(given, datetime) else _parse_rfc3339(given)
    except (ValueError, OverflowError, OSError):
        raise InvalidInput.at("/timestamp", "Must be RFC 3339: 2026-01-31T12:00:00Z.") from None
    if moment.tzinfo is None:
        raise InvalidInput.at("/timestamp", "Needs a time zone: 2026-01-31T12:00:00Z.")
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)


def _parse_rfc3339(text: str) -> datetime:
    if _RFC3339.fullmatch(text) is None:
        raise ValueError(text)
    return datetime.fromisoformat(text.upper())


def _content_hash(event: WebhookEvent, data: str, metadata: str) -> str:
    given = event.timestamp
    stamp = given.isoformat() if isinstance(given, datetime) else given
    content = [event.type, stamp, metadata, data]
    if event.ordering_key is not None:
        content.append(event.ordering_key)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
