"""D1 behind the SQL stores: one ``batch`` of the binding is one round trip and one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from webhook.adapters.sql.database import ConstraintFailed, Parameter, Row, Statement
from webhook.domain.errors import InvalidInput, StoreFull, StoreUnavailable, WebhookError

# The platform's limits, which its local simulation does not keep.
PARAMETERS_MAX = 100
VALUE_BYTES_MAX = 2_000_000
# D1 tells errors apart by their text alone.
_CONSTRAINT = ("constraint failed", "SQLITE_CONSTRAINT_TRIGGER")
_FULL = ("SQLITE_FULL", "Exceeded maximum DB size")
_OUR_FAULT = (
    "syntax error",
    "no such table",
    "no such column",
    "Wrong number of parameter",
    "D1_TYPE_ERROR",
    "SQLITE_ERROR",
    "SQLITE_TOOBIG",
)


class D1Database:
    """``Database`` over a D1 binding. Leases compare against the database's clock."""

    own_clock = True

    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run all statements in one transaction; see ``Database``."""
        for _, parameters in statements:
            _check_limits(parameters)
        try:
            results = await self._binding.batch(
                [self._binding.prepare(sql).bind(*parameters) for sql, parameters in statements]
            )
        except Exception as error:
            raise _translated(error) from error
        return [result["results"] for result in results]

    async def read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements that only read, in one round trip."""
        return await self.batch(statements)


def _check_limits(parameters: Sequence[Parameter]) -> None:
    if len(parameters) > PARAMETERS_MAX:
        raise WebhookError(f"A statement of {len(parameters)} parameters does not fit D1.")
    for value in parameters:
        # Only a long text can be too long in UTF-8, where a character has up to four bytes.
        if isinstance(value, str) and len(value) * 4 > VALUE_BYTES_MAX:
            size = len(value.encode())
            if size > VALUE_BYTES_MAX:
                raise InvalidInput(f"A value of {size} bytes does not fit D1's {VALUE_BYTES_MAX}.")


def _translated(error: Exception) -> Exception:
    """Return our error for one of D1's; a Python error of our own stays what it is."""
    if not type(error).__module__.startswith("pyodide"):
        return error
    text = str(error)
    if any(sign in text for sign in _CONSTRAINT):
        return ConstraintFailed(text)
    if any(sign in text for sign in _OUR_FAULT):
        return WebhookError(f"D1 refused a statement: {text}")
    full = any(sign in text for sign in _FULL)
    return (StoreFull if full else StoreUnavailable)(f"D1: {text}")
