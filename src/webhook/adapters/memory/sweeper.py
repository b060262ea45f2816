"""The pieces of a sweep in memory."""

from __future__ import annotations

from webhook.adapters.memory.erasing import forget
from webhook.adapters.memory.ordered import SortedKeys
from webhook.adapters.memory.rows import Rows, StoredEvent
from webhook.adapters.memory.transitions import canceled
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import PENDING_STATES
from webhook.ports import SCAN_ROWS_MAX, Overdue


class Sweeper:
    """Does bounded pieces, and remembers how far it came."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._swept_to = ""
        # Up to where payloads were erased; behind it only those are left that were held.
        self._horizon = ""
        self._held = SortedKeys()
        self._held_to = ""

    def cancel_overdue(self, overdue: Overdue, now: int, limit: int) -> int:
        """Cancel what has been pending for too long; return how much was written."""
        for count in range(limit):
            first = self._rows.aging.first()
            if first is None or first[0] >= overdue.before:
                return count
            stored = self._rows.deliveries[first[1]]
            seen = self._rows.seen(stored)
            pending = seen.state in PENDING_STATES
            self._rows.put(canceled(stored, now, overdue.reason) if pending else seen)
        return limit

    def cancel_removed(self, limit: int) -> int:
        """Write down as canceled what waited for removed endpoints; return how much."""
        written = scanned = 0
        for endpoint_id, done_to in list(self._rows.removals.items()):
            for key in self._rows.keys_of_endpoint[endpoint_id].after(done_to):
                if written == limit or scanned == SCAN_ROWS_MAX:
                    return written
                delivery = self._rows.deliveries[DeliveryRef(endpoint_id, key)]
                seen = self._rows.seen(delivery)
                if seen is not delivery:
                    self._rows.put(seen)
                    written += 1
                scanned += 1
                self._rows.removals[endpoint_id] = key
            del self._rows.removals[endpoint_id]
        return written

    def remove_old(self, floor: str, limit: int) -> tuple[int, int, bool]:
        """Go on where the last piece stopped, so that old pending events hold up no others."""
        events_removed = deliveries_removed = 0
        for scanned, key in enumerate(self._rows.keys.after(self._swept_to)):
            if key >= floor:
                break
            if events_removed == limit or scanned == SCAN_ROWS_MAX:
                return events_removed, deliveries_removed, False
            stored = self._rows.events[key]
            if not self._waits(stored):
                deliveries_removed += self._rows.remove_event(stored)
                events_removed += 1
                self._held.discard(key)
            self._swept_to = key
        self._swept_to = ""
        return events_removed, deliveries_removed, True

    def erase_payloads(self, floor: str, limit: int) -> tuple[int, bool]:
        """Erase what is due and what was held; return how many, and whether that was all."""
        freed, none_held = self._erase_held(floor, limit)
        erased, none_due = self._erase_due(floor, limit)
        return freed + erased, none_held and none_due

    def _erase_due(self, floor: str, limit: int) -> tuple[int, bool]:
        erased = 0
        for scanned, key in enumerate(self._rows.keys.after(self._horizon)):
            if key >= floor:
                break
            if scanned == limit:
                return erased, False
            stored = self._rows.events[key]
            if self._waits(stored):
                self._held.add(key)
            else:
                forget(self._rows, stored)
                erased += 1
            self._horizon = key
        return erased, True

    def _erase_held(self, floor: str, limit: int) -> tuple[int, bool]:
        erased = 0
        for scanned, key in enumerate(self._held.after(self._held_to)):
            if key >= floor:
                break
            if erased == limit or scanned == SCAN_ROWS_MAX:
                return erased, False
            stored = self._rows.events[key]
            if not self._waits(stored):
                forget(self._rows, stored)
                self._held.discard(key)
                erased += 1
            self._held_to = key
        self._held_to = ""
        return erased, True

    def _waits(self, stored: StoredEvent) -> bool:
        """Whether something of an event is pending, or stops an ordering key."""
        return any(
            delivery.state in PENDING_STATES or delivery.ref in self._rows.lines
            for delivery in self._rows.deliveries_of(stored.event)
        )
