"""What is asked of accepted events: one, a list, and that a payload be erased."""

from __future__ import annotations

from webhook.domain.errors import NotFound
from webhook.domain.event import TENANT_DEFAULT, name_problem
from webhook.domain.model import Event
from webhook.engine.endpoints import EndpointService
from webhook.ports import PAYLOAD_ERASED, EventQuery, Page


class EventService(EndpointService):
    """Adds the events, once they are accepted."""

    async def get_event(self, event_id: str, *, tenant: str = TENANT_DEFAULT) -> Event:
        """Return an event by its id, a caller's own or ours; raises ``NotFound``."""
        await self.initialize()
        found = None
        if name_problem(event_id) is None:
            found = await self._persistence.delivery_store.get_event(tenant, event_id)
        if found is None:
            raise NotFound(f"There is no event {event_id[:64]!r}.")
        return found

    async def list_events(self, query: EventQuery | None = None) -> Page[Event]:
        """Return one page of a tenant's events, newest first."""
        await self.initialize()
        return await self._persistence.delivery_store.list_events(query or EventQuery())

    async def erase_payload(self, event_id: str, *, tenant: str = TENANT_DEFAULT) -> Event:
        """Erase an event's payload for good, and return what is left of the event.

        The event, its deliveries and its name stay; what receivers answered goes too. What is
        pending is canceled in the same write, and so is a dead letter that stops its ordering key.
        An attempt that is under way may still reach the receiver; nothing of it is recorded.
        Erasing again changes nothing. Raises ``NotFound``.
        """
        event = await self.get_event(event_id, tenant=tenant)
        if event.payload_erased:
            return event
        now = self._clock.now_ms()
        async with self.access.changing("event.erase_payload", event):
            await self._persistence.delivery_store.erase_payload(
                tenant, event.key, now, PAYLOAD_ERASED
            )
        if event.ordering_key is not None:
            await self._wake_queue.wake(0)
        return await self.get_event(event_id, tenant=tenant)
