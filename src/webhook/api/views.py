"""What the API shows of things, as structs: they make both the answers and their schemas."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType

from webhook.api.reasons import reason_of, waits_for
from webhook.domain.balancing import Failover
from webhook.domain.event import rfc3339
from webhook.domain.model import (
    Attempt,
    Delivery,
    DeliveryState,
    DeliveryStatus,
    Endpoint,
    EndpointStatus,
    ErrorKind,
    OrderingOnFailure,
)
from webhook.domain.retry import RetryPolicy
from webhook.domain.secret import SignatureVersion, SigningSecret
from webhook.engine.probe import ProbeResult
from webhook.engine.switch import SendingStatus
from webhook.ports import AcceptedEvent

Time = Annotated[
    str, Meta(description="RFC 3339, UTC, with ms.", extra_json_schema={"format": "date-time"})
]
PayloadErased = Annotated[
    bool, Meta(description="Whether the event's payload was erased; nothing is left to be sent.")
]
NextCursor = Annotated[
    str | None, Meta(description="Give it as ?cursor= for the next page; null at the end.")
]


class PageView[T](msgspec.Struct, frozen=True):
    """One page of a list."""

    data: list[T]
    next_cursor: NextCursor


class Accepted(msgspec.Struct, frozen=True):
    """An event that is stored and will be delivered."""

    id: str
    type: str
    tenant: str
    delivery_count: Annotated[int, Meta(description="How many endpoints receive it.")]
    duplicate: Annotated[
        bool, Meta(description="Whether it had been accepted before; then nothing new was stored.")
    ]

    @classmethod
    def of(cls, accepted: AcceptedEvent, event_type: str, tenant: str) -> Self:
        """Make the view of what became of an event."""
        return cls(accepted.id, event_type, tenant, accepted.delivery_count, accepted.duplicate)


class AcceptedBatch(msgspec.Struct, frozen=True):
    """What became of a batch, in its order."""

    events: list[Accepted]


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint does."""

    failures: Annotated[
        int,
        Meta(
            description="Attempts that failed in a row; while its circuit is open, none is counted."
        ),
    ]
    failing_since: Annotated[Time | None, Meta(description="When the first of them failed.")]
    open_until: Annotated[
        Time | None,
        Meta(description="Nothing is sent before then, and then one at a time; null if it does."),
    ]

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        """Make the view of an endpoint's health."""
        since, until = endpoint.failing_since, endpoint.open_until
        return cls(
            failures=endpoint.failures,
            failing_since=None if since is None else rfc3339(since),
            open_until=None if until is None else rfc3339(until),
        )


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver, without its secrets and the values of its headers."""

    id: str
    tenant: str
    external_id: str | None
    url: Annotated[
        str,
        Meta(
            description="Whole for callers that have the scope `manage`, since many a receiver's "
            "URL is its password; scheme and host for others."
        ),
    ]
    name: str | None
    description: str | None
    event_types: tuple[str, ...]
    filters: dict[str, tuple[str | int | float | bool, ...]]
    header_names: list[str]
    retry: RetryPolicy | None
    timeout_ms: int | None
    concurrency_max: int | None
    rate_limit_per_second: float | None
    ordering_on_failure: OrderingOnFailure
    failover: Annotated[
        Failover | None, Meta(description="Its further URLs are shown as `url` is.")
    ]
    status: EndpointStatus
    active: bool
    health: HealthView
    created_at: Time
    updated_at: Time
    signature: Annotated[
        SignatureVersion, Meta(description="How its newest secret signs: v1 is HMAC, v1a Ed25519.")
    ]
    public_key: Annotated[
        str | None, Meta(description="What its receiver verifies v1a with; null for v1.")
    ]
    secret: Annotated[
        str | UnsetType | None,
        Meta(
            description="Only when the endpoint is made, for callers that have the scope "
            "`secrets`; null for v1a, and if the service's own secret signs."
        ),
    ] = UNSET

    @classmethod
    def of(
        cls, endpoint: Endpoint, *, whole_url: bool, secret: str | UnsetType | None = UNSET
    ) -> Self:
        """Make the view of an endpoint; ``secret`` is shown when given."""
        newest = endpoint.secrets[0] if endpoint.secrets else None
        return cls(
            id=endpoint.id,
            tenant=endpoint.tenant,
            external_id=endpoint.external_id,
            url=endpoint.url if whole_url else _origin(endpoint.url),
            name=endpoint.name,
            description=endpoint.description,
            event_types=endpoint.event_types,
            filters=endpoint.filters,
            header_names=sorted(endpoint.headers),
            retry=endpoint.retry,
            timeout_ms=endpoint.timeout_ms,
            concurrency_max=endpoint.concurrency_max,
            rate_limit_per_second=endpoint.rate_limit_per_second,
            ordering_on_failure=endpoint.ordering_on_failure,
            failover=_shown_failover(endpoint.failover, whole_url=whole_url),
            status=endpoint.status,
            active=endpoint.active,
            health=HealthView.of(endpoint),
            created_at=rfc3339(endpoint.created_at),
            updated_at=rfc3339(endpoint.updated_at),
            signature=SignatureVersion.V1 if newest is None else newest.version,
            public_key=None if newest is None else newest.public_key,
            secret=secret,
        )

    def __repr__(self) -> str:
        """Hide URL and secret from logs."""
        return f"EndpointView(id={self.id!r}, tenant={self.tenant!r})"


def shown_secret(secret: SigningSecret) -> str | None:
    """Return a secret that its receiver has to know, None for a private key."""
    return None if secret.version is SignatureVersion.V1A else secret.value


def secret_of(endpoint: Endpoint) -> str | None:
    """Return the newest secret of an endpoint's own, if it may be shown."""
    return shown_secret(endpoint.secrets[0]) if endpoint.secrets else None


