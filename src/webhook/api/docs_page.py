"""``/docs``."""

from __future__ import annotations

from webhook.api.operation import Operation

OPERATIONS: tuple[Operation, ...] = ()
