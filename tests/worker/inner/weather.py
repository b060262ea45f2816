"""A D1 binding with weather: errors as D1 raises them, before or after the work is done."""

from __future__ import annotations

from typing import Any, Literal

type When = Literal["before", "after", "not"]

OVERLOADED = "D1_ERROR: D1 DB is overloaded. Requests queued for too long."
LOST = "D1_ERROR: Network connection lost."


class Weather:
    """Stands around the real binding; each batch takes the next of ``forecast``."""

    def __init__(self, binding: Any, *forecast: tuple[When, str]) -> None:
        self._binding = binding
        self.forecast = list(forecast)
        self.batches = 0

    def prepare(self, sql: str) -> Any:
        return self._binding.prepare(sql)

    async def batch(self, statements: list[Any]) -> Any:
        self.batches += 1
        when, text = self.forecast.pop(0) if self.forecast else ("not", "")
        if when == "before":
            await fail(text)
        result = await self._binding.batch(statements)
        if when == "after":
            await fail(text)
        return result


async def fail(text: str) -> None:
    """Raise what an error of JavaScript becomes in Python."""
    from js import Error, Promise  # noqa: PLC0415 - exist in a Worker only

    await Promise.reject(Error.new(text))
