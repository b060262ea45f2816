"""Pieces as small as the worlds are, or a recovery would be done with its first one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from webhook.engine import recovery

_SIZES = {"PIECE_REPLAYS": 2, "PIECE_MISSED": 2, "PIECE_ROWS": 5}


@contextmanager
def small_pieces() -> Iterator[None]:
    """Let recoveries take small pieces meanwhile."""
    before = {name: getattr(recovery, name) for name in _SIZES}
    for name, size in _SIZES.items():
        setattr(recovery, name, size)
    try:
        yield
    finally:
        for name, size in before.items():
            setattr(recovery, name, size)
