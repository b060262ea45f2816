"""Events and deliveries in memory: accept, claim, settle, replay, sweep.

No method awaits anything, so each is atomic: no lock is needed on one event loop.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from webhook.adapters.memory.endpoints import MemoryEndpointStore, copied
from webhook.adapters.memory.erasing import erase
from webhook.adapters.memory.gates import Gates
from webhook.adapters.memory.health import note_exhausted, note_health
from webhook.adapters.memory.lists import DeliveryLists
from webhook.adapters.memory.rows import FirstUse, Rows, StoredEvent
from webhook.adapters.memory.sweeper import Sweeper
from webhook.adapters.memory.transitions import (
    canceled,
    interrupted,
    is_claim_of,
    is_first_lease,
    replayed,
    settled,
)
from webhook.domain.errors import Conflict
from webhook.domain.ids import DeliveryRef, endpoint_of_lane, key_floor
from webhook.domain.lifecycle import Settlement
from webhook.domain.model import (
    PENDING_STATES,
    Delivery,
    DeliveryState,
    Endpoint,
    Event,
    NewEvent,
)
from webhook.ports import (
    CLAIM_DUE_MAX,
    NOTICES_MAX,
    AcceptedEvent,
    AcceptResult,
    Claim,
    Claimed,
    ClaimRequest,
    FirstAttempts,
    Overdue,
    Settled,
    SweepReport,
)

_NAME_USED = "This id or idempotency key was used before with other content; use another."
_UNMATCHED = "This store keeps no endpoints: match the events first and pass the targets."


class MemoryDeliveryStore(DeliveryLists):
    """Keeps events and deliveries; see ``WebhookDeliveryStore``.

    Given the endpoint store, it matches events by itself, claims for active endpoints only and
    disables endpoints. Alone, it relies on ``targets``.
    """

    def __init__(self, endpoints: MemoryEndpointStore | None = None) -> None:
        self._endpoints = endpoints
        super().__init__(Rows(endpoints))
        self._gates = Gates()
        self._paused_since: int | None = None
        self._sweeper = Sweeper(self._rows)

    @property
    def gates(self) -> Gates:
        """What it knows of limits, for the deletion of a tenant."""
        return self._gates

    @property
    def rows(self) -> Rows:
        """What it keeps, for the recoveries beside it."""
        return self._rows

    # --- accept -----------------------------------------------------------------------------------

    async def accept(
        self,
        events: Sequence[NewEvent],
        first: FirstAttempts,
        now: int,
        targets: Sequence[Sequence[str]] | None = None,
    ) -> AcceptResult:
        """Store events and one delivery per matching endpoint, all or nothing."""
        if self._endpoints is not None:
            for index, event in enumerate(events):
                self._endpoints.refuse_deleting(event.tenant, f"/{index}/tenant")
        names = self._first_uses(events)
        if targets is None:
            targets = [self._matching(event) for event in events]
        leases_left = first.limit
        accepted: list[AcceptedEvent] = []
        claimed: list[Claimed] = []
        waiting = False
        self._rows.names.update(names)
        for event, endpoint_ids in zip(events, targets, strict=True):
            use = None if event.name is None else names[event.tenant, event.name]
            duplicate = use is not None and use.key != event.key
            key = event.key if use is None else use.key
            if key not in self._rows.events:
                leases_left -= self._store(event, endpoint_ids, first, leases_left, now)
            row = self._rows.events[key]
            stored = row.event
            accepted.append(
                AcceptedEvent(
                    key=key,
                    id=stored.id,
                    delivery_count=len(stored.endpoint_ids) - row.late_targets,
                    duplicate=duplicate,
                )
            )
            if not duplicate:
                deliveries = self._rows.deliveries_of(stored)
                claimed += [self._claimed(d, now) for d in deliveries if is_first_lease(d, now)]
                waiting |= any(d.state is DeliveryState.READY for d in deliveries)
        return AcceptResult(events=accepted, claimed=claimed, waiting=waiting)

    def _first_uses(self, events: Sequence[NewEvent]) -> dict[tuple[str, str], FirstUse]:
        """Return the first use of each name of the call; raise if the content is another one."""
        uses: dict[tuple[str, str], FirstUse] = {}
        for index, event in enumerate(events):
            if event.name is None:
                continue
            name = (event.tenant, event.name)
            own = FirstUse(key=event.key, content_hash=event.content_hash)
            use = uses.setdefault(name, self._rows.names.get(name, own))
            if use.content_hash != event.content_hash:
                raise Conflict.at(f"/{index}", _NAME_USED)
        return uses

    def _matching(self, event: NewEvent) -> list[str]:
        if self._endpoints is None:
            raise ValueError(_UNMATCHED)
        return self._endpoints.matching(event)

    def _store(
        self,
        event: NewEvent,
        targets: Sequence[str],
        first: FirstAttempts,
        leases_left: int,
        now: int,
    ) -> int:
        """Store one event with its deliveries; return how many of them were leased."""
        endpoint_ids = tuple(dict.fromkeys(targets))
        stored = Event(
            key=event.key,
            id=event.id or f"evt_{event.key}",
            tenant=event.tenant,
            type=event.type,
            payload=event.payload,
            endpoint_ids=endpoint_ids,
            ordering_key=event.ordering_key,
        )
        self._rows.add_event(StoredEvent(event=stored, size=event.size, name=event.name))
        leased = 0
        for endpoint_id in endpoint_ids:
            lease = (
                event.ordering_key is None
                and leased < leases_left
                and self._may_be_sent_at_once(endpoint_id, first)
            )
            leased += lease
            self._rows.put_new(
                Delivery(
                    endpoint_id=endpoint_id,
                    key=event.key,
                    tenant=event.tenant,
                    event_id=stored.id,
                    event_type=event.type,
                    state=DeliveryState.LEASED if lease else DeliveryState.READY,
                    due_at=now + first.lease_ms if lease else now,
                    ordering_key=event.ordering_key,
                )
            )
        return leased

    def _may_be_sent_at_once(self, endpoint_id: str, first: FirstAttempts) -> bool:
        if self._paused_since is not None:
            return False
        timeout_ms = None
        if self._endpoints is not None:
            endpoint = self._endpoints.find(None, endpoint_id)
            if endpoint is not None and endpoint.gated:
                return False
            if self._rows.is_gone(endpoint_id) or not (endpoint is None or endpoint.active):
                return False
            timeout_ms = None if endpoint is None else endpoint.timeout_ms
        if timeout_ms is None:
            timeout_ms = first.timeout_ms_default
        return timeout_ms <= first.timeout_ms_max

    # --- claim ------------------------------------------------------------------------------------

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease due deliveries to the caller; each to one claimer only."""
        self._make_due_ready(request.now)
        claimed, next_start = self._take(request)
        next_due = self._rows.waiting.first()
        next_due_at = None if next_due is None else next_due[0]
        due = next_due_at is not None and next_due_at <= request.now
        ready, shut, gate_at = self._gates_of_ready(request.now)
        more = self._paused_since is None and (ready or due)
        return Claim(
            claimed=claimed,
            more=more,
            now=request.now,
            next_due_at=next_due_at,
            next_start=next_start,
            held_back=not more and shut,
            next_gate_at=None if more else gate_at,
        )

    def _gates_of_ready(self, now: int) -> tuple[bool, bool, int | None]:
        """Say whether some lane can give something, whether gates are shut, when one opens."""
        opening: list[int | None] = []
        for lane in self._rows.open_lanes.around(""):
            endpoint = self._endpoint(endpoint_of_lane(lane))
            if self._gates.room(endpoint, now) > 0:
                return True, False, None
            if endpoint is not None and self._paused_since is None:
                opening.append(self._gates.opens_at(endpoint, now))
        return False, bool(opening), min(filter(None, opening), default=None)

    def _endpoint(self, endpoint_id: str) -> Endpoint | None:
        return self._endpoints.find(None, endpoint_id) if self._endpoints else None

    def _make_due_ready(self, now: int) -> None:
        for _ in range(CLAIM_DUE_MAX):
            first = self._rows.waiting.first()
            if first is None or first[0] > now:
                return
            delivery = self._rows.deliveries[first[1]]
            if delivery.state is DeliveryState.LEASED:
                delivery = interrupted(delivery)
                self._gates.release(delivery.ref)
            self._rows.put(msgspec.structs.replace(delivery, state=DeliveryState.READY))

    def _take(self, request: ClaimRequest) -> tuple[list[Claimed], str]:
        claimed: list[Claimed] = []
        payloads: set[str] = set()
        bytes_left = request.payload_bytes_max
        next_start = request.start
        if self._paused_since is not None:
            return claimed, next_start
        for lane in self._rows.open_lanes.around(request.start):
            endpoint_id = endpoint_of_lane(lane)
            endpoint = self._endpoint(endpoint_id)
            free = request.per_endpoint - request.in_flight.get(endpoint_id, 0)
            free = min(free, self._gates.room(endpoint, request.now))
            starts = self._gates.starts(endpoint, request.now)
            for _ in range(min(free, request.limit - len(claimed))):
                delivery = self._rows.oldest_ready(endpoint_id)
                if delivery is None:
                    break
                if delivery.key not in payloads:
                    bytes_left -= self._rows.events[delivery.key].size
                    if bytes_left < 0 and claimed:
                        return claimed, next_start
                    payloads.add(delivery.key)
                start_at = next(starts)
                leased = msgspec.structs.replace(
                    delivery,
                    state=DeliveryState.LEASED,
                    claim=delivery.claim + 1,
                    due_at=start_at + request.lease_ms,
                )
                self._rows.put(leased)
                self._gates.take(endpoint, leased.ref, start_at, start_at + request.lease_ms)
                claimed.append(self._claimed(leased, request.now, start_at - request.now))
                next_start = lane
            if len(claimed) == request.limit:
                break
        return claimed, next_start

    def _claimed(self, delivery: Delivery, now: int, start_in_ms: int = 0) -> Claimed:
        endpoint = self._endpoint(delivery.endpoint_id)
        return Claimed(
            delivery=delivery,
            payload=self._rows.events[delivery.key].event.payload,
            lease_left_ms=(delivery.due_at or now) - now,
            start_in_ms=start_in_ms,
            endpoint=None if endpoint is None else copied(endpoint),
        )

    # --- settle, replay, cancel -------------------------------------------------------------------

    async def settle(self, settlements: Sequence[Settlement]) -> Settled:
        """Apply settlements to the claims they name; say which were applied."""
        applied: list[Settlement] = []
        drained = self._rows.drained(settlement.ref.endpoint_id for settlement in settlements)
        for settlement in settlements:
            delivery = self._rows.deliveries.get(settlement.ref)
            if delivery is None or not is_claim_of(settlement, delivery):
                continue
            self._rows.put(settled(delivery, settlement))
            self._gates.release(settlement.ref)
            applied.append(settlement)
        notices = note_exhausted(self._rows, applied)
        if self._endpoints is not None:
            notices += note_health(self._rows, self._endpoints, settlements, applied, drained)
        return Settled([settlement.ref for settlement in applied], notices)

    async def forget_notices(self, ids: Sequence[str]) -> None:
        """Forget what was told."""
        for notice_id in ids:
            self._rows.notices.pop(notice_id, None)

    async def take_start(self, endpoint_id: str, now: int, within_ms: int) -> int:
        """Take the next start of an endpoint's rate, if it comes in time; say when it comes."""
        endpoint = self._endpoint(endpoint_id)
        if endpoint is None:
            return 0
        start_in_ms = self._gates.next_start_at(endpoint, now) - now
        if start_in_ms <= within_ms:
            self._gates.note_start(endpoint, now + start_in_ms)
        return start_in_ms

    async def pause_sending(self, now: int) -> None:
        """Turn the operator's switch."""
        if self._paused_since is None:
            self._paused_since = now

    async def resume_sending(self) -> None:
        """Turn the operator's switch back."""
        self._paused_since = None

    async def sending_paused_since(self) -> int | None:
        """Return since when nothing is leased, None while sending goes on."""
        return self._paused_since

    async def replay(self, tenant: str | None, ref: DeliveryRef, now: int) -> Delivery | None:
        """Start a new run of a finished delivery and return it; None when unknown."""
        delivery = self._rows.deliveries.get(ref)
        if delivery is None or tenant not in (None, delivery.tenant):
            return None
        if self._rows.is_gone(ref.endpoint_id):
            raise Conflict("The endpoint of this delivery was removed.")
        if delivery.state in PENDING_STATES:
            return self._rows.seen(delivery)
        if delivery.payload_erased:
            raise Conflict("The event's payload was erased; nothing is left to be sent.")
        delivery = replayed(delivery, now)
        self._rows.put(delivery)
        return delivery

    async def cancel(
        self, tenant: str | None, ref: DeliveryRef, now: int, reason: str
    ) -> Delivery | None:
        """End a pending delivery and return it; None when unknown."""
        seen = await self.get_delivery(tenant, ref)
        if seen is None or not (seen.state in PENDING_STATES or seen.stops):
            return seen
        delivery = canceled(self._rows.deliveries[ref], now, reason)
        self._rows.put(delivery)
        self._gates.release(ref)
        return delivery

    async def erase_payload(self, tenant: str, key: str, now: int, reason: str) -> bool:
        """Erase an event's payload, and cancel what is pending of it."""
        return erase(self._rows, self._gates, tenant, key, now=now, reason=reason)

    # --- sweep ------------------------------------------------------------------------------------

    async def sweep(
        self,
        now: int,
        events_before: int,
        limit: int,
        overdue: Overdue | None = None,
        payloads_before: int | None = None,
    ) -> SweepReport:
        """Do one bounded piece of the tidying."""
        written = self._sweeper.cancel_removed(limit)
        if overdue is not None:
            written += self._sweeper.cancel_overdue(overdue, now, limit - written)
        released = self._rows.release_stopping(limit)
        events_removed, deliveries_removed, at_end = self._sweeper.remove_old(
            key_floor(events_before), limit - written
        )
        erased, none_left = 0, True
        if payloads_before is not None:
            erased, none_left = self._sweeper.erase_payloads(key_floor(payloads_before), limit)
        return SweepReport(
            canceled=written,
            events_removed=events_removed,
            deliveries_removed=deliveries_removed,
            payloads_erased=erased,
            notices=[*itertools.islice(self._rows.notices.values(), NOTICES_MAX)],
            more=bool(self._rows.removals)
            or limit in (written, released)
            or not (at_end and none_left),
        )
