"""``WebhookRuntimeService``: the service with its parts chosen for the platform it runs on."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from webhook.adapters.asyncio_wake import AsyncioWake
from webhook.adapters.memory import create_in_memory_webhook_persistence
from webhook.adapters.native_crypto import NativeCrypto
from webhook.adapters.system import SystemChance, SystemClock
from webhook.domain.config import WebhookConfig
from webhook.domain.endpoint import EndpointInput
from webhook.domain.errors import ConfigError
from webhook.domain.event import WebhookEvent
from webhook.domain.model import Endpoint
from webhook.engine.probe import ProbeResult
from webhook.engine.service import Stopped, WebhookService
from webhook.ports import (
    Chance,
    Clock,
    Crypto,
    Sender,
    WakeQueue,
    WebhookDeliveryStore,
    WebhookEndpointStore,
    WebhookPersistence,
)

_IN_WORKER = sys.platform == "emscripten"


class WebhookRuntimeService(WebhookService):
    """Accepts events and delivers them, signed and with retries.

    ``persistence`` is where everything is kept, memory unless given; ``endpoint_store`` and
    ``delivery_store`` replace one half of it, or come together without it. Without a
    ``wake_queue`` a background loop delivers, started by the first call (``auto_start`` False
    leaves that to ``flush``); in a Python Worker no loop outlives a request, so there give ``emit``
    a ``wait_until`` or the service a ``wake_queue``. Building a service touches neither clock nor
    chance nor timers, so it may stand at the top of a module.

    Raises ``ConfigError`` when a store is missing.
    """

    def __init__(
        self,
        config: WebhookConfig | None = None,
        *,
        persistence: WebhookPersistence | None = None,
        endpoint_store: WebhookEndpointStore | None = None,
        delivery_store: WebhookDeliveryStore | None = None,
        sender: Sender | None = None,
        wake_queue: WakeQueue | None = None,
        clock: Clock | None = None,
        chance: Chance | None = None,
        crypto: Crypto | None = None,
        auto_start: bool = not _IN_WORKER,
    ) -> None:
        config = config or WebhookConfig()
        clock = clock or SystemClock()
        self._own_wake = AsyncioWake() if wake_queue is None else None
        self._auto_start = auto_start and self._own_wake is not None
        persistence = _persistence(persistence, endpoint_store, delivery_store)
        if self._own_wake is not None:
            share = persistence.shared_wake
            wake_queue = self._own_wake if share is None else share(self._own_wake)
        super().__init__(
            config,
            persistence=persistence,
            sender=sender or default_sender(config, clock),
            wake_queue=wake_queue or AsyncioWake(),
            clock=clock,
            chance=chance or SystemChance(),
            crypto=crypto or default_crypto(),
            wakes_somebody=self._own_wake is None or self._auto_start,
        )

    async def initialize(self) -> None:
        """Open the store, and start the background loop where there is to be one."""
        await super().initialize()
        if self._auto_start and self._own_wake is not None and not self.runs_here:
            # Nobody can wait for an event of an event loop that has ended.
            self._own_wake.renew()
            self.start(self._own_wake.event)

    async def stop(self, grace_ms: float | None = None) -> Stopped:
        """Stop the background loop; see ``WebhookService.stop``."""
        stopped = await super().stop(grace_ms)
        if self._own_wake is not None:
            self._own_wake.close()
        return stopped


def default_crypto() -> Crypto:
    """Return what the platform computes with: WebCrypto in a Python Worker, else a package."""
    if _IN_WORKER:
        from webhook.adapters.cloudflare.webcrypto import WebCrypto  # noqa: PLC0415 - kept light

        return WebCrypto()
    return NativeCrypto()


def default_sender(config: WebhookConfig, clock: Clock) -> Sender:
    """Return the platform's sender: ``fetch`` in a Python Worker, aiohttp elsewhere.

    Raises ``ConfigError`` naming what to install where aiohttp is missing, and for an option that
    the platform cannot do.
    """
    rules = config.url_rules
    if _IN_WORKER:
        if config.proxy_from_env:
            raise ConfigError("proxy_from_env: a Worker has no proxies; leave it out.")
        from webhook.adapters.cloudflare.fetch_sender import FetchSender  # noqa: PLC0415 - only those who ask pay for it

        return FetchSender(rules, clock=clock, dns_over_https=config.dns_over_https)
    if config.dns_over_https is not None:
        raise ConfigError(
            "dns_over_https: is for Workers; here addresses are checked when dialled."
        )
    try:
        from webhook.adapters.aiohttp_sender import AiohttpSender  # noqa: PLC0415 - kept light
        from webhook.adapters.env_proxies import env_proxies  # noqa: PLC0415 - only those who ask pay for it
    except ImportError as error:
        raise ConfigError(
            "Sending needs aiohttp: pip install 'webhook[sender]', or give a sender of your own."
        ) from error
    proxy_for = env_proxies() if config.proxy_from_env else None
    return AiohttpSender(rules, clock=clock, proxy_for=proxy_for)


def _persistence(
    persistence: WebhookPersistence | None,
    endpoint_store: WebhookEndpointStore | None,
    delivery_store: WebhookDeliveryStore | None,
) -> WebhookPersistence:
    if endpoint_store is None and delivery_store is None:
        return persistence or create_in_memory_webhook_persistence()
    if persistence is None:
        if endpoint_store is None or delivery_store is None:
            missing = "endpoint_store" if endpoint_store is None else "delivery_store"
            raise ConfigError(f"{missing}: give both stores, or a persistence for the other half.")
        return WebhookPersistence(endpoint_store=endpoint_store, delivery_store=delivery_store)
    return WebhookPersistence(
        endpoint_store=endpoint_store or persistence.endpoint_store,
        delivery_store=delivery_store or persistence.delivery_store,
        # Recoveries lie with the deliveries.
        recovery_store=persistence.recovery_store if delivery_store is None else None,
        access_store=persistence.access_store,
        encryption=persistence.encryption if endpoint_store is None else None,
        init=persistence.init,
        close=persistence.close,
        shared_wake=persistence.shared_wake if delivery_store is None else None,
    )


async def add_endpoints(
    runtime: WebhookService, endpoints: Sequence[EndpointInput]
) -> list[Endpoint]:
    """Add all endpoints or none; see ``WebhookRuntimeService.add_endpoints``."""
    return await runtime.add_endpoints(endpoints)


async def probe_endpoint(
    runtime: WebhookService, endpoint_id: str, event: WebhookEvent | None = None
) -> ProbeResult:
    """Send one request to an endpoint; see ``WebhookRuntimeService.probe_endpoint``."""
    return await runtime.probe_endpoint(endpoint_id, event)
