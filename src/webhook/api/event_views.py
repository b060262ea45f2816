"""What the API shows of events."""

from __future__ import annotations

from typing import Annotated, Self

import msgspec
from msgspec import Meta

from webhook.api.views import PageView, PayloadErased, Time
from webhook.domain.event import rfc3339
from webhook.domain.model import Event


class _Payload(msgspec.Struct, frozen=True):
    timestamp: str | None
    data: msgspec.Raw
    metadata: msgspec.Raw
    version: str | None


_decode_payload = msgspec.json.Decoder(_Payload).decode
_NULL = msgspec.Raw(b"null")
_ERASED = _Payload(timestamp=None, data=_NULL, metadata=_NULL, version=None)
_UNLESS_ERASED = "Null if the payload was erased, of which it is a part."


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted event."""

    id: str
    tenant: str
    type: str
    timestamp: Annotated[Time | None, Meta(description=_UNLESS_ERASED)]
    data: Annotated[
        msgspec.Raw, Meta(description="As it was sent, byte for byte; null if it was erased.")
    ]
    metadata: Annotated[
        msgspec.Raw,
        Meta(
            description="What filters look at; null if it was erased.",
            extra_json_schema={"type": ["object", "null"]},
        ),
    ]
    version: Annotated[str | None, Meta(description=_UNLESS_ERASED)]
    ordering_key: str | None
    accepted_at: Time
    delivery_count: int
    payload_erased: PayloadErased

    @classmethod
    def of(cls, event: Event) -> Self:
        """Make the view of an event out of the payload that its receivers get."""
        payload = _ERASED if event.payload_erased else _decode_payload(event.payload)
        return cls(
            id=event.id,
            tenant=event.tenant,
            type=event.type,
            timestamp=payload.timestamp,
            data=payload.data,
            metadata=payload.metadata,
            version=payload.version,
            ordering_key=event.ordering_key,
            accepted_at=rfc3339(event.accepted_at),
            delivery_count=len(event.endpoint_ids),
            payload_erased=event.payload_erased,
        )


class EventPage(PageView[EventView], frozen=True):
    """One page of events; it may be short, even empty, and still have a next one."""
