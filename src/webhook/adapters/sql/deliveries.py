"""``WebhookDeliveryStore`` over D1 and SQLite: accept, claim, settle, and what an operator asks."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from webhook.adapters.sql import (
    ordering_statements,
    payload_statements,
    read_statements,
    recovery_statements,
    settle_statements,
    statements,
    sweep_statements,
)
from webhook.adapters.sql.chunks import json_chunks
from webhook.adapters.sql.database import (
    ConstraintFailed,
    Database,
    Parameter,
    Row,
    Statement,
)
from webhook.adapters.sql.lists import DeliveryLists
from webhook.adapters.sql.payload_sweep import PayloadSweep
from webhook.adapters.sql.refused import refusal_of
from webhook.adapters.sql.rows import (
    event_row,
    read_claimed,
    read_first_claimed,
    read_gates,
    read_notice,
    settlement_row,
    to_json,
)
from webhook.adapters.sql.sealing import Sealing
from webhook.domain.errors import Conflict, SecretsLocked
from webhook.domain.health import ERROR_AFTER_MS
from webhook.domain.ids import DeliveryRef, endpoint_of_lane, key_floor, lane_of
from webhook.domain.lifecycle import Settlement
from webhook.domain.model import PENDING_STATES, Delivery, DeliveryState, Endpoint, NewEvent
from webhook.domain.notice import Notice
from webhook.ports import (
    NOTICES_MAX,
    SWEEP_AHEAD_MS,
    AcceptedEvent,
    AcceptResult,
    Claim,
    ClaimRequest,
    FirstAttempts,
    Overdue,
    Settled,
    SweepReport,
)

DUE_ROWS_MAX = 200
_LANES_SPARE = 50
_SWEEP_TENANTS = 100
_SUCCESS = DeliveryState.SUCCESS
# What a settle notes comes back with these.
_NOTING = (
    settle_statements.DISABLE,
    settle_statements.FORGET_FAILURES,
    settle_statements.NOTE_EXHAUSTED,
)


class SqlDeliveryStore(DeliveryLists):
    """Keeps events and deliveries; see ``WebhookDeliveryStore``.

    ``joint`` says that the endpoints are in the same database, so that an accept may match them.
    """

    def __init__(
        self, database: Database, *, joint: bool = False, sealing: Sealing | None = None
    ) -> None:
        super().__init__(database)
        self._joint = joint
        self._sealing = sealing or Sealing()
        self._payload_sweep = PayloadSweep()

    async def accept(
        self,
        events: Sequence[NewEvent],
        first: FirstAttempts,
        now: int,
        targets: Sequence[Sequence[str]] | None = None,
    ) -> AcceptResult:
        """Store events and deliveries in one round trip of at most seven statements.

        One is for names, one for events with an ordering key; where there are none, it is left out.
        """
        if targets is None and not self._joint:
            raise ValueError("No endpoints are kept here: match the events, and pass the targets.")
        at = None if self._database.own_clock else now
        rows = [
            event_row(e, None if targets is None else list(targets[i]))
            for i, e in enumerate(events)
        ]
        plain, ordered = (
            _calls([event for event in events if (event.ordering_key is None) is is_plain])
            for is_plain in (True, False)
        )
        names = [
            {"tenant": e.tenant, "name": e.name, "key": e.key, "hash": e.content_hash}
            for e in events
            if e.name is not None
        ]
        batch: list[Statement] = []
        if names:
            batch.append((statements.ACCEPT_NAMES, (to_json(names),)))
        batch.extend((statements.ACCEPT_EVENTS, (chunk,)) for chunk in json_chunks(rows))
        if ordered:
            batch.append((ordering_statements.ACCEPT_ORDERED, (at, ordered)))
        ordered_place = len(batch) - 1
        if plain:
            limits = (first.limit, first.lease_ms, first.timeout_ms_max, first.timeout_ms_default)
            batch.append((statements.ACCEPT_DELIVERIES, (at, plain, *limits)))
        batch.append((statements.ACCEPT_RESULT, (_calls(events) if ordered else plain,)))
        result_place = len(batch) - 1
        if plain and first.limit:
            batch.append((statements.ACCEPT_LEASED, (at, plain, first.limit)))
        try:
            results = await self._database.batch(batch)
        except ConstraintFailed:
            raise await refusal_of(self._database, events) from None
        accepted = [
            AcceptedEvent(
                key=row["key"],
                id=row["id"] or f"evt_{row['key']}",
                delivery_count=row["delivery_count"],
                duplicate=row["key"] != event.key,
            )
            for event, row in zip(events, results[result_place], strict=True)
        ]
        by_key = {event.key: event for event in events}
        leased = [row for rows in results[result_place + 1 :] for row in rows]
        endpoints = await self._endpoints(leased)
        claimed = [
            read_first_claimed(row, by_key[row["key"]], endpoints.get(row["endpoint"]))
            for row in leased
        ]
        made = sum(e.delivery_count for e in accepted if not e.duplicate)
        # Unknown when the call is repeated; then whoever is woken finds out.
        blocked = 0
        if ordered:
            blocked = sum(row["state"] == "scheduled" for row in results[ordered_place])
        return AcceptResult(accepted, claimed, waiting=made > len(claimed) + blocked)

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease due deliveries in one round trip of three statements."""
        at = None if self._database.own_clock else request.now
        held = {lane_of(endpoint): count for endpoint, count in request.in_flight.items()}
        lanes = request.limit + _LANES_SPARE
        _, rows, [rest] = await self._database.batch(
            [
                (statements.CLAIM_DUE, (at, DUE_ROWS_MAX)),
                (
                    statements.CLAIM_READY,
                    (
                        at,
                        request.start,
                        lanes,
                        request.limit,
                        request.per_endpoint,
                        to_json(held),
                        request.lease_ms,
                        request.payload_bytes_max,
                    ),
                ),
                (statements.CLAIM_REST, (at, request.start, lanes)),
            ]
        )
        # The walk's order: beyond the start first, then round to it.
        rows = sorted(rows, key=lambda r: (r["lane"] <= request.start, r["lane"], r["key"]))
        shut, opens_at = read_gates(rest["gates"])
        endpoints = await self._endpoints(rows)
        return Claim(
            claimed=[
                read_claimed(row, request.lease_ms, endpoints.get(row["endpoint"])) for row in rows
            ],
            more=bool(rest["more"]),
            now=rest["now"],
            next_due_at=rest["next_due_at"],
            held_back=shut > 0,
            next_gate_at=opens_at,
            next_start=rows[-1]["lane"] if rows else rest["ended_at"] or request.start,
        )

    async def _endpoints(self, rows: Sequence[Row]) -> dict[str | None, Endpoint]:
        """Read the endpoints of claimed rows, each once, by their text; locked ones are left out.

        Whoever wants to send looks such a one up, and is told.
        """
        found: dict[str | None, Endpoint] = {}
        for text in dict.fromkeys(row["endpoint"] for row in rows):
            if text is None:
                continue
            with contextlib.suppress(SecretsLocked):
                found[text] = await self._sealing.open_json(text)
        return found

    async def settle(self, settlements: Sequence[Settlement]) -> Settled:
        """Apply settlements in one round trip, and what they say of their endpoints' health."""
        batch: list[Statement] = []
        failed_at = max((s.failed_at or 0 for s in settlements), default=0)
        states = {s.state for s in settlements}
        lanes = to_json(
            sorted({lane_of(s.ref.endpoint_id) for s in settlements if s.state is _SUCCESS})
        )
        for chunk in json_chunks(settlement_row(settlement) for settlement in settlements):
            if failed_at:
                given_up = (chunk, failed_at, failed_at - ERROR_AFTER_MS)
                batch.append((settle_statements.DISABLE_UNSUBSCRIBE, given_up))
                batch.append((settle_statements.DISABLE, given_up))
                batch.append((settle_statements.COUNT_FAILURES, (chunk, failed_at)))
            if _SUCCESS in states:
                batch.append((settle_statements.FORGET_FAILURES, (chunk, lanes)))
            if DeliveryState.EXHAUSTED in states:
                batch.append((settle_statements.NOTE_EXHAUSTED, (chunk,)))
            batch.append((settle_statements.SETTLE, (chunk,)))
        applied: list[DeliveryRef] = []
        notices: list[Notice] = []
        results = await self._database.batch(batch) if batch else []
        for (statement, _), rows in zip(batch, results, strict=True):
            if statement is settle_statements.SETTLE:
                applied += [DeliveryRef(endpoint_of_lane(r["lane"]), r["key"]) for r in rows]
            elif statement in _NOTING:
                notices += [read_notice(r) for r in rows if r["body"]]
        return Settled(applied, notices)

    async def forget_notices(self, ids: Sequence[str]) -> None:
        """Forget what was told, in one round trip."""
        await self._database.batch([(settle_statements.NOTICES_FORGET, (to_json(ids),))])

    async def take_start(self, endpoint_id: str, now: int, within_ms: int) -> int:
        """Take the next start of an endpoint's rate, in one round trip."""
        at = None if self._database.own_clock else now
        lane = lane_of(endpoint_id)
        taken, coming = await self._database.batch(
            [
                (statements.TAKE_START, (at, lane, within_ms)),
                (statements.NEXT_START, (at, lane)),
            ]
        )
        return next((int(row["start_in_ms"]) for row in [*taken, *coming]), 0)

    async def pause_sending(self, now: int) -> None:
        """Turn the operator's switch: no claim gives anything until it is turned back."""
        await self._database.batch([(read_statements.SENDING_PAUSE, (now,))])

    async def resume_sending(self) -> None:
        """Turn the operator's switch back."""
        await self._database.batch([(read_statements.SENDING_RESUME, ())])

    async def sending_paused_since(self) -> int | None:
        """Return since when nothing is sent, None while sending goes on."""
        [rows] = await self._database.read([(read_statements.SENDING_PAUSED, ())])
        return rows[0]["since"] if rows else None

    async def replay(self, tenant: str | None, ref: DeliveryRef, now: int) -> Delivery | None:
        """Start a new run, and read what came of it, in one round trip."""
        at = None if self._database.own_clock else now
        lane = lane_of(ref.endpoint_id)
        _, found, removed = await self._database.batch(
            [
                (read_statements.REPLAY, (at, lane, ref.key, tenant)),
                (read_statements.DELIVERY_GET, (lane, ref.key, tenant)),
                (read_statements.ENDPOINT_REMOVED, (lane,)),
            ]
        )
        delivery = self._one(found)
        if delivery is not None and removed and delivery.state not in PENDING_STATES:
            raise Conflict("The endpoint was removed; nothing can be sent to it any more.")
        if delivery is not None and delivery.payload_erased:
            raise Conflict("The event's payload was erased; nothing is left to be sent.")
        return delivery

    async def cancel(
        self, tenant: str | None, ref: DeliveryRef, now: int, reason: str
    ) -> Delivery | None:
        """End a pending delivery, and read what came of it, in one round trip."""
        lane = lane_of(ref.endpoint_id)
        _, found = await self._database.batch(
            [
                (recovery_statements.CANCEL, (lane, ref.key, tenant, now, reason)),
                (read_statements.DELIVERY_GET, (lane, ref.key, tenant)),
            ]
        )
        return self._one(found)

    async def erase_payload(self, tenant: str, key: str, now: int, reason: str) -> bool:
        """Erase an event's payload, and cancel what is pending of it, in one round trip."""
        *_, erased = await self._database.batch(
            [
                (payload_statements.ERASE_CANCEL, (tenant, key, now, reason)),
                (payload_statements.ERASE_RESPONSES, (tenant, key)),
                (payload_statements.ERASE_PAYLOAD, (tenant, key)),
            ]
        )
        return bool(erased)

    async def sweep(
        self,
        now: int,
        events_before: int,
        limit: int,
        overdue: Overdue | None = None,
        payloads_before: int | None = None,
    ) -> SweepReport:
        """Do one bounded piece of the tidying in one round trip."""
        # The sweep keeps no place in its walk: the minute decides where it begins, and goes round.
        start = key_floor(now // 60_000 * 0x9E3779B97F4A7 % (1 << 50))[:10]
        tenant, key = self._sweep_place
        old = (tenant, _SWEEP_TENANTS, key_floor(events_before), limit, key)
        lanes = (now, start, limit + _LANES_SPARE, limit)
        which: tuple[Parameter, ...] = ("", 0, "")
        if overdue is not None:
            which = (key_floor(overdue.before), overdue.before, overdue.reason)
        batch: list[Statement] = [
            (ordering_statements.SWEEP_BLOCKED, (*lanes, *which)),
            (ordering_statements.SWEEP_STOPPING, lanes),
            (sweep_statements.SWEEP_REMOVED, lanes),
            (sweep_statements.SWEEP_REST, old),
            (sweep_statements.SWEEP_OLD_DELIVERIES, old),
            (sweep_statements.SWEEP_OLD_NAMES, old),
            (sweep_statements.SWEEP_OLD_EVENTS, old),
            (sweep_statements.SWEEP_OLD_ENDPOINTS, (events_before, limit)),
            (sweep_statements.SWEEP_TENANTS, old),
            (settle_statements.NOTICES, (NOTICES_MAX,)),
        ]
        if overdue is not None:
            batch.extend(self._overdue(now, lanes, which))
        others = len(batch)
        if payloads_before is not None:
            floor = key_floor(payloads_before)
            batch.extend(self._payload_sweep.statements(old, floor, limit))
        results = await self._database.batch(batch)
        erased, due, held = 0, False, False
        if payloads_before is not None:
            erased, due, held = self._payload_sweep.read(results[others:], limit)
        blocked, released, canceled, rest, deliveries, _, events, _, tenants, notices, *waiting = (
            results[:others]
        )
        full = due or limit in (len(blocked), len(released), len(canceled), len(events))
        last = tenants[0]["last"] if tenants else None
        place = (rest[0]["tenant"], rest[0]["key"]) if rest else (last or "", "")
        if not full:
            self._sweep_place = place
        overdue_count = 0
        if waiting:
            seen, scheduled, ready = waiting
            # Where the next piece goes on; the next sweep, with all pieces done, begins anew.
            self._sweep_due_at = seen[0]["last"] if seen else 0
            overdue_count = len(scheduled) + len(ready)
            full = full or bool(seen) or len(ready) == limit
        return SweepReport(
            canceled=len(blocked) + len(canceled) + overdue_count,
            events_removed=len(events),
            deliveries_removed=len(deliveries),
            payloads_erased=erased,
            notices=[read_notice(row) for row in notices],
            more=full or held or place != ("", ""),
        )

    def _overdue(
        self, now: int, lanes: tuple[Parameter, ...], which: tuple[Parameter, ...]
    ) -> list[Statement]:
        """Return the statements that cancel what has been pending for too long."""
        scan = (self._sweep_due_at, now + SWEEP_AHEAD_MS, lanes[-1])
        return [
            (recovery_statements.SWEEP_OVERDUE_SEEN, scan),
            (recovery_statements.SWEEP_OVERDUE_SCHEDULED, (now, *scan, *which)),
            (recovery_statements.SWEEP_OVERDUE_READY, (*lanes, *which)),
        ]


def _calls(events: Sequence[NewEvent]) -> str | None:
    """Return what the statements of an accept must know of its events; None if there are none."""
    rows = [{"tenant": e.tenant, "key": e.key, "name": e.name, "size": e.size} for e in events]
    return to_json(rows) if rows else None
