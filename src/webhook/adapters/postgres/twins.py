"""Which of our statements stands for which of ``adapters/sql``: the one of the same name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType

from webhook.adapters.postgres import (
    access_statements,
    encryption_statements,
    ordering_statements,
    payload_statements,
    read_statements,
    recovery_statements,
    settle_statements,
    statements,
    sweep_statements,
    tenant_statements,
)
from webhook.adapters.sql import access_statements as shared_access
from webhook.adapters.sql import encryption as shared_encryption
from webhook.adapters.sql import ordering_statements as shared_ordering
from webhook.adapters.sql import payload_statements as shared_payload
from webhook.adapters.sql import read_statements as shared_read
from webhook.adapters.sql import recovery_statements as shared_recovery
from webhook.adapters.sql import settle_statements as shared_settle
from webhook.adapters.sql import statements as shared
from webhook.adapters.sql import sweep_statements as shared_sweep
from webhook.adapters.sql import tenant_statements as shared_tenant

MODULES: tuple[tuple[ModuleType, ModuleType], ...] = (
    (shared, statements),
    (shared_settle, settle_statements),
    (shared_ordering, ordering_statements),
    (shared_sweep, sweep_statements),
    (shared_read, read_statements),
    (shared_recovery, recovery_statements),
    (shared_payload, payload_statements),
    (shared_access, access_statements),
    (shared_encryption, encryption_statements),
    (shared_tenant, tenant_statements),
)
_STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")


def statements_of(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of the statements that a module of ``adapters/sql`` defines."""
    for name, value in vars(module).items():
        public = name.isupper() and not name.startswith("_")
        if public and isinstance(value, str) and _STATEMENT.match(value):
            yield name, value


def _twins() -> Iterator[tuple[str, tuple[str, ...]]]:
    for theirs, ours in MODULES:
        for name, text in statements_of(theirs):
            twin = getattr(ours, name, None)
            if twin is not None:
                yield text, (twin,) if isinstance(twin, str) else twin


TWINS = dict(_twins())
"""Our statement by the text of theirs; what comes before the last of its texts are locks."""
