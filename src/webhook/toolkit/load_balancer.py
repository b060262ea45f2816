"""``LoadBalancer``: which of several endpoints gets the next request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from webhook.adapters.system import SystemChance, SystemClock
from webhook.domain.balancing import TARGET_FAILURES_MAX, Balancer, CircuitState, Strategy
from webhook.domain.model import Endpoint
from webhook.engine.probe import ProbeResult
from webhook.ports import Chance, Clock

Check = Callable[[str], Awaitable[ProbeResult]]


class EndpointHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What a load balancer knows of one endpoint; ``latency_ms`` is a moving average."""

    endpoint_id: str
    healthy: bool
    circuit: CircuitState
    consecutive_failures: int
    active_connections: int
    latency_ms: float | None


class LoadBalancerStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a load balancer knows of all of its endpoints."""

    total_endpoints: int
    healthy_endpoints: int
    active_connections: int
    open_circuits: int
    average_latency_ms: float


class LoadBalancer:
    """Chooses among endpoints by ``strategy``; what came of requests says who is healthy.

    ``weights`` are by endpoint id, 1 unless given; 0 gets nothing but trials. After
    ``failures_max`` failures in a row an endpoint's circuit is open: it is left alone, then tried
    out with one request at a time; see ``domain/balancing.py``.

    ``check`` asks an endpoint whether it lives, without waiting for a request: give
    ``runtime.probe_endpoint``, one signed POST, which a receiver that takes nothing but POST
    answers too. ``run_checks`` asks all every ``check_interval_ms``. A check is no request: it
    leaves the count of connections alone.
    """

    def __init__(
        self,
        strategy: Strategy | str = Strategy.ROUND_ROBIN,
        *,
        weights: Mapping[str, int] | None = None,
        failures_max: int = TARGET_FAILURES_MAX,
        check: Check | None = None,
        check_interval_ms: int = 30_000,
        clock: Clock | None = None,
        chance: Chance | None = None,
    ) -> None:
        self._balancer = Balancer(Strategy(strategy), failures_max=failures_max)
        self._weights = dict(weights or {})
        if any(weight < 0 for weight in self._weights.values()):
            raise ValueError("weights: none is below 0; 0 gets nothing.")
        self._check = check
        self._check_interval_ms = check_interval_ms
        self._clock = clock or SystemClock()
        self._chance = chance or SystemChance()
        self._ended = asyncio.Event()

    def register_endpoint(self, endpoint: Endpoint) -> None:
        """Know an endpoint; sends nothing."""
        self._balancer.add(endpoint.id, self._weights.get(endpoint.id, 1))

    def unregister_endpoint(self, endpoint_id: str) -> None:
        """Forget an endpoint."""
        self._balancer.remove(endpoint_id)

    def select_endpoint(self, endpoints: Sequence[Endpoint]) -> Endpoint | None:
        """Return who gets the next request, None when nobody may.

        ``on_request_complete`` follows, whatever becomes of it.
        """
        for endpoint in endpoints:
            if endpoint.id not in self._balancer.targets:
                self.register_endpoint(endpoint)
        names = [endpoint.id for endpoint in endpoints if endpoint.active]
        chosen = self._balancer.choose(names, self._clock.now_ms(), self._chance.uniform())
        return next((endpoint for endpoint in endpoints if endpoint.id == chosen), None)

    def on_request_complete(self, endpoint_id: str, *, success: bool, latency_ms: float) -> None:
        """Say what came of a request to an endpoint that was selected."""
        self._balancer.finish(endpoint_id, self._clock.now_ms(), latency_ms, success=success)

    def get_endpoint_health(self, endpoint_id: str) -> EndpointHealth | None:
        """Return what is known of an endpoint, None when it is not registered."""
        target = self._balancer.targets.get(endpoint_id)
        if target is None:
            return None
        circuit = target.circuit(self._clock.now_ms())
        return EndpointHealth(
            endpoint_id=endpoint_id,
            healthy=circuit is CircuitState.CLOSED,
            circuit=circuit,
            consecutive_failures=target.failures,
            active_connections=target.under_way,
            latency_ms=target.latency_ms,
        )

    def get_all_endpoint_health(self) -> list[EndpointHealth]:
        """Return what is known of every endpoint."""
        found = (self.get_endpoint_health(name) for name in self._balancer.targets)
        return [health for health in found if health is not None]

    def get_stats(self) -> LoadBalancerStats:
        """Return the sums over all endpoints."""
        every = self.get_all_endpoint_health()
        latencies = [health.latency_ms for health in every if health.latency_ms is not None]
        return LoadBalancerStats(
            total_endpoints=len(every),
            healthy_endpoints=sum(health.healthy for health in every),
            active_connections=sum(health.active_connections for health in every),
            open_circuits=sum(health.circuit is not CircuitState.CLOSED for health in every),
            average_latency_ms=sum(latencies) / len(latencies) if latencies else 0.0,
        )

    async def check_endpoints(self) -> None:
        """Ask each endpoint once whether it lives, all at the same time.

        Raises ``RuntimeError`` without a ``check``. An endpoint that cannot be asked at all, since
        it was removed or its rate gives no start, counts neither way.
        """
        if self._check is None:
            raise RuntimeError("check: give one, such as runtime.probe_endpoint.")
        names = list(self._balancer.targets)
        results = await asyncio.gather(*map(self._check, names), return_exceptions=True)
        for name, result in zip(names, results, strict=True):
            if isinstance(result, ProbeResult):
                self._balancer.observe(
                    name, self._clock.now_ms(), result.latency_ms, success=result.success
                )

    async def run_checks(self) -> None:
        """Ask all endpoints every ``check_interval_ms``, until ``shutdown``."""
        while not await self._clock.wait(self._ended, self._check_interval_ms):
            await self.check_endpoints()

    def shutdown(self) -> None:
        """End ``run_checks``."""
        self._ended.set()
