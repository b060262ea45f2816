"""The Worker: fetch, queue, scheduled, and the entrypoint for service bindings. Wiring only.

Every public method of a class here is callable from outside; a test lists them.
"""

from __future__ import annotations

from typing import Any

from workers import WorkerEntrypoint

from webhook.worker import handlers
from webhook.worker.rpc import Caller


class Default(WorkerEntrypoint):
    """What the platform calls."""

    async def fetch(self, request: Any) -> Any:
        """Answer an HTTP request."""
        return await handlers.fetch(request, self.env, self.ctx)

    async def queue(self, batch: Any, env: Any = None, ctx: Any = None) -> None:
        """Take hints that work is due, however many; raising brings them back."""
        await handlers.deliver(self.env)

    async def scheduled(self, controller: Any, env: Any = None, ctx: Any = None) -> None:
        """Once a minute: deliver what nobody woke for, and tidy up."""
        await handlers.sweep(self.env)


class Rpc(WorkerEntrypoint):
    """What other Workers call over a service binding whose ``entrypoint`` is ``Rpc``."""

    async def emit(self, event: Any = None) -> Any:
        """Accept an event; answers as ``POST /v1/events``."""
        return await Caller(self.env, self.ctx).emit(event)

    async def emit_many(self, events: Any = None) -> Any:
        """Accept a batch, all or nothing; answers a list."""
        return await Caller(self.env, self.ctx).emit_many(events)

    async def get_event(self, event_id: Any = None) -> Any:
        """Show an event."""
        return await Caller(self.env, self.ctx).get_event(event_id)

    async def get_delivery(self, delivery_id: Any = None) -> Any:
        """Show a delivery with its attempts."""
        return await Caller(self.env, self.ctx).get_delivery(delivery_id)

    async def list_deliveries(self, query: Any = None) -> Any:
        """List deliveries; the query is that of ``GET /v1/deliveries``."""
        return await Caller(self.env, self.ctx).list_deliveries(query)

    async def list_endpoints(self, query: Any = None) -> Any:
        """List endpoints; the query is that of ``GET /v1/endpoints``."""
        return await Caller(self.env, self.ctx).list_endpoints(query)
