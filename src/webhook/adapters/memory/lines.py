"""Where deliveries of one ordering key stand in line, endpoint by endpoint, in memory."""

from __future__ import annotations

from itertools import count

from webhook.adapters.memory.ordered import Agenda
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import Delivery


class Lines:
    """One line per endpoint and ordering key; the first of it is the only one that may be due."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], Agenda[int, str]] = {}
        self._places: dict[DeliveryRef, tuple[str, str]] = {}
        self._numbers = count(1)

    def __contains__(self, ref: DeliveryRef) -> bool:
        return ref in self._places

    def join(self, delivery: Delivery) -> bool:
        """Put a new delivery at the end of its line; return whether others stand before it."""
        if delivery.ordering_key is None:
            return False
        place = (delivery.endpoint_id, delivery.ordering_key)
        line = self._lines.setdefault(place, Agenda())
        waits = bool(line)
        line.put(delivery.key, next(self._numbers))
        self._places[delivery.ref] = place
        return waits

    def first(self, ref: DeliveryRef) -> DeliveryRef:
        """Return the first of the line that a delivery stands in."""
        first = self._lines[self._places[ref]].first()
        return ref if first is None else DeliveryRef(ref.endpoint_id, first[1])

    def leave(self, ref: DeliveryRef) -> DeliveryRef | None:
        """Take a delivery out of its line; return who is the first then, None if nobody is."""
        place = self._places.pop(ref)
        line = self._lines[place]
        line.drop(ref.key)
        first = line.first()
        if first is None:
            del self._lines[place]
            return None
        return DeliveryRef(ref.endpoint_id, first[1])
