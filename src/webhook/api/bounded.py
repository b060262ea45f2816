"""A mapping that forgets the one that was used longest ago, so that strangers cannot fill it."""

from __future__ import annotations

from collections import OrderedDict


class Bounded[K, V]:
    """Holds at most ``size`` values."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return a value, None if it is not there."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: K, value: V) -> None:
        """Put a value in the place of what was there."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)
