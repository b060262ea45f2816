"""``POST /v1/events``: accept one event or a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType
from starlette.responses import Response

from webhook.api.body import explained, json_text, read_body
from webhook.api.operation import Call, Operation, answer
from webhook.api.problems import CONFLICT
from webhook.api.text import text
from webhook.api.views import Accepted, AcceptedBatch
from webhook.domain.access import Scope
from webhook.domain.errors import Conflict, FieldError, InvalidInput
from webhook.domain.event import (
    CALL_BYTES_MAX,
    EVENTS_MAX,
    ID_PATTERN,
    KEY_PATTERN,
    NAME_CHARS_MAX,
    TENANT_DEFAULT,
    TENANT_PATTERN,
    VERSION_PATTERN,
    WebhookEvent,
    key_problem,
)
from webhook.domain.event_types import TYPE_CHARS_MAX, TYPE_PATTERN
from webhook.domain.json_text import RepeatedName, has_repeats, parse, refuse_repeats

EMIT_BODY_BYTES_MAX = 2 * CALL_BYTES_MAX
KEY_HEADER = "Idempotency-Key"
_RAW_KEY_HEADER = KEY_HEADER.lower().encode()
# Data at least this long is not looked into for repeated names, which are its owner's business.
_LONG_DATA_CHARS = 1024


class EmitInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event to deliver. Times are RFC 3339; ``data`` is passed on byte for byte."""

    type: Annotated[
        str,
        text("Dotted lower-case name, such as message.sent.", TYPE_PATTERN, TYPE_CHARS_MAX),
    ]
    data: Annotated[Raw, Meta(description="Any JSON value; receivers get it byte for byte.")]
    id: Annotated[str | None, text("Your own; makes a repeat safe.", ID_PATTERN)] = None
    tenant: Annotated[str, text("Only this tenant's endpoints get it.", TENANT_PATTERN)] = (
        TENANT_DEFAULT
    )
    timestamp: Annotated[
        str | None,
        Meta(
            description="When it happened; the time of accepting it when left out.",
            extra_json_schema={"format": "date-time"},
        ),
    ] = None
    metadata: Annotated[
        Raw | UnsetType,
        Meta(
            description="Names and values that endpoints may filter on.",
            extra_json_schema={"type": "object"},
        ),
    ] = UNSET
    version: Annotated[str, text("Of the data's form.", VERSION_PATTERN)] = "1.0"
    idempotency_key: Annotated[
        str | None, text("Makes a repeat safe as an id does; give one of them.", KEY_PATTERN)
    ] = None
    ordering_key: Annotated[
        str | None,
        text(
            "Events with the same key reach an endpoint one after the other, in the order in which "
            "they were accepted.",
            KEY_PATTERN,
        ),
    ] = None


class EmitBatchInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to 100 events, all or none of which are accepted."""

    events: Annotated[
        list[EmitInput],
        Meta(extra_json_schema={"minItems": 1, "maxItems": EVENTS_MAX}),
    ]


_one = msgspec.json.Decoder(EmitInput)
_batch = msgspec.json.Decoder(EmitBatchInput)


async def emit(call: Call) -> Response:
    """Accept one event or a batch."""
    key = _key_header(call)
    given = _decoded(call, await read_body(call, EMIT_BODY_BYTES_MAX))
    if isinstance(given, EmitBatchInput):
        return await _emit_batch(call, given.events, key)
    event = _event(given, given.idempotency_key if key is None else _agreed(given, key, ""))
    try:
        accepted = await call.context.service.emit(event, wait_until=call.context.wait_until)
    except Conflict as error:
        raise _at_names(error, "", [event]) from None
    return answer(202, Accepted.of(accepted, event.type, event.tenant))


async def _emit_batch(call: Call, given: list[EmitInput], key: str | None) -> Response:
    if not 1 <= len(given) <= EVENTS_MAX:
        raise InvalidInput.at("/events", f"Takes 1 to {EVENTS_MAX} events, not {len(given)}.")
    events = [
        _event(
            one,
            one.idempotency_key
            if key is None
            else _agreed(one, f"{key}:{index}", f"/events/{index}"),
        )
        for index, one in enumerate(given)
    ]
    try:
        accepted = await call.context.service.emit_many(events, wait_until=call.context.wait_until)
    except InvalidInput as error:
        raise error.under("/events") from None
    except Conflict as error:
        raise _at_names(error, "/events", events) from None
    return answer(
        202,
        AcceptedBatch(
            [
                Accepted.of(one, event.type, event.tenant)
                for one, event in zip(accepted, events, strict=True)
            ]
        ),
    )


def _decoded(call: Call, body: bytes) -> EmitInput | EmitBatchInput:
    written = json_text(body)
    given: EmitInput | EmitBatchInput
    try:
        given = _one.decode(body)
    except msgspec.MsgspecError as error:
        if '"events"' not in written:
            raise explained(error, written, EmitInput, _refuse_repeats) from None
        try:
            given = _batch.decode(body)
        except msgspec.MsgspecError as batch_error:
            raise explained(batch_error, written, EmitBatchInput, _refuse_repeats) from None
    events = given.events if isinstance(given, EmitBatchInput) else [given]
    written = _without_long_data(written, events)
    if call.caller.tenant is None and not has_repeats(written):
        return given
    document = parse(written)
    _refuse_repeats(document)
    return call.caller.confine(given, document)


def _without_long_data(written: str, events: Sequence[EmitInput]) -> str:
    """Cut out long data, which the decoder has seen to be JSON, so that it is parsed only once."""
    if len(written) > _LONG_DATA_CHARS:
        for event in events:
            data = bytes(event.data).decode()
            # Where the same text stands twice, which is the data's cannot be told: leave it in.
            if len(data) >= _LONG_DATA_CHARS and written.count(data) == 1:
                written = written.replace(data, "0")
    return written


def _refuse_repeats(document: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Raise ``InvalidInput`` for a name that stands twice anywhere but inside ``data``."""
    events = document.get("events") if type(document) is dict else None
    if not isinstance(events, list) or "type" in document:
        _refuse_outside_data(document)
        return
    for index, event in enumerate(events):
        _refuse_outside_data(event, f"/events/{index}")


