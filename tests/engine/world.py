"""A service in a small world: virtual time, seeded chance, scripted receivers, watched stores."""

from __future__ import annotations

from typing import Any

from tests.engine.stores import Faults, watched
from webhook.domain.config import WebhookConfig
from webhook.domain.endpoint import EndpointInput
from webhook.domain.event import TENANT_DEFAULT, WebhookEvent
from webhook.domain.model import Delivery, DeliveryStatus, Endpoint
from webhook.ports import DeliveryQuery, WakeQueue, WebhookPersistence
from webhook.runtime import WebhookRuntimeService
from webhook.testing import RecordingSender, SeededChance, VirtualClock

SENT = "message.sent"
SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
LEASE_MS = 45_000


class QueueOfHints:
    """A ``WakeQueue`` that only remembers what it was asked."""

    def __init__(self) -> None:
        self.delays: list[int] = []

    async def wake(self, delay_ms: int) -> None:
        self.delays.append(delay_ms)


class World:
    """Everything a service needs, and short words for what tests ask of it."""

    def __init__(self, persistence: WebhookPersistence) -> None:
        self.clock = VirtualClock()
        self.chance = SeededChance()
        self.sender = RecordingSender(self.clock)
        self.faults = Faults()
        self.persistence = watched(persistence, self.clock, self.faults)
        self._services: list[WebhookRuntimeService] = []

    def service(
        self,
        *,
        background: bool = False,
        wake_queue: WakeQueue | None = None,
        persistence: WebhookPersistence | None = None,
        **options: Any,
    ) -> WebhookRuntimeService:
        """Make a service; without jitter unless a test asks for it."""
        made = WebhookRuntimeService(
            WebhookConfig(**{"jitter": False} | options),
            persistence=persistence or self.persistence,
            sender=self.sender,
            wake_queue=wake_queue,
            clock=self.clock,
            chance=self.chance,
            auto_start=background,
        )
        self._services.append(made)
        return made

    async def close(self) -> None:
        """End what the test has left running."""
        self.faults.heal()
        for service in self._services:
            await self.clock.run(service.stop(0))
        if self.persistence.close is not None:
            await self.persistence.close()

    async def delivery(self, service: WebhookRuntimeService) -> Delivery:
        """Return the only delivery there is."""
        [found] = await all_deliveries(service)
        return found


async def add(
    service: WebhookRuntimeService,
    host: str = "a",
    /,
    *event_types: str,
    **options: Any,
) -> Endpoint:
    """Add the endpoint at ``url_of(host)``."""
    given = EndpointInput(url=url_of(host), event_types=list(event_types or ("*",)), **options)
    return await service.add_endpoint(given)


def url_of(host: str) -> str:
    return f"https://{host}.example/hook"


def event(
    data: object = None,
    *,
    type: str = SENT,  # noqa: A002 - the event's own word
    **options: Any,
) -> WebhookEvent:
    return WebhookEvent(type=type, data=data, **options)


async def all_deliveries(
    service: WebhookRuntimeService,
    *,
    tenant: str = TENANT_DEFAULT,
    **options: Any,
) -> list[Delivery]:
    """Return all of a tenant's deliveries."""
    found: list[Delivery] = []
    after = None
    while True:
        query = DeliveryQuery(tenant=tenant, limit=250, after=after, **options)
        page = await service.list_deliveries(query)
        found += page.items
        if page.after is None:
            return found
        after = page.after


async def statuses(service: WebhookRuntimeService) -> list[DeliveryStatus]:
    """Return the status of every delivery."""
    return [delivery.status for delivery in await all_deliveries(service)]
