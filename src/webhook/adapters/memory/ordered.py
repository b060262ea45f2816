"""Two collections that stay fast when much comes and goes: both forget lazily.

What is taken out stays where it lies until it is met, or until half of all is dead; then what lives
is copied. So every operation costs O(log n), spread over all of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from webhook.domain.ids import DeliveryRef

_SPARE = 64  # Below this many dead entries a copy is not worth its while.


class SortedKeys:
    """A set of texts in order. Most come in rising order, which makes adding one an append."""

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._live: set[str] = set()

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, key: str) -> bool:
        return key in self._live

    def add(self, key: str) -> None:
        """Put ``key`` in, unless it is there."""
        if key in self._live:
            return
        self._live.add(key)
        if not self._keys or key > self._keys[-1]:
            self._keys.append(key)
            return
        place = bisect_left(self._keys, key)
        if self._keys[place] != key:
            self._keys.insert(place, key)

    def discard(self, key: str) -> None:
        """Take ``key`` out, if it is there."""
        self._live.discard(key)
        if len(self._keys) > 2 * len(self._live) + _SPARE:
            # A new list: a walk under way goes on over the old one.
            self._keys = [key for key in self._keys if key in self._live]

    def after(self, key: str) -> Iterator[str]:
        """Walk upwards from behind ``key``. Keys may be discarded meanwhile, none added."""
        keys = self._keys
        for place in range(bisect_right(keys, key), len(keys)):
            if keys[place] in self._live:
                yield keys[place]

    def before(self, key: str) -> Iterator[str]:
        """Walk downwards from in front of ``key``, under the same condition."""
        keys = self._keys
        for place in range(bisect_left(keys, key) - 1, -1, -1):
            if keys[place] in self._live:
                yield keys[place]

    def around(self, key: str) -> Iterator[str]:
        """Walk once round all, from behind ``key`` to ``key`` itself, under the same condition."""
        yield from self.after(key)
        for found in self.after(""):
            if found > key:
                return
            yield found


class Agenda[Rank: (int, str), Item: (str, DeliveryRef)]:
    """Items by rank, the lowest first; an item has one rank at a time."""

    def __init__(self) -> None:
        self._heap: list[tuple[Rank, Item]] = []
        self._ranks: dict[Item, Rank] = {}

    def __len__(self) -> int:
        return len(self._ranks)

    def put(self, item: Item, rank: Rank) -> None:
        """Give ``item`` a rank, instead of the one it may have."""
        if self._ranks.get(item) == rank:
            return
        self._ranks[item] = rank
        heappush(self._heap, (rank, item))

    def drop(self, item: Item) -> None:
        """Take ``item`` out, if it is there."""
        self._ranks.pop(item, None)
        if len(self._heap) > 2 * len(self._ranks) + _SPARE:
            self._heap = [(rank, item) for item, rank in self._ranks.items()]
            heapify(self._heap)

    def first(self) -> tuple[Rank, Item] | None:
        """Return the lowest rank and its item, None when nothing is left."""
        while self._heap:
            rank, item = self._heap[0]
            if self._ranks.get(item) == rank:
                return rank, item
            heappop(self._heap)
        return None
