"""The stores' contract; ``tests/contract`` holds every store to it, sentence by sentence.

All times are integer epoch ms, all sizes bytes. A store raises ``StoreUnavailable`` when it cannot
answer or cannot know whether a write took place; every write here may then be repeated unchanged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from webhook.domain.ids import DeliveryRef
from webhook.domain.lifecycle import Settlement
from webhook.domain.model import Delivery, Endpoint, Event, NewEvent
from webhook.ports.access import WebhookAccessStore
from webhook.ports.encryption import WebhookEncryption
from webhook.ports.outbox import WebhookOutbox
from webhook.ports.records import (
    AcceptResult,
    Claim,
    ClaimRequest,
    DeliveryQuery,
    EndpointQuery,
    EventQuery,
    FirstAttempts,
    Overdue,
    Page,
    Settled,
    SweepReport,
)
from webhook.ports.recovery import WebhookRecoveryStore
from webhook.ports.tenants import WebhookTenantStore
from webhook.ports.world import WakeQueue


class WebhookEndpointStore(Protocol):
    """Keeps endpoints. ``tenant`` None means any tenant."""

    async def add(self, endpoints: Sequence[Endpoint], tenant_max: int | None = None) -> None:
        """Add all of them or none. One that is there with the same id already is left as it is.

        Raises ``Conflict`` with the pointer ``/{index}/external_id`` when an external id is taken
        in its tenant, by a stored endpoint or an earlier one of the call; with ``/{index}/tenant``
        (``tenant_full``) of a tenant's first one when the new ones would make it more than
        ``tenant_max`` in that tenant, which holds also where two calls come at once.
        """
        ...

    async def update(self, endpoint: Endpoint) -> None:
        """Replace the endpoint whose stored revision is ``endpoint.revision - 1``.

        Raises ``Conflict`` when the stored revision is another one or, with the pointer
        ``/external_id``, when the external id is taken; ``NotFound`` when its tenant has no such
        endpoint. An update that is stored already, word for word, is a repeat: nothing changes.
        Its health stays as it is stored; where it was not active and is now, it begins anew. That
        one in ``error`` is active again is noted, where deliveries are kept too; see ``settle``.
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
        sent at once come back leased (claim 0) until ``now + first.lease_ms``, the others are
        ready. Repeating the call with the same keys stores nothing twice and is no duplicate; it
        returns what is still leased with claim 0, which nobody but an accept leases.

        With an ``ordering_key`` a delivery goes to the end of the line of that key at its endpoint:
        behind those of all accepts that returned before this one began, and those before it in the
        call, by a number that the store gives and no caller's clock. The first of a line is ready,
        never leased here; the others are ``blocked``, and neither make a claim or an accept slower
        nor count as ``waiting`` (unless the call is a repeat). Two accepts at once, or an accept
        and the end of the first, must see each other: where writers run side by side, as on
        PostgreSQL, each takes a lock of its (endpoint, key) first, in one order, and holds it until
        it has committed.
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

        Of an endpoint with a ``concurrency_max`` no more is leased than that, counting the leases
        that run and were claimed while it had a limit; of one whose circuit is open nothing, and
        once it has been open one delivery at a time. A ``rate_limit_per_second`` gives each
        delivery its start (``start_in_ms``), none closer to another than the rate's interval and
        none more than ``RATE_AHEAD_MS`` ahead; the lease then runs from that start. So does its
        pace, from when its circuit opened until a success finds nothing of it ready any more; the
        lower one counts.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> Settled:
        """Apply settlements, all in one atomic write; say which were applied.

        One is applied only if the delivery's claim number and attempt count are still those it
        names and the delivery is leased, or ready because its lease ended (ready and
        ``interruptions`` above 0; then it cannot be given back any more). Others change nothing and
        raise nothing, nor does an unknown delivery. An attempt is counted and added to the log,
        which keeps the first ``ATTEMPTS_FIRST_KEPT`` and the last ``ATTEMPTS_LAST_KEPT`` entries.
        ``interruptions`` becomes 0, except when the delivery is given back without an attempt.
        ``disable_endpoint`` sets an active endpoint to ``error`` (its revision rises), where the
        store keeps endpoints.
        There a failed attempt also counts among its active endpoint's failures in a row, which open
        its circuit and after ``ERROR_AFTER_MS`` set it to ``error``, and a success forgets them;
        see ``domain/health.py``. Of several to one endpoint in one call, a success comes last.
        While its endpoint is removed and the sweep has not come yet, a delivery can still be
        settled: what was delivered was delivered.

        Whatever ends a delivery that stands in line (a settle, ``cancel``, ``sweep``) takes it out
        and makes the first of the line ready, if it is blocked, in the same write. Only a delivery
        that ends ``failed`` or ``exhausted`` at an endpoint whose ``ordering_on_failure`` is
        ``stop`` (where the store keeps endpoints) keeps its place and holds up the line: it
        ``stops``. So it does while a replay of it is pending, until it succeeds, is canceled, or
        its endpoint stops nothing any more, which an update or else the next sweep notices.

        The same write notes what is to be told, once however often the call is repeated, and keeps
        it until it is forgotten: a delivery that became ``exhausted`` and, where the store keeps
        endpoints, one that became ``error`` or whose open circuit a success closed. What comes of
        an operational event's delivery is never noted. ``notices`` are what this call noted.
        """
        ...

    async def forget_notices(self, ids: Sequence[str]) -> None:
        """Forget notices that were told; unknown ones are none."""
        ...

    async def replay(self, tenant: str | None, ref: DeliveryRef, now: int) -> Delivery | None:
        """Start a new run of a finished delivery and return it, ready; None when unknown.

        A pending delivery is returned unchanged (its state tells). The claim number, the attempts
        and their count stay; ``run_start`` becomes that count, ``due_at`` and ``run_started_at``
        are ``now``, ``interruptions`` is 0, ``reason`` and ``completed_at`` go. It stands in no
        line and waits for none, unless it is a dead letter that stops its own. Raises ``Conflict``
        when the endpoint was removed, where the store keeps endpoints, or the payload erased.
        """
        ...

    async def cancel(
        self, tenant: str | None, ref: DeliveryRef, now: int, reason: str
    ) -> Delivery | None:
        """End a pending delivery as canceled at ``now`` and return it; None when unknown.

        So ends a dead letter that ``stops`` its line; another finished one is returned unchanged.
        An attempt that is under way may still reach the receiver; its settlement changes nothing,
        not even after a replay.
        """
        ...

    async def erase_payload(self, tenant: str, key: str, now: int, reason: str) -> bool:
        """Erase an event's payload and the responses to it; False when there is no such event.

        In the same write what is pending of it, or stops its line, ends as canceled at ``now``
        because of ``reason``; see ``cancel``. What waits for a removed endpoint is written down as
        it reads. All else stays, the name too: a repeated accept is answered as the first time.
        Afterwards nothing of the event is replayed, and no recovery finds or makes any of it.
        """
        ...

    async def take_start(self, endpoint_id: str, now: int, within_ms: int) -> int:
        """Return in how many ms the next start is that an endpoint's rate gives; 0 without a rate.

        If that is at most ``within_ms``, the start is taken and given to nobody else.
        """
        ...

    async def pause_sending(self, now: int) -> None:
        """Turn the operator's switch: no claim or accept leases anything until it is turned back.

        What is under way is settled as ever; turning it twice changes nothing.
        """
        ...

    async def resume_sending(self) -> None:
        """Turn the operator's switch back."""
        ...

    async def sending_paused_since(self) -> int | None:
        """Return since when nothing is leased, None while sending goes on."""
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

    async def sweep(
        self,
        now: int,
        events_before: int,
        limit: int,
        overdue: Overdue | None = None,
        payloads_before: int | None = None,
    ) -> SweepReport:
        """Do one bounded piece of the tidying, safe beside another sweep.

        Write down as canceled what waits for a removed endpoint (what is scheduled or leased there
        may be left until it is due). Cancel what is ``overdue``: ready, blocked, or scheduled and
        due within ``SWEEP_AHEAD_MS`` (what falls due later may be left until then), and pending
        since before ``overdue.before``, counted from the present run's beginning if a replay or a
        recovery began it, else from the accept. Remove events accepted before ``events_before``
        with their deliveries and names, never one with a delivery that is pending or ``stops`` its
        line. Erase the payloads of events accepted before ``payloads_before``, and the responses to
        them, but not of those that must not be removed: theirs go when that has changed. At most
        ``limit`` ready, blocked and scheduled deliveries each are canceled for each of the reasons,
        at most ``limit`` events removed, and the payloads erased of at most ``limit`` that are due
        and ``limit`` that had to wait. Calls while ``more`` holds come to an
        end, and nothing is left to do then. The report brings what is noted, see ``settle``,
        and was not forgotten.
        """
        ...


class WebhookPersistence(msgspec.Struct, kw_only=True):
    """The two stores, and how to open and close what is behind them.

    ``joint`` says that both keep their rows in one place, so that an accept needs no match first.
    ``recovery_store`` is an extra that lies with the deliveries, ``access_store`` one that may lie
    anywhere; without them, what needs them is refused. ``encryption`` is one that lies with the
    endpoints, ``tenant_store`` one that lies with all the others, ``outbox`` one of a persistence
    that is joint. Where several processes share the store, ``shared_wake`` makes of what wakes this
    process a queue that wakes all of them; it hears them between ``init`` and ``close``.
    """

    endpoint_store: WebhookEndpointStore
    delivery_store: WebhookDeliveryStore
    joint: bool = False
    recovery_store: WebhookRecoveryStore | None = None
    access_store: WebhookAccessStore | None = None
    tenant_store: WebhookTenantStore | None = None
    encryption: WebhookEncryption | None = None
    outbox: WebhookOutbox | None = None
    init: Callable[[], Awaitable[None]] | None = None
    close: Callable[[], Awaitable[None]] | None = None
    shared_wake: Callable[[WakeQueue], WakeQueue] | None = None
