"""What the SQL stores ask of a database: one atomic batch, one read, and whose clock counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from webhook.domain.errors import WebhookError

type Parameter = str | int | float | None
type Row = Mapping[str, Any]
type Statement = tuple[str, tuple[Parameter, ...]]


class ConstraintFailed(WebhookError):  # noqa: N818 - a case to handle, not a fault
    """A constraint refused a write, and the whole batch was undone."""


class Database(Protocol):
    """A connection to D1 or SQLite. Both methods raise ``StoreUnavailable``."""

    own_clock: bool
    """Whether leases compare against the database's clock rather than the claimer's."""

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run all statements in one transaction and one round trip; return each one's rows.

        Raises ``ConstraintFailed``, with nothing written, when a constraint refuses.
        """
        ...

    async def read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements that only read, in one round trip."""
        ...
