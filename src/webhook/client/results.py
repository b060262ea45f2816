"""What the service answers, as structs. Fields that a newer service adds are passed over.

Times are in UTC. What is one of a few words for ever is an enum; words of which a newer service may
know more, such as the kinds of errors, are texts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from webhook.domain.model import DeliveryStatus, EndpointStatus
from webhook.domain.recovery import RecoveryStatus
from webhook.domain.retry import RetryPolicy


class Page[T](msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list; it may be short, even empty, and still have a next one."""

    data: list[T]
    next_cursor: str | None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is stored and will be delivered.

    ``duplicate``: it had been accepted before, under its id or idempotency key.
    """

    id: str
    type: str
    tenant: str
    delivery_count: int
    duplicate: bool


class AcceptedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch, in its order."""

    events: list[Accepted]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted event; ``data`` and ``metadata`` are None if its payload was erased."""

    id: str
    tenant: str
    type: str
    timestamp: datetime | None
    data: Any
    metadata: dict[str, Any] | None
    version: str | None
    ordering_key: str | None
    accepted_at: datetime
    delivery_count: int
    payload_erased: bool


class Failover(msgspec.Struct, frozen=True, kw_only=True):
    """Further URLs of a receiver, and how one of them all is chosen."""

    urls: list[str]
    strategy: str
    weights: list[int] | None

    def __repr__(self) -> str:
        """Hide URLs from logs."""
        return f"Failover(strategy={self.strategy!r})"


class EndpointHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint does; while its circuit is open nothing is sent to it."""

    failures: int
    failing_since: datetime | None
    open_until: datetime | None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver. ``secret`` is there only when it was made just now."""

    id: str
    tenant: str
    external_id: str | None
    url: str
    name: str | None
    description: str | None
    event_types: list[str]
    filters: dict[str, list[str | int | float | bool]]
    header_names: list[str]
    retry: RetryPolicy | None
    timeout_ms: int | None
    concurrency_max: int | None
    rate_limit_per_second: float | None
    ordering_on_failure: str
    failover: Failover | None
    status: EndpointStatus
    active: bool
    health: EndpointHealth
    created_at: datetime
    updated_at: datetime
    signature: str
    public_key: str | None
    secret: str | None = None

    def __repr__(self) -> str:
        """Hide URL and secret from logs."""
        return f"Endpoint(id={self.id!r}, tenant={self.tenant!r}, status={self.status.value!r})"


class EndpointsMade(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoints that a batch made, in its order."""

    data: list[Endpoint]


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What one request to an endpoint came to."""

    endpoint_id: str
    success: bool
    latency_ms: int
    probed_at: datetime
    status_code: int | None
    error_kind: str | None
    error: str | None
    response: str | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request of a delivery; lists leave the receiver's ``response`` out."""

    number: int
    started_at: datetime
    latency_ms: int
    status_code: int | None
    error_kind: str | None
    error: str | None
    note: str | None
    manual: bool
    response: str | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint; ``reason`` says why it stands as it does."""

    id: str
    event_id: str
    event_type: str
    endpoint_id: str
    tenant: str
    status: DeliveryStatus
    reason: str | None
    attempt_count: int
    attempts: list[Attempt]
    next_attempt_at: datetime | None
    created_at: datetime
    completed_at: datetime | None
    ordering_key: str | None
    waits_for: str | None
    payload_erased: bool


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery, and whether a new run of it began; false when it was pending anyway."""

    delivery: Delivery
    started: bool


class Canceled(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery, and whether this canceled it; false when it had ended anyway."""

    delivery: Delivery
    canceled: bool


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """Many deliveries made again, or made at last, piece by piece."""

    id: str
    tenant: str
    kind: str
    status: RecoveryStatus
    reason: str | None
    endpoint_id: str | None
    event_type: str | None
    delivery_status: str | None
    error_kind: str | None
    since: datetime | None
    until: datetime | None
    scanned: int
    replayed: int
    made: int
    created_at: datetime
    updated_at: datetime


class RecoveryCount(msgspec.Struct, frozen=True, kw_only=True):
    """What a recovery would do; with ``more`` these are the least."""

    scanned: int
    replayed: int
    made: int
    more: bool


class RecoveryCanceled(msgspec.Struct, frozen=True, kw_only=True):
    """A recovery, and whether this stopped it; false when it had ended anyway."""

    recovery: Recovery
    canceled: bool


class LiveSecret(msgspec.Struct, frozen=True, kw_only=True):
    """One secret that signs now; of a key pair only the public half is told."""

    signature: str
    secret: str | None
    public_key: str | None
    expires_at: datetime | None

    def __repr__(self) -> str:
        """Hide the secret from logs."""
        return f"LiveSecret(signature={self.signature!r}, expires_at={self.expires_at!r})"


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver of an endpoint verifies with: the newest, and all that sign now."""

    secret: str | None
    public_key: str | None
    live: list[LiveSecret]

    def __repr__(self) -> str:
        """Hide the secret from logs."""
        return f"Secrets(live={self.live!r})"


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    """An event type that the service knows."""

    name: str
    description: str
    operational: bool
    data_schema: dict[str, Any] | None


class EventTypes(msgspec.Struct, frozen=True, kw_only=True):
    """All event types that the service knows."""

    data: list[EventType]


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's switch, which holds for all tenants."""

    paused: bool
    paused_since: datetime | None


class TenantRows(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows each table has of a tenant, counted up to 10,000."""

    endpoints: int
    subscriptions: int
    events: int
    names: int
    deliveries: int
    recoveries: int
    notices: int
    api_tokens: int
    audit_log: int
    payload_horizons: int


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of a tenant; ``deleting_since`` is None when its deletion has ended."""

    tenant: str
    rows: TenantRows
    deleting_since: datetime | None
    ends_from: datetime | None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without the token itself, which nobody keeps."""

    id: str
    name: str
    scopes: list[str]
    tenant: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A new token. This is the only time that it is shown."""

    token: str
    details: Token

    def __repr__(self) -> str:
        """Hide the token from logs."""
        return f"NewToken(details={self.details!r})"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done, by whom, to what."""

    id: str
    at: datetime
    actor: str
    action: str
    tenant: str | None
    target: str | None
    detail: str | None
    source: str | None
    request_id: str | None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The service and its store answer."""

    status: str
