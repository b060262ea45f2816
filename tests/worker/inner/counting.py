"""A D1 binding that counts: round trips, statements, rows read and written, as D1's meta says."""

from __future__ import annotations

from typing import Any


class CountingBinding:
    """Stands around the real binding; ``reset`` begins a new count."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding
        self.reset()

    def reset(self) -> None:
        self.round_trips = 0
        self.statements = 0
        self.rows_read = 0
        self.rows_written = 0
        self.each: list[tuple[int, int]] = []

    def prepare(self, sql: str) -> Any:
        return self._binding.prepare(sql)

    async def batch(self, statements: list[Any]) -> Any:
        self.round_trips += 1
        self.statements += len(statements)
        results = await self._binding.batch(statements)
        for result in results:
            meta = result["meta"]
            self.rows_read += meta["rows_read"]
            self.rows_written += meta["rows_written"]
            self.each.append((meta["rows_read"], meta["rows_written"]))
        return results
