"""Chance that repeats: the same seed gives the same bytes on every machine."""

from __future__ import annotations

import hashlib

_FLOAT_BITS = 53


class SeededChance:
    """The ``Chance`` of a test; two of one seed draw alike."""

    def __init__(self, seed: int | str = 0) -> None:
        self._seed = str(seed)
        self._drawn = 0

    def random_bytes(self, count: int) -> bytes:
        """Return the next bytes."""
        self._drawn += 1
        return hashlib.shake_256(f"{self._seed}/{self._drawn}".encode()).digest(count)

    def uniform(self) -> float:
        """Return the next number in [0, 1)."""
        return (int.from_bytes(self.random_bytes(7)) >> (56 - _FLOAT_BITS)) / (1 << _FLOAT_BITS)
