"""The endpoints' half of the service: add, change, remove, look at, try out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import UNSET

from webhook.domain.config import WebhookConfig
from webhook.domain.endpoint import (
    EndpointInput,
    EndpointPatch,
    new_endpoint,
    patched,
    rotated,
)
from webhook.domain.errors import Conflict, InvalidInput, NotFound
from webhook.domain.event import WebhookEvent
from webhook.domain.event_types import OperationalEventType
from webhook.domain.ids import KeyMaker, is_endpoint_id
from webhook.domain.model import Endpoint, EndpointStatus, OrderingOnFailure
from webhook.domain.notice import ACTIVATED_REASON, notice_of_update
from webhook.domain.secret import OVERLAP_S_DEFAULT, SignatureVersion, SigningSecret
from webhook.engine.access import Access
from webhook.engine.announce import Announcer
from webhook.engine.hints import Hints
from webhook.engine.pointers import of_the_only_one
from webhook.engine.probe import ProbeResult, probe
from webhook.engine.secrets import take_secret
from webhook.engine.tenants import Tenants
from webhook.ports import (
    Chance,
    Clock,
    Crypto,
    EndpointQuery,
    Page,
    Sender,
    WakeQueue,
    WebhookPersistence,
)

# How long a probe waits for a start that the endpoint's rate gives.
PROBE_WAIT_MS = 10_000
# What holds deliveries back and takes a joint store, and what it is where nothing does.
_WITHOUT_LIMITS = {
    "concurrency_max": None,
    "rate_limit_per_second": None,
    "ordering_on_failure": OrderingOnFailure.CONTINUE,
}


class EndpointService:
    """What a service offers for endpoints. Nothing is opened, drawn or timed before a call."""

    def __init__(
        self,
        config: WebhookConfig,
        *,
        persistence: WebhookPersistence,
        sender: Sender,
        wake_queue: WakeQueue,
        clock: Clock,
        chance: Chance,
        crypto: Crypto,
    ) -> None:
        self.config = config
        self._persistence = persistence
        self._endpoints = persistence.endpoint_store
        self._deliveries = persistence.delivery_store
        self._recoveries = persistence.recovery_store
        self._sender = sender
        self._wake_queue = Hints(wake_queue)
        self._clock = clock
        self._chance = chance
        self._crypto = crypto
        self._keys = KeyMaker(chance.random_bytes)
        self._announcer = Announcer(
            persistence, wake_queue=self._wake_queue, clock=clock, keys=self._keys
        )
        self._rules = config.url_rules
        self.access = Access(
            persistence.access_store,
            clock=clock,
            chance=chance,
            keys=self._keys,
            initialize=self.initialize,
        )
        self.tenants = Tenants(
            persistence.tenant_store, self.access, clock=clock, initialize=self.initialize
        )
        self._ready = False

    def now_ms(self) -> int:
        """Return the time that the service goes by."""
        return self._clock.now_ms()

    async def initialize(self) -> None:
        """Open the store and bring its schema up to date, once; a failure is tried again.

        Raises ``ConfigError`` when secrets are encrypted with a key that is not known.
        """
        if self._ready:
            return
        if self._persistence.init is not None:
            await self._persistence.init()
        if self._persistence.encryption is not None:
            await self._persistence.encryption.check()
        self._ready = True

    async def add_endpoint(self, endpoint: EndpointInput) -> Endpoint:
        """Add an endpoint and return it with its secret. Sends nothing.

        Raises ``InvalidInput`` with a pointer to the field, ``Conflict`` when its external id is
        taken, or its tenant has as many endpoints as it may.
        """
        now = self._clock.now_ms()
        made = await self._make_endpoint(endpoint, now)
        await self.initialize()
        try:
            async with self.access.changing("endpoint.create", made):
                await self._endpoints.add([made], self.config.endpoints_per_tenant)
        except Conflict as error:
            raise of_the_only_one(error) from None
        return made

    async def add_endpoints(self, endpoints: Sequence[EndpointInput]) -> list[Endpoint]:
        """Add all endpoints or none; errors point to the index, ``/2/url``."""
        now = self._clock.now_ms()
        made: list[Endpoint] = []
        for index, endpoint in enumerate(endpoints):
            try:
                made.append(await self._make_endpoint(endpoint, now))
            except InvalidInput as error:
                raise error.under(f"/{index}") from None
        await self.initialize()
        if made:
            async with self.access.changing("endpoint.create", *made):
                await self._endpoints.add(made, self.config.endpoints_per_tenant)
        return made

    async def _make_endpoint(self, given: EndpointInput, now: int) -> Endpoint:
        secret = None
        of_its_own = given.secret is not None or given.signature is SignatureVersion.V1A
        if of_its_own or self.config.secret_key is None:
            secret = await self._take_secret(given.secret, given.signature)
        endpoint_id = f"ep_{self._keys(now)}"
        made = new_endpoint(
            given,
            endpoint_id=endpoint_id,
            now=now,
            rules=self._rules,
            secret=secret,
            reserved_headers=(self.config.signature_header,),
        )
        self._check_limits(made)
        return made

    async def _take_secret(self, given: str | None, signature: SignatureVersion | None) -> str:
        return await take_secret(
            given, signature, config=self.config, chance=self._chance, crypto=self._crypto
        )

    def _check_limits(self, endpoint: Endpoint) -> None:
        """Refuse limits that nobody would keep."""
        if self._persistence.joint:
            return
        for name, unlimited in _WITHOUT_LIMITS.items():
            if getattr(endpoint, name) is not unlimited:
                detail = "Needs a store that keeps endpoints and deliveries together."
                raise InvalidInput.at(f"/{name}", detail)

    async def update_endpoint(
        self, endpoint_id: str, changes: EndpointPatch, *, tenant: str | None = None
    ) -> Endpoint:
        """Change an endpoint; what is left out stays. Pending deliveries are not canceled."""
        endpoint = await self.get_endpoint(endpoint_id, tenant=tenant)
        changed = patched(
            endpoint,
            changes,
            now=self._clock.now_ms(),
            rules=self._rules,
            reserved_headers=(self.config.signature_header,),
        )
        self._check_limits(changed)
        given = [name for name in changes.__struct_fields__ if getattr(changes, name) is not UNSET]
        async with self.access.changing("endpoint.update", changed, detail=" ".join(given)):
            await self._endpoints.update(changed)
        if (
            endpoint.status is EndpointStatus.ERROR
            and changed.active
            and not self._persistence.joint
        ):
            kind = OperationalEventType.ENDPOINT_RECOVERED
            await self._announcer.announce([notice_of_update(changed, kind, ACTIVATED_REASON)])
        if _lets_more_through(changed, endpoint):
            await self._wake_queue.wake(0)
        return changed

    async def rotate_secret(
        self,
        endpoint_id: str,
        *,
        secret: str | None = None,
        signature: SignatureVersion | None = None,
        overlap_s: int = OVERLAP_S_DEFAULT,
        tenant: str | None = None,
    ) -> Endpoint:
        """Sign with another secret, ``secret`` or a new one, and with the old ones for a while.

        A new one signs as ``signature`` says, or else as the newest one does. Raises
        ``InvalidInput`` with a pointer to the field, ``Conflict`` when too many would be live.
        """
        endpoint = await self.get_endpoint(endpoint_id, tenant=tenant)
        old = endpoint.secrets
        if not old and self.config.secret_key is not None:
            # The service's own, which signed until now.
            old = (SigningSecret(self.config.secret_key),)
        if secret is None and signature is None and old:
            signature = old[0].version
        value = await self._take_secret(secret, signature)
        now = self._clock.now_ms()
        changed = rotated(endpoint, SigningSecret(value), old, overlap_s=overlap_s, now=now)
        async with self.access.changing("secret.rotate", changed):
            await self._endpoints.update(changed)
        return changed

    async def remove_endpoint(self, endpoint_id: str, *, tenant: str | None = None) -> bool:
        """Remove an endpoint; what was pending is canceled. False when there was none."""
        await self.initialize()
        if not is_endpoint_id(endpoint_id):
            return False
        now = self._clock.now_ms()
        if not self.access.audits:
            return await self._endpoints.remove(tenant, endpoint_id, now)
        found = await self._endpoints.get(tenant, endpoint_id)
        if found is None:
            return False
        async with self.access.changing("endpoint.remove", found):
            return await self._endpoints.remove(tenant, endpoint_id, now)

    async def get_endpoint(self, endpoint_id: str, *, tenant: str | None = None) -> Endpoint:
        """Return an endpoint, its secrets included; raises ``NotFound``."""
        await self.initialize()
        found = None
        if is_endpoint_id(endpoint_id):
            found = await self._endpoints.get(tenant, endpoint_id)
        if found is None:
            raise NotFound(f"There is no endpoint {endpoint_id[:64]!r}.")
        return found

    async def read_secrets(self, endpoint_id: str, *, tenant: str | None = None) -> Endpoint:
        """Return an endpoint for somebody who reads its secrets: that is audited."""
        endpoint = await self.get_endpoint(endpoint_id, tenant=tenant)
        await self.access.record("secret.read", endpoint)
        return endpoint

    async def list_endpoints(self, query: EndpointQuery | None = None) -> Page[Endpoint]:
        """Return one page of a tenant's endpoints, oldest first."""
        await self.initialize()
        return await self._endpoints.list(query or EndpointQuery())

    async def probe_endpoint(
        self, endpoint_id: str, event: WebhookEvent | None = None, *, tenant: str | None = None
    ) -> ProbeResult:
        """Send exactly one request to the endpoint, whatever its status; nothing is stored.

        It takes one of the starts that the endpoint's rate gives, and waits for it; ``Conflict``
        says when the next one comes if that is more than ``PROBE_WAIT_MS`` ahead.
        """
        endpoint = await self.get_endpoint(endpoint_id, tenant=tenant)
        await self._take_start(endpoint)
        key = self._keys(self._clock.now_ms())
        return await probe(
            endpoint,
            key=key,
            sender=self._sender,
            clock=self._clock,
            crypto=self._crypto,
            config=self.config,
            event=event,
        )

    async def _take_start(self, endpoint: Endpoint) -> None:
        if endpoint.rate is None:
            return
        wait_ms = await self._persistence.delivery_store.take_start(
            endpoint.id, self._clock.now_ms(), PROBE_WAIT_MS
        )
        if wait_ms > PROBE_WAIT_MS:
            seconds = -(-wait_ms // 1000)
            raise Conflict(f"The endpoint's rate lets the next request through in {seconds} s.")
        await self._clock.wait(asyncio.Event(), wait_ms)


def _lets_more_through(changed: Endpoint, before: Endpoint) -> bool:
    """Whether what waits may go on: the endpoint is active again, or its limits are others."""
    return changed.active and (
        not before.active
        or any(getattr(changed, name) != getattr(before, name) for name in _WITHOUT_LIMITS)
    )