class EndpointPage(PageView[EndpointView], frozen=True):
    """One page of endpoints; it may be short, even empty, and still have a next one."""


class EndpointsMade(msgspec.Struct, frozen=True):
    """The endpoints that a batch made, in its order."""

    data: list[EndpointView]


class SendingView(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's switch, which holds for all tenants."""

    paused: bool
    paused_since: Time | None

    @classmethod
    def of(cls, status: SendingStatus) -> Self:
        """Make the view of the switch."""
        since = status.paused_since
        return cls(paused=status.paused, paused_since=None if since is None else rfc3339(since))


class ProbeView(msgspec.Struct, frozen=True, kw_only=True):
    """What one request to an endpoint came to."""

    endpoint_id: str
    success: bool
    latency_ms: int
    probed_at: Time
    status_code: int | None
    error_kind: ErrorKind | None
    error: Annotated[str | None, Meta(description="Why it failed, in one sentence.")]
    response: Annotated[str | None, Meta(description="The first 4 KiB of the answer.")]

    @classmethod
    def of(cls, result: ProbeResult) -> Self:
        """Make the view of a probe."""
        return cls(
            endpoint_id=result.endpoint_id,
            success=result.success,
            latency_ms=result.latency_ms,
            probed_at=rfc3339(result.probed_at),
            status_code=result.status_code,
            error_kind=result.error_kind,
            error=result.error,
            response=result.response,
        )


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request of a delivery."""

    number: int
    started_at: Time
    latency_ms: int
    status_code: int | None
    error_kind: ErrorKind | None
    error: Annotated[str | None, Meta(description="Why it failed, in one sentence.")]
    note: Annotated[str | None, Meta(description="What happened to the answer's body, if notable.")]
    manual: Annotated[bool, Meta(description="Whether it was asked for by hand.")]
    response: Annotated[
        str | UnsetType | None,
        Meta(description="The answer's first 4 KiB; left out in lists."),
    ] = UNSET

    @classmethod
    def of(cls, attempt: Attempt, *, with_response: bool) -> Self:
        """Make the view of an attempt."""
        return cls(
            number=attempt.number,
            started_at=rfc3339(attempt.started_at),
            latency_ms=attempt.latency_ms,
            status_code=attempt.status_code,
            error_kind=attempt.error_kind,
            error=attempt.error,
            note=attempt.note,
            manual=attempt.manual,
            response=attempt.response if with_response else UNSET,
        )


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint."""

    id: str
    event_id: str
    event_type: str
    endpoint_id: str
    tenant: str
    status: DeliveryStatus
    reason: Annotated[
        str | None, Meta(description="Why it stands as it does, in one sentence; null when fine.")
    ]
    attempt_count: Annotated[int, Meta(description="Requests made, over all runs.")]
    attempts: Annotated[
        list[AttemptView], Meta(description="The first 5 and the last 25, oldest first.")
    ]
    next_attempt_at: Annotated[
        Time | None, Meta(description="Null when none is to come or one is under way.")
    ]
    created_at: Time
    completed_at: Time | None
    ordering_key: str | None
    waits_for: Annotated[
        str | None,
        Meta(description="The delivery with the same ordering_key that must end first."),
    ]
    payload_erased: PayloadErased

    @classmethod
    def of(cls, delivery: Delivery, *, with_responses: bool = False) -> Self:
        """Make the view of a delivery, with the receiver's answers if asked for."""
        waits = delivery.state in {DeliveryState.READY, DeliveryState.SCHEDULED}
        return cls(
            id=delivery.id,
            event_id=delivery.event_id,
            event_type=delivery.event_type,
            endpoint_id=delivery.endpoint_id,
            tenant=delivery.tenant,
            status=delivery.status,
            reason=reason_of(delivery),
            attempt_count=delivery.attempts_made,
            attempts=[
                AttemptView.of(attempt, with_response=with_responses)
                for attempt in delivery.attempts
            ],
            next_attempt_at=_time(delivery.due_at) if waits else None,
            created_at=rfc3339(delivery.created_at),
            completed_at=_time(delivery.completed_at),
            ordering_key=delivery.ordering_key,
            waits_for=waits_for(delivery),
            payload_erased=delivery.payload_erased,
        )


class DeliveryPage(PageView[DeliveryView], frozen=True):
    """One page of deliveries; it may be short, even empty, and still have a next one."""


class Replayed(msgspec.Struct, frozen=True):
    """A delivery that is sent once more, or was still pending."""

    delivery: DeliveryView
    started: Annotated[
        bool, Meta(description="Whether a new run began; false when it was pending anyway.")
    ]


class Canceled(msgspec.Struct, frozen=True):
    """A delivery that is not sent any more, or had ended before."""

    delivery: DeliveryView
    canceled: Annotated[
        bool, Meta(description="Whether this canceled it; false when it had ended anyway.")
    ]


class Health(msgspec.Struct, frozen=True):
    """The service and its store answer."""

    status: Annotated[str, Meta(extra_json_schema={"const": "ok"})] = "ok"


def _shown_failover(failover: Failover | None, *, whole_url: bool) -> Failover | None:
    if failover is None or whole_url:
        return failover
    return msgspec.structs.replace(failover, urls=tuple(map(_origin, failover.urls)))


def _origin(url: str) -> str:
    scheme, host, *_ = urlsplit(url)
    return f"{scheme}://{host}"


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)
