"""The pieces of a sweep in memory."""

from __future__ import annotations

from webhook.adapters.memory.rows import Rows
from webhook.adapters.memory.transitions import canceled
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import PENDING_STATES, Delivery
from webhook.ports import SCAN_ROWS_MAX, Overdue


class Sweeper:
    """Does bounded pieces, and remembers how far it came."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._swept_to = ""

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
            if not any(map(self._keeps_its_event, self._rows.deliveries_of(stored.event))):
                deliveries_removed += self._rows.remove_event(stored)
                events_removed += 1
            self._swept_to = key
        self._swept_to = ""
        return events_removed, deliveries_removed, True

    def _keeps_its_event(self, delivery: Delivery) -> bool:
        """Whether it is pending, or stops an ordering key."""
        return delivery.state in PENDING_STATES or delivery.ref in self._rows.lines
