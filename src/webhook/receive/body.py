"""The raw body, and no more of it than a webhook has."""

from __future__ import annotations

BODY_BYTES_MAX = 1 << 20
"""A stranger may send anything; events have a quarter of it at most, and what is around them."""


class BodyTooLarge(Exception):  # noqa: N818 - named after what is wrong
    """More than ``BODY_BYTES_MAX``: answer 413."""


class Gathered:
    """Chunks of a body, refused as soon as they are too many."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0

    def add(self, chunk: bytes) -> None:
        """Take one more; raises ``BodyTooLarge``."""
        self._size += len(chunk)
        if self._size > BODY_BYTES_MAX:
            raise BodyTooLarge
        self._chunks.append(chunk)

    def whole(self) -> bytes:
        """Return the body."""
        return b"".join(self._chunks)
