"""One attempt to a receiver that has several URLs: the next one is tried when one fails."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from msgspec.structs import replace

from webhook.domain.balancing import Balancer, Failover
from webhook.domain.lifecycle import is_transient
from webhook.domain.model import Endpoint, ErrorKind, Outcome
from webhook.domain.url_rules import url_host
from webhook.ports import Chance, Clock, Sender

ENDPOINTS_KEPT = 1_000


class Targets:
    """Sends to one URL of an endpoint, and to the next if that fails for a reason of its own.

    Which URL works is known to this claimer alone and forgotten with it.
    """

    def __init__(self, sender: Sender, clock: Clock, chance: Chance) -> None:
        self._sender = sender
        self._clock = clock
        self._chance = chance
        self._known: OrderedDict[str, tuple[str, Failover, Balancer]] = OrderedDict()

    async def send(
        self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes, timeout_ms: int
    ) -> Outcome:
        """Make one attempt; see ``Sender.send``. Its deadline is that of all its requests."""
        if endpoint.failover is None:
            return await self._sender.send(endpoint.url, headers, body, timeout_ms)
        balancer = self._balancer(endpoint, endpoint.failover)
        started_at, began = self._clock.now_ms(), self._clock.monotonic_ms()
        left = [endpoint.url, *endpoint.failover.urls]
        failed: list[str] = []
        while True:
            now, chance = self._clock.now_ms(), self._chance.uniform()
            # One that is left alone is still better than to fail.
            url = balancer.choose(left, now, chance, last_resort=True) or left[0]
            left_ms = timeout_ms - round(self._clock.monotonic_ms() - began)
            share_ms = max(1, left_ms // len(left))
            left.remove(url)
            outcome = await self._send(balancer, url, headers, body, share_ms)
            spent_ms = round(self._clock.monotonic_ms() - began)
            if not _passes_on(outcome) or not left or spent_ms >= timeout_ms:
                break
            failed.append(f"{url_host(url)}: {outcome.error}")
        note = f"answered by {url_host(url)}" if outcome.error_kind is None else None
        notes = [part for part in (outcome.note, note, *failed) if part]
        return replace(
            outcome, started_at=started_at, latency_ms=spent_ms, note="; ".join(notes) or None
        )

    async def _send(
        self, balancer: Balancer, url: str, headers: Mapping[str, str], body: bytes, timeout_ms: int
    ) -> Outcome:
        try:
            outcome = await self._sender.send(url, headers, body, timeout_ms)
        except BaseException:
            balancer.release(url)
            raise
        success = not _passes_on(outcome)
        balancer.finish(url, self._clock.now_ms(), outcome.latency_ms, success=success)
        return outcome

    def _balancer(self, endpoint: Endpoint, failover: Failover) -> Balancer:
        """Return what is known of the endpoint's URLs, nothing if they have been changed."""
        known = self._known.pop(endpoint.id, None)
        if known is None or known[:2] != (endpoint.url, failover):
            balancer = Balancer(failover.strategy)
            urls = (endpoint.url, *failover.urls)
            for url, weight in zip(urls, failover.weights or (1,) * len(urls), strict=True):
                balancer.add(url, weight)
            known = (endpoint.url, failover, balancer)
        self._known[endpoint.id] = known
        if len(self._known) > ENDPOINTS_KEPT:
            self._known.popitem(last=False)
        return known[2]


def _passes_on(outcome: Outcome) -> bool:
    """Whether another URL may do better: the fault lies with this one, not with the event."""
    return is_transient(outcome) or outcome.error_kind is ErrorKind.BLOCKED
