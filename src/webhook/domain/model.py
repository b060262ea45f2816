"""Event, endpoint, delivery, attempt: what the stores keep. Times are integer epoch ms."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from webhook.domain.balancing import Failover
from webhook.domain.health import FAILURES_MAX, pace
from webhook.domain.ids import DeliveryRef, key_time_ms
from webhook.domain.retry import RetryPolicy
from webhook.domain.secret import SigningSecret

RESPONSE_BYTES_MAX = 4096
ATTEMPTS_FIRST_KEPT, ATTEMPTS_LAST_KEPT = 5, 25


class EndpointStatus(StrEnum):
    """Only an active endpoint gets new deliveries."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    SUSPENDED = "suspended"
    ERROR = "error"


class DeliveryStatus(StrEnum):
    """What a caller sees of a delivery's state."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"
    EXHAUSTED = "exhausted"
    CANCELED = "canceled"


class DeliveryState(StrEnum):
    """Where a delivery stands. The first four are ``pending``, the others are ends."""

    BLOCKED = "blocked"
    READY = "ready"
    SCHEDULED = "scheduled"
    LEASED = "leased"
    SUCCESS = "success"
    FAILED = "failed"
    EXHAUSTED = "exhausted"
    CANCELED = "canceled"

    @property
    def status(self) -> DeliveryStatus:
        """The state in a caller's words."""
        return DeliveryStatus.PENDING if self in PENDING_STATES else DeliveryStatus(self.value)


PENDING_STATES = frozenset(
    (DeliveryState.BLOCKED, DeliveryState.READY, DeliveryState.SCHEDULED, DeliveryState.LEASED)
)
DEAD_STATES = frozenset((DeliveryState.FAILED, DeliveryState.EXHAUSTED))


class OrderingOnFailure(StrEnum):
    """What becomes of an ordering key at an endpoint when a delivery of it is a dead letter.

    ``stop`` holds the later ones back until the dead letter is replayed with success or canceled.
    """

    CONTINUE = "continue"
    STOP = "stop"


