"""One attempt: from a claimed delivery to what becomes of it."""

from __future__ import annotations

import asyncio
import logging

from webhook.domain.config import SETTLE_MARGIN_MS, WebhookConfig
from webhook.domain.errors import NotSupported, StoreUnavailable
from webhook.domain.health import RATE_AHEAD_MS
from webhook.domain.lifecycle import Settlement, cancel, decide, give_up, postpone, release
from webhook.domain.model import Delivery, Endpoint, Outcome
from webhook.domain.url_rules import url_host
from webhook.engine.held import Held
from webhook.engine.request import build_headers
from webhook.engine.targets import Targets
from webhook.ports import (
    ENDPOINT_REMOVED,
    Chance,
    Claimed,
    Clock,
    Crypto,
    Sender,
    WebhookDeliveryStore,
    WebhookEndpointStore,
)

_log = logging.getLogger("webhook.delivery")
PAUSED_WAIT_MS = 60_000
LOOK_UP_WAIT_MS = 5_000
# An attempt that waited longer than this for its slot has missed the start that its rate gave.
LATE_MS = 50
_STARTS_MAX = 3


def start_by_ms(timeout_ms: int, lease_end_ms: float) -> float:
    """Until when an attempt may start: a lease must cover its deadline and its settle."""
    return lease_end_ms - timeout_ms - SETTLE_MARGIN_MS


class Attempt:
    """Makes the attempt of one claimed delivery after another; settling is left to the caller."""

    def __init__(
        self,
        *,
        delivery_store: WebhookDeliveryStore,
        endpoint_store: WebhookEndpointStore,
        sender: Sender,
        clock: Clock,
        chance: Chance,
        crypto: Crypto,
        config: WebhookConfig,
        timeout_ms_max: int | None,
    ) -> None:
        self._deliveries = delivery_store
        self._endpoints = endpoint_store
        self._targets = Targets(sender, clock, chance)
        self._clock = clock
        self._chance = chance
        self._crypto = crypto
        self._config = config
        self._timeout_ms_max = timeout_ms_max

    async def make(self, held: Held) -> Settlement:
        """Send, unless the delivery is to end, to wait or to be given back instead."""
        claimed = held.claimed
        delivery = claimed.delivery
        try:
            endpoint = claimed.endpoint or await self._look_up(delivery.endpoint_id)
        except StoreUnavailable as error:
            # No fault of the delivery: it must not count as an interruption.
            _log.warning("endpoint %s not looked up: %s", delivery.endpoint_id, error)
            now = self._clock.now_ms()
            return postpone(delivery, now, now + LOOK_UP_WAIT_MS)
        now = self._clock.now_ms()
        if endpoint is None:
            return cancel(delivery, now, ENDPOINT_REMOVED)
        if not endpoint.active:
            return postpone(delivery, now, now + PAUSED_WAIT_MS)
        if (gone := give_up(delivery, now)) is not None:
            return gone
        timeout_ms = endpoint.timeout_ms or self._config.timeout_ms
        if not await self._may_start(held, endpoint, timeout_ms):
            return release(delivery, self._clock.now_ms())
        return await self._send(claimed, endpoint, timeout_ms)

    async def _may_start(self, held: Held, endpoint: Endpoint, timeout_ms: int) -> bool:
        if timeout_ms > (self._timeout_ms_max or timeout_ms):
            return False
        on_time = await self._keeps_rate(held, endpoint)
        return on_time and self._clock.monotonic_ms() <= start_by_ms(timeout_ms, held.lease_end_ms)

    async def _keeps_rate(self, held: Held, endpoint: Endpoint) -> bool:
        """Whether the attempt may start now; one that has missed its start takes another one.

        Starts that were missed together would else come together.
        """
        if endpoint.rate is None:
            return True
        start_ms = held.start_ms
        for _ in range(_STARTS_MAX):
            if self._clock.monotonic_ms() - start_ms <= LATE_MS:
                return True
            asked_ms = self._clock.monotonic_ms()
            try:
                wait_ms = await self._deliveries.take_start(
                    endpoint.id, self._clock.now_ms(), RATE_AHEAD_MS
                )
            except StoreUnavailable as error:
                _log.warning("no start for endpoint %s: %s", endpoint.id, error)
                return False
            if wait_ms > RATE_AHEAD_MS:
                return False
            start_ms = asked_ms + wait_ms
            await self._clock.wait(asyncio.Event(), start_ms - self._clock.monotonic_ms())
        return self._clock.monotonic_ms() - start_ms <= LATE_MS

    async def _send(self, claimed: Claimed, endpoint: Endpoint, timeout_ms: int) -> Settlement:
        delivery = claimed.delivery
        body = claimed.payload.encode()
        now = self._clock.now_ms()
        try:
            headers = await build_headers(
                endpoint, delivery, body, self._config, now=now, crypto=self._crypto
            )
        except NotSupported as error:
            # No fault of the delivery either; somebody has to install something.
            _log.error("endpoint %s cannot be signed for: %s", endpoint.id, error)
            return postpone(delivery, now, now + PAUSED_WAIT_MS)
        outcome = await self._targets.send(endpoint, headers, body, timeout_ms)
        policy = endpoint.retry or self._config.retry_policy
        now = self._clock.now_ms()
        settlement = decide(delivery, outcome, policy, now, self._chance.uniform())
        if _log.isEnabledFor(logging.INFO):
            _log.info("%s", _line(delivery, endpoint, outcome, settlement, now))
        return settlement

    async def _look_up(self, endpoint_id: str) -> Endpoint | None:
        return next(iter(await self._endpoints.get_many([endpoint_id])), None)


def _line(
    delivery: Delivery, endpoint: Endpoint, outcome: Outcome, settlement: Settlement, now: int
) -> str:
    """Return an attempt's line in the log; of the URL it shows the host alone."""
    number = delivery.attempts_made + 1
    came_to = outcome.status_code or outcome.error_kind or ""
    if settlement.due_at is not None:
        then = f"retry in {(settlement.due_at - now) / 1000:.3g} s"
    else:
        then = settlement.state.value
    return (
        f"[{came_to}] {delivery.event_type} to {url_host(endpoint.url)} "
        f"in {outcome.latency_ms} ms, attempt {number}, {then} ({delivery.id})"
    )
