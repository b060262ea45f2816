"""What goes into the stores' calls and comes out of them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from webhook.domain.event import TENANT_DEFAULT
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import Delivery, DeliveryStatus, Endpoint, EndpointStatus, ErrorKind
from webhook.domain.notice import Notice

SCAN_ROWS_MAX = 10_000
LIST_LIMIT_DEFAULT = 50
CLAIM_DUE_MAX = 200
NOTICES_MAX = 100
# What every store writes in the same words.
INTERRUPTED = "the sender stopped before it reported an outcome"
ENDPOINT_REMOVED = "the endpoint was removed"
CANCELED_BY_HAND = "canceled by hand"
PAYLOAD_ERASED = "the event's payload was erased"
# Retries that fall due so soon are looked at by a sweep, which comes round more often than that.
SWEEP_AHEAD_MS = 150_000


class Page[T](msgspec.Struct, frozen=True):
    """One page of a list. ``after`` is where the next page begins, None at the end.

    A page may be short, even empty, and still have an ``after``: a call reads a bounded number of
    rows.
    """

    items: list[T]
    after: str | None = None


class EndpointQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoints to list: one tenant's, oldest first."""

    tenant: str = TENANT_DEFAULT
    limit: int = LIST_LIMIT_DEFAULT
    after: str | None = None
    status: EndpointStatus | None = None
    external_id: str | None = None


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to list: one tenant's, newest first.

    ``since`` (inclusive) and ``until`` (exclusive) bound the accept time, which is the key's.
    """

    tenant: str = TENANT_DEFAULT
    limit: int = LIST_LIMIT_DEFAULT
    after: str | None = None
    type: str | None = None
    since: int | None = None
    until: int | None = None


class DeliveryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries to list: one tenant's, newest event first.

    ``event_key`` narrows to one event, ``endpoint_id`` to one endpoint; ``status`` is the one that
    reads, so what waits for a removed endpoint is ``canceled``; ``error_kind`` compares with the
    last attempt; ``since`` (inclusive) and ``until`` (exclusive) bound the accept time, which is
    the key's. In which order the deliveries of one event come is the store's choice.
    """

    tenant: str = TENANT_DEFAULT
    limit: int = LIST_LIMIT_DEFAULT
    after: str | None = None
    endpoint_id: str | None = None
    event_key: str | None = None
    event_type: str | None = None
    status: DeliveryStatus | None = None
    error_kind: ErrorKind | None = None
    since: int | None = None
    until: int | None = None


class FirstAttempts(msgspec.Struct, frozen=True, kw_only=True):
    """How many deliveries an accept may lease to its caller, who sends them at once.

    None while sending is paused, nor of endpoints that have a limit or keep failing, nor of events
    with an ordering key. Only active endpoints whose timeout is at most ``timeout_ms_max``; the
    service's default counts for those that have none, and where the store keeps no endpoints.
    """

    limit: int
    lease_ms: int
    timeout_ms_max: int
    timeout_ms_default: int


NO_FIRST_ATTEMPTS = FirstAttempts(limit=0, lease_ms=0, timeout_ms_max=0, timeout_ms_default=0)


class AcceptedEvent(msgspec.Struct, frozen=True):
    """What became of one event of an accept.

    ``key``, ``id`` and ``delivery_count`` are the first ones when it is a ``duplicate``.
    """

    key: str
    id: str
    delivery_count: int
    duplicate: bool


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery leased to the claimer, with what it takes to send it.

    ``endpoint`` is as it is now, None when it was removed or the store does not keep endpoints;
    ``lease_left_ms`` counts from the moment the store answered. The delivery's ``attempts`` and
    ``due_at`` may be left out. It is not to be sent before ``start_in_ms`` have passed since the
    claim was asked for: its endpoint has a rate.
    """

    delivery: Delivery
    payload: str
    lease_left_ms: int
    start_in_ms: int = 0
    endpoint: Endpoint | None = None


class AcceptResult(msgspec.Struct, frozen=True):
    """What an accept stored: one entry per event in order, and the deliveries leased to the caller.

    ``waiting`` says whether it made deliveries that are due and were not leased.
    """

    events: list[AcceptedEvent]
    claimed: list[Claimed]
    waiting: bool


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How much a claimer can take.

    At most ``limit`` deliveries and ``payload_bytes_max`` (a first delivery is always given, and
    one that does not fit ends the walk), at most ``per_endpoint`` of one endpoint less what
    ``in_flight`` says the claimer holds of it already (by endpoint id). The walk goes once over
    the endpoints' lanes in order (``lane_of``); it begins behind ``start``, any text, and wraps
    around, so that a lane which is ``start`` comes last.
    """

    now: int
    lease_ms: int
    limit: int
    per_endpoint: int
    in_flight: Mapping[str, int] = {}
    payload_bytes_max: int = 8 * 1024 * 1024
    start: str = ""


class Claim(msgspec.Struct, frozen=True):
    """What a claim took, in any order.

    ``next_start``, the last lane that gave something or else ``start``, carries the walk on. A walk
    that met many paused endpoints and nobody else may end early: then ``next_start`` is where, and
    ``more`` knows nothing of what lies behind.
    ``more`` says whether deliveries of active endpoints that are due remain, also those that
    ``per_endpoint``, ``in_flight`` or a bound held back, and it says so as long as not all that is
    due has been made ready. ``next_due_at`` is when the next one falls due or the next lease ends,
    those just given included; None when nothing waits. ``now`` is the time that the store went by;
    its clock may be another one than the claimer's.

    What an endpoint's limit or its circuit holds back is not ``more`` but ``held_back``, and what
    the operator's switch does is neither. ``next_gate_at`` is when it is worth while to claim of an
    endpoint again whose circuit is open or whose rate has no start left, the earliest of those that
    the walk met. Behind ``concurrency_max`` and behind a probe it goes on when something of the
    endpoint is settled, at no time that is known. While ``more`` holds, both may be left out.
    """

    claimed: list[Claimed]
    more: bool
    now: int
    next_due_at: int | None
    next_start: str
    held_back: bool = False
    next_gate_at: int | None = None


class Overdue(msgspec.Struct, frozen=True):
    """What has been pending since before ``before`` is to be canceled because of ``reason``."""

    before: int
    reason: str


class Settled(msgspec.Struct, frozen=True):
    """Which settlements were applied, and what they made that is to be told."""

    applied: list[DeliveryRef]
    notices: list[Notice] = []


class SweepReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece of a sweep did; ``more`` asks for another piece.

    ``notices``, at most ``NOTICES_MAX``, are to be told and were not, when the piece began.
    """

    canceled: int = 0
    events_removed: int = 0
    deliveries_removed: int = 0
    payloads_erased: int = 0
    notices: list[Notice] = []
    more: bool = False
