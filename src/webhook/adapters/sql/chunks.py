"""Cuts rows into JSON parameters that the platform takes: D1's values end at 2 MB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

PARAMETER_BYTES_MAX = 1_500_000


def json_chunks(rows: Iterable[object], bytes_max: int = PARAMETER_BYTES_MAX) -> Iterator[str]:
    """Yield JSON arrays of rows, each at most ``bytes_max`` long unless one row alone is longer."""
    parts: list[bytes] = []
    size = 2
    for row in rows:
        part = msgspec.json.encode(row)
        if parts and size + len(part) + 1 > bytes_max:
            yield (b"[" + b",".join(parts) + b"]").decode()
            parts, size = [], 2
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield (b"[" + b",".join(parts) + b"]").decode()