class ErrorKind(StrEnum):
    """Why an attempt failed: one vocabulary for API, command line, logs and pages."""

    HTTP_STATUS = "http_status"
    TIMEOUT = "timeout"
    DNS = "dns"
    REFUSED = "refused"
    RESET = "reset"
    TLS = "tls"
    BLOCKED = "blocked"
    REDIRECT = "redirect"
    PROTOCOL = "protocol"
    NETWORK = "network"
    INTERRUPTED = "interrupted"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver. ``revision`` rises with every change and guards against lost updates.

    ``failures`` in a row, since ``failing_since``, and the end of the open circuit, ``open_until``,
    are kept by the settles and never by an update; so are its last ``good_rate`` per second and,
    while it is paced, ``paced_since``. See ``domain/health.py``.
    """

    id: str
    tenant: str
    url: str
    event_types: tuple[str, ...]
    created_at: int
    updated_at: int
    revision: int = 1
    external_id: str | None = None
    name: str | None = None
    description: str | None = None
    filters: dict[str, tuple[str | int | float | bool, ...]] = {}
    headers: dict[str, str] = {}
    secrets: tuple[SigningSecret, ...] = ()
    retry: RetryPolicy | None = None
    timeout_ms: int | None = None
    concurrency_max: int | None = None
    rate_limit_per_second: float | None = None
    ordering_on_failure: OrderingOnFailure = OrderingOnFailure.CONTINUE
    failover: Failover | None = None
    status: EndpointStatus = EndpointStatus.ACTIVE
    failures: int = 0
    failing_since: int | None = None
    open_until: int | None = None
    good_rate: float = 1.0
    paced_since: int | None = None

    @property
    def active(self) -> bool:
        """Whether new deliveries are made and pending ones are sent."""
        return self.status is EndpointStatus.ACTIVE

    @property
    def gated(self) -> bool:
        """Whether a limit or its circuit bounds what of it may be under way."""
        limited = self.concurrency_max is not None or self.rate is not None
        return limited or self.failures >= FAILURES_MAX

    @property
    def rate(self) -> float | None:
        """The starts per second that its rate limit and its pace give, None if any."""
        if self.paced_since is None:
            return self.rate_limit_per_second
        return pace(self.good_rate, self.rate_limit_per_second)

    def live_secrets(self, now: int) -> list[str]:
        """Return the secrets that sign now, newest first."""
        return [secret.value for secret in self.secrets if secret.live(now)]

    def __repr__(self) -> str:
        """Hide URL path, header values and secrets from logs and tracebacks."""
        return f"Endpoint(id={self.id!r}, tenant={self.tenant!r}, status={self.status.value!r})"


# The health of an endpoint that begins anew.
HEALTHY: dict[str, Any] = {"failures": 0, "failing_since": None, "open_until": None}


def with_health_of(endpoint: Endpoint, stored: Endpoint) -> Endpoint:
    """Return the endpoint with the health of another reading of it, to compare the rest."""
    return msgspec.structs.replace(
        endpoint,
        failures=stored.failures,
        failing_since=stored.failing_since,
        open_until=stored.open_until,
        good_rate=stored.good_rate,
        paced_since=stored.paced_since,
    )


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way into the store, everything about it worked out.

    ``payload`` is the exact JSON text every receiver gets; ``name`` is the caller's own id
    (``id:...``) or idempotency key (``key:...``), whose content ``content_hash`` compares.
    """

    key: str
    tenant: str
    type: str
    payload: str
    size: int
    patterns: list[str]
    facets: list[str]
    id: str | None = None
    name: str | None = None
    content_hash: str | None = None
    ordering_key: str | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted event. ``id`` is the caller's own or ``evt_`` + key.

    ``payload`` is "" when it was erased.
    """

    key: str
    id: str
    tenant: str
    type: str
    payload: str
    endpoint_ids: tuple[str, ...] = ()
    ordering_key: str | None = None

    @property
    def accepted_at(self) -> int:
        """When it was accepted."""
        return key_time_ms(self.key)

    @property
    def payload_erased(self) -> bool:
        """Whether its payload is gone."""
        return not self.payload


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One HTTP request of a delivery; ``error`` is one sentence, ``response`` at most 4 KiB."""

    number: int
    started_at: int
    latency_ms: int = 0
    status_code: int | None = None
    error_kind: ErrorKind | None = None
    error: str | None = None
    response: str | None = None
    note: str | None = None
    manual: bool = False


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event to one endpoint; that pair is its identity.

    ``claim`` is the fence, raised by each claim and never reset. ``attempts_made`` counts requests
    over all runs, ``run_start`` is its value when the present run began (a replay starts one).
    ``run_started_at`` is when that was, None for the first run of a delivery that the accept made;
    a claim may leave it out. ``interruptions`` counts claims in a row whose outcome nobody
    reported. ``due_at`` is when the next attempt is due, or the end of the lease while leased.

    Deliveries of one ``ordering_key`` at one endpoint stand in line; while it is blocked,
    ``waits_for`` is the key of the event whose delivery is the first of the line. ``stops`` marks a
    dead letter that holds the line up. A claim leaves both out.

    ``payload_erased`` says that nothing is left to be sent, now or by a replay.
    """

    endpoint_id: str
    key: str
    tenant: str
    event_id: str
    event_type: str
    state: DeliveryState
    claim: int = 0
    due_at: int | None = None
    attempts_made: int = 0
    run_start: int = 0
    run_started_at: int | None = None
    interruptions: int = 0
    reason: str | None = None
    completed_at: int | None = None
    attempts: tuple[Attempt, ...] = ()
    ordering_key: str | None = None
    waits_for: str | None = None
    stops: bool = False
    payload_erased: bool = False

    @property
    def ref(self) -> DeliveryRef:
        """Its identity."""
        return DeliveryRef(self.endpoint_id, self.key)

    @property
    def id(self) -> str:
        """Its public id."""
        return self.ref.id

    @property
    def status(self) -> DeliveryStatus:
        """Its state in a caller's words."""
        return self.state.status

    @property
    def untried(self) -> bool:
        """Whether its first attempt is still to come, or under way."""
        pending = self.state in (DeliveryState.READY, DeliveryState.LEASED)
        return pending and not self.attempts_made and not self.attempts

    @property
    def created_at(self) -> int:
        """When the event was accepted."""
        return key_time_ms(self.key)

    @property
    def pending_since(self) -> int:
        """When its present run began; only while it is pending does it wait since then."""
        return self.created_at if self.run_started_at is None else self.run_started_at


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one HTTP request came to, as the sender saw it."""

    started_at: int
    latency_ms: int
    status_code: int | None = None
    error_kind: ErrorKind | None = None
    error: str | None = None
    response: str | None = None
    note: str | None = None
    retry_after_ms: int | None = None


JsonObject = dict[str, Any]
