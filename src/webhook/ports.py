"""The ports: what the engine asks of stores, senders, queues, clocks and chance.

The docstrings are the contract; the suite in ``tests/contract`` holds every store to them. All
times are integer epoch ms, all sizes bytes. A store raises ``StoreUnavailable`` when it cannot
answer or cannot know whether a write took place; every write here may then be repeated unchanged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from webhook.domain.event import TENANT_DEFAULT
from webhook.domain.ids import DeliveryRef
from webhook.domain.lifecycle import Settlement
from webhook.domain.model import (
    Delivery,
    DeliveryStatus,
    Endpoint,
    EndpointStatus,
    ErrorKind,
    Event,
    NewEvent,
    Outcome,
)

# Most rows that a list or a sweep reads in one call, and most deliveries that a claim makes ready.
SCAN_ROWS_MAX = 10_000
LIST_LIMIT_DEFAULT = 50
CLAIM_DUE_MAX = 200
# What every store writes in the same words.
INTERRUPTED = "the sender stopped before it reported an outcome"
ENDPOINT_REMOVED = "the endpoint was removed"


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

    Only active endpoints whose timeout is at most ``timeout_ms_max``; the service's default counts
    for those that have none, and where the store keeps no endpoints.
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

    ``endpoint`` is as it is now, None when the store does not keep endpoints; ``lease_left_ms``
    counts from the moment the store answered. The delivery's ``attempts`` and ``due_at`` may be
    left out.
    """

    delivery: Delivery
    payload: str
    lease_left_ms: int
    endpoint: Endpoint | None = None


class AcceptResult(msgspec.Struct, frozen=True):
    """What an accept stored: one entry per event in order, and the deliveries leased to the caller.

    ``waiting`` says whether it made deliveries that were not leased.
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

    ``next_start``, the last lane that gave something or else ``start``, carries the walk on.
    ``more`` says whether deliveries of active endpoints that are due remain, also those that
    ``per_endpoint``, ``in_flight`` or a bound held back, and it says so as long as not all that is
    due has been made ready; ``next_due_at`` is when the next one falls due or the next lease ends,
    those just given included; None when nothing waits.
    """

    claimed: list[Claimed]
    more: bool
    next_due_at: int | None
    next_start: str


class SweepReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece of a sweep did; ``more`` asks for another piece."""

    canceled: int = 0
    events_removed: int = 0
    deliveries_removed: int = 0
    more: bool = False


class WebhookEndpointStore(Protocol):
    """Keeps endpoints. ``tenant`` None means any tenant."""

    async def add(self, endpoints: Sequence[Endpoint]) -> None:
        """Add all of them or none. One that is there with the same id already is left as it is.

        Raises ``Conflict`` with the pointer ``/{index}/external_id`` when an external id is taken
        in its tenant, by a stored endpoint or an earlier one of the call.
        """
        ...

    async def update(self, endpoint: Endpoint) -> None:
        """Replace the endpoint whose stored revision is ``endpoint.revision - 1``.

        Raises ``Conflict`` when the stored revision is another one or, with the pointer
        ``/external_id``, when the external id is taken; ``NotFound`` when its tenant has no such
        endpoint. An update that is stored already, word for word, is a repeat: nothing changes.
        """
        ...

    async def remove(self, tenant: str | None, endpoint_id: str, now: int) -> bool:
        """Remove an endpoint at once; False when there was none.

        It is not listed, matched, claimed or got any more, its external id is free, and its
        pending deliveries read as ``canceled`` at ``now``, because of ``ENDPOINT_REMOVED``. The
        sweep writes that in pieces, and reads as before.
        """
        ...

    async def get(self, tenant: str | None, endpoint_id: str) -> Endpoint | None:
        """Return one endpoint, or None."""
        ...

    async def get_many(self, endpoint_ids: Sequence[str]) -> list[Endpoint]:
        """Return those that exist, of any tenant, in any order."""
        ...

    async def match(self, events: Sequence[NewEvent]) -> list[list[str]]:
        """Return for each event the ids of the active endpoints of its tenant that receive it."""
        ...

    async def list(self, query: EndpointQuery) -> Page[Endpoint]:
        """Return endpoints, oldest first."""
        ...


class WebhookDeliveryStore(Protocol):
    """Keeps events and deliveries, the truth that no queue message can lose."""

    async def accept(
        self,
        events: Sequence[NewEvent],
        first: FirstAttempts,
        now: int,
        targets: Sequence[Sequence[str]] | None = None,
    ) -> AcceptResult:
        """Store events and one delivery per matching endpoint, all or nothing, in one round trip.

        ``targets`` gives the endpoints' ids per event, each counted once; None lets a store that
        keeps endpoints too match them itself, and is a ``ValueError`` elsewhere. An event whose
        ``name`` its tenant has used already with the same ``content_hash`` is a duplicate: nothing
        is stored, the first answer is given. Raises ``Conflict`` with the pointer ``/{index}`` when
        the content differs, also within the call. The first ``first.limit`` deliveries that may be
        sent at once come back leased (claim 1) until ``now + first.lease_ms``, the others are
        ready. Repeating the call with the same keys stores nothing twice and is no duplicate; it
        returns what is still leased with claim 1.
        """
        ...

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease due deliveries to the caller; each to one claimer only.

        First what was scheduled for ``now`` or earlier, and leases that have ended by then (at the
        very ms), become ready, at most ``CLAIM_DUE_MAX`` a claim, the longest overdue first. An
        ended lease raises ``interruptions`` and is noted among the attempts: the number of the next
        one, started at the lease's end, ``interrupted``, with the text ``INTERRUPTED``; no attempt
        is counted. Then ready deliveries of active endpoints are taken, oldest event first within
        an endpoint, lane by lane from ``start``. Each claim raises the claim number. An endpoint
        that is not known where endpoints are kept elsewhere counts as active.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[DeliveryRef]:
        """Apply settlements, all in one atomic write; return those that were applied.

        One is applied only if the delivery's claim number and attempt count are still those it
        names and the delivery is leased, or ready because its lease ended (ready and
        ``interruptions`` above 0). Others change nothing and raise nothing, nor does an unknown
        delivery. An attempt is counted and added to the log, which keeps the first
        ``ATTEMPTS_FIRST_KEPT`` and the last ``ATTEMPTS_LAST_KEPT`` entries. ``interruptions``
        becomes 0, except when the delivery is given back without an attempt. ``disable_endpoint``
        sets an active endpoint to ``error`` (its revision rises), where the store keeps endpoints.
        While its endpoint is removed and the sweep has not come yet, a delivery can still be
        settled: what was delivered was delivered.
        """
        ...

    async def replay(self, tenant: str | None, ref: DeliveryRef, now: int) -> Delivery | None:
        """Start a new run of a finished delivery and return it, ready; None when unknown.

        A pending delivery is returned unchanged (its state tells). The claim number, the attempts
        and their count stay; ``run_start`` becomes that count, ``due_at`` is ``now``,
        ``interruptions`` is 0, ``reason`` and ``completed_at`` go. Raises ``Conflict`` when the
        endpoint was removed, where the store keeps endpoints.
        """
        ...

    async def get_event(self, tenant: str, event_id: str) -> Event | None:
        """Return one event by its id: a caller's own, of any form, or else ours."""
        ...

    async def list_events(self, query: EventQuery) -> Page[Event]:
        """Return events, newest first."""
        ...

    async def get_delivery(self, tenant: str | None, ref: DeliveryRef) -> Delivery | None:
        """Return one delivery with its attempts, or None."""
        ...

    async def list_deliveries(self, query: DeliveryQuery) -> Page[Delivery]:
        """Return deliveries, newest event first."""
        ...

    async def sweep(self, now: int, events_before: int, limit: int) -> SweepReport:
        """Do one bounded piece of the tidying, safe beside another sweep.

        Write down as canceled what waits for a removed endpoint (what is scheduled or leased there
        may be left until it is due); remove events accepted before ``events_before`` with their
        deliveries and names, never one with a pending delivery. At most ``limit`` deliveries are
        canceled and at most ``limit`` events removed. Calls while ``more`` holds come to an end,
        and nothing is left to do then.
        """
        ...


class WebhookPersistence(msgspec.Struct, kw_only=True):
    """The two stores, and how to open and close what is behind them.

    ``joint`` says that both keep their rows in one place, so that an accept needs no match first.
    """

    endpoint_store: WebhookEndpointStore
    delivery_store: WebhookDeliveryStore
    joint: bool = False
    init: Callable[[], Awaitable[None]] | None = None
    close: Callable[[], Awaitable[None]] | None = None


class Sender(Protocol):
    """Makes one HTTP request."""

    async def send(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_ms: int
    ) -> Outcome:
        """POST ``body`` and say what came of it; raises nothing but cancellation.

        The deadline covers connect, headers and body, and starts when the request really starts.
        The status decides as soon as the headers are in: 2xx is success, whatever the body does
        afterwards (noted). Redirects are never followed. At most ``RESPONSE_BYTES_MAX`` bytes of
        the response are kept and little more is read.
        """
        ...

    async def close(self) -> None:
        """Free its connections."""
        ...


class WakeQueue(Protocol):
    """Carries hints that deliveries are due. It may lose, double or delay them."""

    async def wake(self, delay_ms: int) -> None:
        """Ask for a claim after ``delay_ms``; raises nothing, since a hint may be lost."""
        ...


class Clock(Protocol):
    """Time."""

    def now_ms(self) -> int:
        """Return the wall clock, epoch ms."""
        ...

    def monotonic_ms(self) -> float:
        """Return ms that never go back, for measuring."""
        ...

    async def wait(self, event: WaitEvent, timeout_ms: float | None) -> bool:
        """Wait until ``event`` is set or the time is up; return whether it is set."""
        ...


class WaitEvent(Protocol):
    """What ``asyncio.Event`` offers and a virtual clock can wait for."""

    def is_set(self) -> bool:
        """Whether it is set."""
        ...

    async def wait(self) -> object:
        """Wait until it is set."""
        ...


class Chance(Protocol):
    """Randomness."""

    def random_bytes(self, count: int) -> bytes:
        """Return bytes that nobody can guess."""
        ...

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        ...
