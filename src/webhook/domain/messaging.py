"""What the data of each of the twenty messaging types looks like, and whether an event's does.

Keys that a schema does not name are allowed. Descriptions and JSON Schemas come from the structs.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from webhook.domain.event_types import WebhookEventType as Type
from webhook.domain.json_text import escape

_Id = Annotated[str, Meta(min_length=1, max_length=256)]
_Text = Annotated[str, Meta(min_length=1, max_length=4096)]
_Moment = Annotated[datetime, Meta(tz=True)]


class ErrorData(msgspec.Struct, kw_only=True):
    """What went wrong, in the provider's words."""

    message: _Text
    code: _Id | None = None


class MessageData(msgspec.Struct, kw_only=True):
    """A message was handed to its provider."""

    message_id: _Id
    provider_id: _Id | None = None
    channel_id: _Id | None = None
    template_id: _Id | None = None
    to: _Id | None = None


class MessageDelivered(MessageData, kw_only=True):
    """A message arrived."""

    delivered_at: _Moment | None = None


class MessageFailed(MessageData, kw_only=True):
    """A message will not arrive."""

    error: ErrorData


class MessageClicked(MessageData, kw_only=True):
    """A link or button of a message was followed."""

    url: _Text | None = None
    button: _Id | None = None


class MessageRead(MessageData, kw_only=True):
    """A message was opened."""

    read_at: _Moment | None = None


class TemplateData(msgspec.Struct, kw_only=True):
    """A template was made, changed, approved or deleted."""

    template_id: _Id
    provider_id: _Id | None = None
    name: _Text | None = None


class TemplateRejected(TemplateData, kw_only=True):
    """A template was refused by its provider."""

    reason: _Text


class ChannelData(msgspec.Struct, kw_only=True):
    """A channel was made or verified."""

    channel_id: _Id
    provider_id: _Id | None = None
    name: _Text | None = None


class SenderNumberData(msgspec.Struct, kw_only=True):
    """A sender's number was added or verified."""

    sender_number: Annotated[str, Meta(pattern=r"^\+?[0-9-]{3,20}$")]
    provider_id: _Id | None = None


class QuotaData(msgspec.Struct, kw_only=True):
    """A quota is nearly, or wholly, used up."""

    quota: _Id
    limit: Annotated[float, Meta(ge=0)]
    used: Annotated[float, Meta(ge=0)]


class ProviderError(msgspec.Struct, kw_only=True):
    """A provider does not do what it should."""

    provider_id: _Id
    error: ErrorData


class Maintenance(msgspec.Struct, kw_only=True):
    """The system will be, or is, worked on; a probe has this type too."""

    message: _Text
    starts_at: _Moment | None = None
    ends_at: _Moment | None = None


class MetricData(msgspec.Struct, kw_only=True):
    """A metric does what it should not."""

    metric: _Id
    value: float
    threshold: float | None = None


PAYLOADS: dict[str, type[msgspec.Struct]] = {
    Type.MESSAGE_SENT: MessageData,
    Type.MESSAGE_DELIVERED: MessageDelivered,
    Type.MESSAGE_FAILED: MessageFailed,
    Type.MESSAGE_CLICKED: MessageClicked,
    Type.MESSAGE_READ: MessageRead,
    Type.TEMPLATE_CREATED: TemplateData,
    Type.TEMPLATE_APPROVED: TemplateData,
    Type.TEMPLATE_REJECTED: TemplateRejected,
    Type.TEMPLATE_UPDATED: TemplateData,
    Type.TEMPLATE_DELETED: TemplateData,
    Type.CHANNEL_CREATED: ChannelData,
    Type.CHANNEL_VERIFIED: ChannelData,
    Type.SENDER_NUMBER_ADDED: SenderNumberData,
    Type.SENDER_NUMBER_VERIFIED: SenderNumberData,
    Type.QUOTA_WARNING: QuotaData,
    Type.QUOTA_EXCEEDED: QuotaData,
    Type.PROVIDER_ERROR: ProviderError,
    Type.SYSTEM_MAINTENANCE: Maintenance,
    Type.ANOMALY_DETECTED: MetricData,
    Type.THRESHOLD_EXCEEDED: MetricData,
}
_PATH = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def payload_schema(event_type: str) -> dict[str, Any] | None:
    """Return the JSON Schema (2020-12) of a type's data, None for a type that has none."""
    kind = PAYLOADS.get(event_type)
    return None if kind is None else msgspec.json.schema(kind)


def payload_problem(event_type: str, payload: str) -> tuple[str, str] | None:
    """Return a pointer into an event and what is wrong there, None if nothing is or all is allowed.

    ``payload`` is the event's JSON text.
    """
    if event_type not in PAYLOADS:
        return None
    try:
        _decoder(event_type).decode(payload)
    except msgspec.ValidationError as error:
        text = str(error)
        at = _PATH.search(text)
        steps = _STEP.findall(at[1]) if at else []
        pointer = "".join(f"/{escape(name or index)}" for name, index in steps) or "/data"
        return pointer, f"{_PATH.sub('', text)}; see the schema of {event_type}."
    return None


@cache
def _decoder(event_type: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(msgspec.defstruct("Envelope", [("data", PAYLOADS[event_type])]))
