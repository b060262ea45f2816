"""Recoveries in memory. No method awaits anything, so each is atomic."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec

from webhook.adapters.memory.deliveries import MemoryDeliveryStore
from webhook.adapters.memory.lists import is_wanted, walk_refs
from webhook.adapters.memory.ordered import SortedKeys
from webhook.adapters.memory.transitions import replayed
from webhook.domain.ids import KEY_MAX, DeliveryRef, key_floor
from webhook.domain.model import Delivery, DeliveryState, Event
from webhook.domain.recovery import Recovery, RecoveryKind, RecoveryStatus, Subscription
from webhook.ports import (
    DOUBLE_CLICK_MS,
    DeliveryQuery,
    Page,
    RecoveryFound,
    RecoveryQuery,
)

_ABOVE_ALL = "rcv_" + KEY_MAX + "~"


class _Metadata(msgspec.Struct):
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


_metadata_decoder = msgspec.json.Decoder(_Metadata)


class MemoryRecoveryStore:
    """Keeps recoveries and does their pieces; see ``WebhookRecoveryStore``."""

    def __init__(self, deliveries: MemoryDeliveryStore) -> None:
        self._rows = deliveries.rows
        self._recoveries: dict[str, Recovery] = {}

    async def start(self, recovery: Recovery) -> Recovery:
        """Store a new recovery, or return the one that is the same."""
        if self._rows.endpoints is not None:
            self._rows.endpoints.refuse_deleting(recovery.tenant, "/tenant")
        if recovery.id in self._recoveries:
            return self._recoveries[recovery.id]
        for other in self._recoveries.values():
            same = (other.tenant, other.fingerprint) == (recovery.tenant, recovery.fingerprint)
            just_done = (
                other.status is RecoveryStatus.DONE
                and other.created_at >= recovery.created_at - DOUBLE_CLICK_MS
            )
            if same and (other.running or just_done):
                return other
        self._recoveries[recovery.id] = recovery
        return recovery

    async def get(self, tenant: str | None, recovery_id: str) -> Recovery | None:
        """Return one recovery, or None."""
        found = self._recoveries.get(recovery_id)
        return found if found is not None and tenant in (None, found.tenant) else None

    async def running(self, limit: int) -> list[Recovery]:
        """Return running recoveries, the one that waits longest first."""
        found = [recovery for recovery in self._recoveries.values() if recovery.running]
        return sorted(found, key=lambda recovery: recovery.updated_at)[:limit]

    async def cancel(
        self, tenant: str | None, recovery_id: str, now: int, reason: str
    ) -> Recovery | None:
        """End a running recovery and return it, None when unknown."""
        found = await self.get(tenant, recovery_id)
        if found is not None and found.running:
            found = msgspec.structs.replace(
                found, status=RecoveryStatus.CANCELED, reason=reason, updated_at=now
            )
            self._recoveries[found.id] = found
        return found

    async def remove_ended(self, before: int, limit: int) -> int:
        """Forget recoveries that ended."""
        floor = "rcv_" + key_floor(before)
        old = [r.id for r in self._recoveries.values() if r.id < floor and not r.running][:limit]
        for recovery_id in old:
            del self._recoveries[recovery_id]
        return len(old)

    def ids_of(self, tenant: str) -> list[str]:
        """Return the recoveries of a tenant."""
        return [r.id for r in self._recoveries.values() if r.tenant == tenant]

    def forget(self, recovery_id: str) -> None:
        """Forget a recovery."""
        del self._recoveries[recovery_id]

    # --- looking for a piece ----------------------------------------------------------------------

    async def scan(
        self, recovery: Recovery, subscription: Subscription | None, limit: int, rows_max: int
    ) -> RecoveryFound:
        """Look on from the cursor."""
        replays: list[DeliveryRef] = []
        missed: list[str] = []
        scanned, cursor = 0, recovery.cursor
        done = True
        for ref, place in islice(self._walk(recovery), rows_max + 1):
            if scanned == rows_max or len(replays) + len(missed) == limit:
                done = False
                break
            scanned, cursor = scanned + 1, place
            delivery = self._rows.deliveries.get(ref)
            if delivery is not None and self._may_be_replayed(recovery, delivery):
                replays.append(ref)
            elif (
                delivery is None
                and subscription is not None
                and _wants(subscription, self._rows.events[ref.key].event)
            ):
                missed.append(ref.key)
        return RecoveryFound(
            replays=replays, missed=missed, scanned=scanned, cursor=cursor, done=done
        )

    def _walk(self, recovery: Recovery) -> Iterator[tuple[DeliveryRef, str]]:
        """Walk what a recovery may be about, with the cursor that stands behind each."""
        if recovery.kind is RecoveryKind.FILTER:
            for ref in walk_refs(self._rows, _query(recovery)):
                yield ref, f"{ref.key}:{ref.endpoint_id}"
            return
        endpoint_id = recovery.range.endpoint_id or ""
        since, until = recovery.range.since, recovery.range.until
        floor = "" if since is None else key_floor(since)
        ceiling = KEY_MAX + "~" if until is None else key_floor(until)
        if recovery.kind is RecoveryKind.FAILED:
            keys = self._rows.keys_of_endpoint.get(endpoint_id, SortedKeys())
        else:
            keys = self._rows.keys_of_tenant.get(recovery.tenant, SortedKeys())
        # No key lies between the floor and the floor without its last character.
        for key in keys.after(max(recovery.cursor, floor[:-1])):
            if key >= ceiling:
                return
            yield DeliveryRef(endpoint_id, key), key

    def _may_be_replayed(self, recovery: Recovery, delivery: Delivery) -> bool:
        return (
            delivery.tenant == recovery.tenant
            and delivery.status in recovery.statuses
            and not (delivery.payload_erased or self._rows.is_gone(delivery.endpoint_id))
            and (recovery.kind is not RecoveryKind.FILTER or is_wanted(delivery, _query(recovery)))
        )

    # --- doing it ---------------------------------------------------------------------------------

    async def advance(self, recovery: Recovery, found: RecoveryFound, now: int) -> Recovery:
        """Do one piece, unless somebody has done it already."""
        stored = self._recoveries.get(recovery.id)
        if stored is None:
            return recovery
        if not stored.running or stored.cursor != recovery.cursor:
            return stored
        replayed_count = made = 0
        for ref in found.replays:
            delivery = self._rows.deliveries.get(ref)
            if delivery is not None and self._may_be_replayed(recovery, delivery):
                self._rows.put(replayed(delivery, now))
                replayed_count += 1
        for key in found.missed:
            made += self._make(recovery.range.endpoint_id or "", key, now)
        stored = msgspec.structs.replace(
            stored,
            cursor=found.cursor,
            status=RecoveryStatus.DONE if found.done else RecoveryStatus.RUNNING,
            scanned=stored.scanned + found.scanned,
            replayed=stored.replayed + replayed_count,
            made=stored.made + made,
            updated_at=now,
        )
        self._recoveries[stored.id] = stored
        return stored

    def _make(self, endpoint_id: str, key: str, now: int) -> bool:
        """Make the delivery of an event that the endpoint missed; False if it cannot be."""
        stored = self._rows.events.get(key)
        ref = DeliveryRef(endpoint_id, key)
        if stored is None or ref in self._rows.deliveries or self._rows.is_gone(endpoint_id):
            return False
        if stored.event.payload_erased:
            return False
        self._rows.add_target(key, endpoint_id)
        self._rows.put_new(
            Delivery(
                endpoint_id=endpoint_id,
                key=key,
                tenant=stored.event.tenant,
                event_id=stored.event.id,
                event_type=stored.event.type,
                state=DeliveryState.READY,
                due_at=now,
                run_started_at=now,
                ordering_key=stored.event.ordering_key,
            )
        )
        return True

    # `list` hides the builtin from the annotations below it.

    async def list(self, query: RecoveryQuery) -> Page[Recovery]:
        """Return recoveries, newest first."""
        below = query.after or _ABOVE_ALL
        found = [r for r in self._recoveries.values() if r.tenant == query.tenant and r.id < below]
        found.sort(key=lambda recovery: recovery.id, reverse=True)
        items = found[: query.limit]
        return Page(items, items[-1].id if len(found) > query.limit else None)


def _query(recovery: Recovery) -> DeliveryQuery:
    asked = recovery.range
    return DeliveryQuery(
        tenant=recovery.tenant,
        after=recovery.cursor or None,
        endpoint_id=asked.endpoint_id,
        event_type=asked.event_type,
        status=asked.status,
        error_kind=asked.error_kind,
        since=asked.since,
        until=asked.until,
    )


def _wants(subscription: Subscription, event: Event) -> bool:
    if event.payload_erased or not subscription.wants_type(event.type):
        return False
    if not subscription.groups:
        return True
    metadata = _metadata_decoder.decode(event.payload).metadata
    return subscription.wants_metadata(bytes(metadata).decode())
