"""What the API shows of recoveries."""

from __future__ import annotations

from typing import Annotated, Self

import msgspec
from msgspec import Meta

from webhook.api.views import PageView, Time
from webhook.domain.event import rfc3339
from webhook.domain.model import DeliveryStatus, ErrorKind
from webhook.domain.recovery import Recovery, RecoveryCount, RecoveryKind, RecoveryStatus


class RecoveryView(msgspec.Struct, frozen=True, kw_only=True):
    """Many deliveries made again, or made at last, piece by piece."""

    id: str
    tenant: str
    kind: RecoveryKind
    status: RecoveryStatus
    reason: Annotated[str | None, Meta(description="Why it was canceled; else null.")]
    endpoint_id: str | None
    event_type: str | None
    delivery_status: DeliveryStatus | None
    error_kind: ErrorKind | None
    since: Annotated[Time | None, Meta(description="Events accepted at this time or later.")]
    until: Annotated[Time | None, Meta(description="Events accepted before this time.")]
    scanned: Annotated[int, Meta(description="Events or deliveries looked at so far.")]
    replayed: Annotated[int, Meta(description="Finished deliveries that got a new run.")]
    made: Annotated[int, Meta(description="Deliveries made of events that were missed.")]
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, recovery: Recovery) -> Self:
        """Make the view of a recovery."""
        asked = recovery.range
        return cls(
            id=recovery.id,
            tenant=recovery.tenant,
            kind=recovery.kind,
            status=recovery.status,
            reason=recovery.reason,
            endpoint_id=asked.endpoint_id,
            event_type=asked.event_type,
            delivery_status=asked.status,
            error_kind=asked.error_kind,
            since=None if asked.since is None else rfc3339(asked.since),
            until=None if asked.until is None else rfc3339(asked.until),
            scanned=recovery.scanned,
            replayed=recovery.replayed,
            made=recovery.made,
            created_at=rfc3339(recovery.created_at),
            updated_at=rfc3339(recovery.updated_at),
        )


class RecoveryCountView(msgspec.Struct, frozen=True, kw_only=True):
    """What a recovery would do; nothing was done."""

    scanned: Annotated[int, Meta(description="Events or deliveries looked at.")]
    replayed: Annotated[int, Meta(description="Finished deliveries that would get a new run.")]
    made: Annotated[int, Meta(description="Deliveries that would be made of missed events.")]
    more: Annotated[
        bool,
        Meta(description="Whether counting stopped at its bound, so that these are the least."),
    ]

    @classmethod
    def of(cls, count: RecoveryCount) -> Self:
        """Make the view of a count."""
        return cls(scanned=count.scanned, replayed=count.replayed, made=count.made, more=count.more)


class RecoveryCanceled(msgspec.Struct, frozen=True):
    """A recovery that was stopped, or had ended before."""

    recovery: RecoveryView
    canceled: Annotated[
        bool, Meta(description="Whether this stopped it; false when it had ended anyway.")
    ]


class RecoveryPage(PageView[RecoveryView], frozen=True):
    """One page of recoveries."""
