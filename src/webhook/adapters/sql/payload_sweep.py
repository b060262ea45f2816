"""The part of a sweep that erases old payloads."""

from __future__ import annotations

from collections.abc import Sequence

from webhook.adapters.sql import sweep_statements
from webhook.adapters.sql.database import Parameter, Row, Statement


class PayloadSweep:
    """Erases in bounded pieces, and remembers how far it has looked at what is held."""

    def __init__(self) -> None:
        self._held_place = ""

    def statements(self, tenants: Sequence[Parameter], floor: str, limit: int) -> list[Statement]:
        """Return those of one piece, for ``read``; ``tenants`` are as for the removal of events."""
        first, count, _, _, key = tenants
        due = (first, count, floor, limit, key)
        held = (self._held_place, limit, floor)
        return [
            (sweep_statements.SWEEP_HELD_REST, held),
            (sweep_statements.SWEEP_HELD_RESPONSES, held),
            (sweep_statements.SWEEP_HELD_PAYLOADS, held),
            (sweep_statements.SWEEP_DUE_RESPONSES, due),
            (sweep_statements.SWEEP_DUE_PAYLOADS, due),
            (sweep_statements.SWEEP_HORIZONS, due),
        ]

    def read(self, results: Sequence[Sequence[Row]], limit: int) -> tuple[int, bool, bool]:
        """Return how many were erased, whether more is due here, and whether more is held."""
        rest, _, freed, _, due, _ = results
        if len(freed) < limit:
            self._held_place = rest[0]["key"] if rest else ""
        erased = len(freed) + sum(row["held"] is None for row in due)
        return erased, len(due) == limit, len(freed) == limit or self._held_place != ""
