"""The contract of the named extra "tenants": deleting one whole."""

from __future__ import annotations

from typing import Protocol

from webhook.domain.tenant import Tenant, TenantRows


class WebhookTenantStore(Protocol):
    """Deletes all that all stores have of a tenant, in pieces.

    From ``begin`` to the end whatever is new of the tenant (an endpoint, an event, a name used
    again, a recovery, a token) is refused with ``tenant_deleting``, also where it came at once.
    Calls for one tenant side by side do no harm.
    """

    async def begin(self, tenant: str, now: int) -> None:
        """Begin a deletion; one that has begun goes on as it is."""
        ...

    async def look(self, tenant: str) -> Tenant:
        """Count what there is of a tenant; deliveries whose endpoint is still to be found."""
        ...

    async def remove_some(self, tenant: str, now: int, limit: int) -> TenantRows:
        """Remove a piece of a tenant that is being deleted; return how much that was.

        At most ``limit`` rows of each table. Endpoints stop at once: first they are removed as
        their owner would remove them, which counts as a row too; they go when their deliveries have
        gone, and events go last. What is being sent is settled to nothing. When a piece removes
        nothing, nothing is left. Tokens that go put off the end to ``now + KNOWN_FOR_MS``.
        Does nothing unless the deletion has begun.
        """
        ...

    async def end(self, tenant: str, now: int) -> Tenant:
        """End a deletion in one write, unless something is left or it is too early; look at it.

        What it returns without ``deleting_since`` is the proof: nothing was left in that moment.
        From then on the name is free, like any that was never used.
        """
        ...