def _refuse_outside_data(event: Any, pointer: str = "") -> None:  # noqa: ANN401 - whatever JSON can hold
    if isinstance(event, dict) and not isinstance(event, RepeatedName):
        event = {name: value for name, value in event.items() if name != "data"}
    refuse_repeats(event, pointer)


def _event(given: EmitInput, key: str | None) -> WebhookEvent:
    return WebhookEvent(
        type=given.type,
        data=given.data,
        id=given.id,
        tenant=given.tenant,
        timestamp=given.timestamp,
        metadata={} if given.metadata is UNSET else given.metadata,
        version=given.version,
        idempotency_key=key,
        ordering_key=given.ordering_key,
    )


def _key_header(call: Call) -> str | None:
    raw = call.headers.get(_RAW_KEY_HEADER)
    if raw is None:
        return None
    key = raw.decode("latin-1")
    if problem := key_problem(key):
        raise InvalidInput.at(KEY_HEADER, problem)
    if sum(name == _RAW_KEY_HEADER for name, _ in call.raw_headers) > 1:
        raise InvalidInput.at(KEY_HEADER, "Stands twice among the headers; keep one.")
    return key


def _agreed(given: EmitInput, key: str, pointer: str) -> str:
    """Return the key that the header gives an event, unless the event says otherwise itself."""
    if given.id is not None:
        raise InvalidInput.at(f"{pointer}/id", f"Give an id or the {KEY_HEADER} header, not both.")
    if given.idempotency_key not in {None, key}:
        raise InvalidInput.at(
            f"{pointer}/idempotency_key", f"Differs from the {KEY_HEADER} header; give one of them."
        )
    if len(key) > NAME_CHARS_MAX:
        raise InvalidInput.at(
            KEY_HEADER, f"Has at most {NAME_CHARS_MAX} characters, a batch's :index included."
        )
    return key


def _at_names(error: Conflict, prefix: str, events: Sequence[WebhookEvent]) -> Conflict:
    """Let the pointers of a conflict name the field, that of the name where they name none."""
    moved = []
    for found in error.errors:
        place = found.pointer if prefix else f"/0{found.pointer}"
        _, index, *fields = place.split("/")
        if not index.isdigit() or int(index) >= len(events):
            return error
        pointer = f"{prefix}{found.pointer}"
        if not fields:
            pointer += "/id" if events[int(index)].id is not None else "/idempotency_key"
        moved.append(FieldError(pointer, found.detail))
    if not moved:
        return error
    return Conflict(f"{moved[0].pointer}: {moved[0].detail}", moved)


OPERATION = Operation(
    method="POST",
    path="/v1/events",
    name="emit",
    scope=Scope.EMIT,
    summary="Emit one event, or a batch",
    description=(
        "Accepted means stored: every endpoint that is subscribed at this moment gets it, or "
        "its delivery ends in a state that says why not. A batch is accepted as a whole or not "
        "at all. Repeating a call with the same id or key is safe: what was accepted before is "
        "answered as the first time, with duplicate true; other content under the same name is "
        "a conflict. With the header on a batch, event i has the key header:i."
    ),
    handler=emit,
    body=(EmitInput, EmitBatchInput),
    headers={KEY_HEADER: "Makes repeating the call safe; 1 to 256 visible ASCII characters."},
    status=202,
    answer=(Accepted, AcceptedBatch),
    answer_description="Stored, and on its way.",
    problems=(CONFLICT,),
    example='{"type": "message.sent", "data": {"to": "+15550100"}}',
)
