"""A tenant as a whole: what there is of it, and that it is being deleted."""

from __future__ import annotations

import msgspec

from webhook.domain.errors import Conflict

# Rows of one sort are counted no further.
TENANT_COUNT_MAX = 10_000


class TenantRows(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows each table has of a tenant, up to ``TENANT_COUNT_MAX``."""

    endpoints: int = 0
    subscriptions: int = 0
    events: int = 0
    names: int = 0
    deliveries: int = 0
    recoveries: int = 0
    notices: int = 0
    api_tokens: int = 0
    audit_log: int = 0
    payload_horizons: int = 0

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return any(msgspec.structs.astuple(self))

    def __str__(self) -> str:
        """Write it down for the audit log."""
        return ", ".join(f"{name} {count}" for name, count in msgspec.structs.asdict(self).items())


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a tenant. ``deleting_since`` is None unless it is being deleted.

    The deletion ends at ``ends_from`` or later, in epoch ms: until then a token of the tenant that
    was revoked may still let somebody in.
    """

    rows: TenantRows
    deleting_since: int | None = None
    ends_from: int = 0


def tenant_deleting(tenant: str, pointer: str) -> Conflict:
    """Return the error for what is new of a tenant that is being deleted."""
    detail = f"Tenant {tenant} is being deleted; nothing new is taken for it until that has ended."
    return Conflict.at(pointer, detail)
