"""Which of several targets gets the next request, and which are left alone for a while.

Health is passive: what came of requests says it. Failures count in a row, a success forgets them;
after ``failures_max`` the target's circuit is open, by the rule of ``health``: it gets nothing for
a while that doubles with each trial that fails. A trial is one request once the while is over, and
it comes before any other choice, or a target would never return while others work. Whoever makes a
trial and never says what came of it costs the target one more while, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import msgspec

from webhook.domain.health import circuit_ms, circuit_open

TARGET_FAILURES_MAX = 3
FAILOVER_URLS_MAX = 9
WEIGHT_MAX = 1_000
# The share of the newest latency in the average.
_LATENCY_SHARE = 0.2


class Strategy(StrEnum):
    """How a target is chosen among those whose circuits are closed."""

    ROUND_ROBIN = "round-robin"
    LEAST_CONNECTIONS = "least-connections"
    WEIGHTED = "weighted"
    RANDOM = "random"


class Failover(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Further URLs of one receiver; each attempt goes to one of all of them, by ``strategy``.

    If that one cannot be reached or answers 408, 429 or 5xx, the next is tried within the same
    attempt and its deadline, of which each has an even share of what is left. ``weights`` are those
    of the endpoint's ``url`` and of ``urls``, in order.
    """

    urls: Annotated[
        tuple[str, ...], msgspec.Meta(description=f"Further URLs, 1 to {FAILOVER_URLS_MAX}.")
    ]
    strategy: Strategy = Strategy.ROUND_ROBIN
    weights: Annotated[
        tuple[int, ...] | None,
        msgspec.Meta(
            description="With the strategy weighted: shares of the endpoint's url and of urls, "
            f"0 to {WEIGHT_MAX}; 0 is for when others fail."
        ),
    ] = None

    def __repr__(self) -> str:
        """Hide URLs from logs."""
        return f"Failover(strategy={self.strategy.value!r})"


class CircuitState(StrEnum):
    """``half-open``: one request may try whether the target works again."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Target(msgspec.Struct):
    """What is known of one target. ``credit`` is its claim to the next turn, by weight."""

    weight: int = 1
    under_way: int = 0
    failures: int = 0
    open_until: int | None = None
    latency_ms: float | None = None
    credit: int = 0
    chosen_at: int = 0

    def circuit(self, now: int) -> CircuitState:
        """Return where its circuit stands at ``now``, epoch ms."""
        if self.open_until is None:
            return CircuitState.CLOSED
        return CircuitState.OPEN if circuit_open(self.open_until, now) else CircuitState.HALF_OPEN


class Balancer:
    """Chooses by ``strategy`` and remembers what came of it. Time and chance are the caller's."""

    def __init__(
        self,
        strategy: Strategy = Strategy.ROUND_ROBIN,
        *,
        failures_max: int = TARGET_FAILURES_MAX,
    ) -> None:
        if failures_max < 1:
            raise ValueError("failures_max: at least one failure opens a circuit.")
        self.strategy = strategy
        self.failures_max = failures_max
        self.targets: dict[str, Target] = {}
        self._turn = 0

    def add(self, name: str, weight: int = 1) -> None:
        """Add a target, or change the weight of one that is there; weight 0 gets trials alone."""
        if weight < 0:
            raise ValueError(f"weight: {weight} is below 0, which is a target that gets nothing.")
        self.targets.setdefault(name, Target()).weight = weight

    def remove(self, name: str) -> None:
        """Forget a target."""
        self.targets.pop(name, None)

    def choose(
        self, names: Sequence[str], now: int, chance: float, *, last_resort: bool = False
    ) -> str | None:
        """Return who gets the next request, and count it as under way; None if all are left alone.

        ``chance`` is in [0, 1). With ``last_resort`` one whose circuit is open is better than none.
        Every choice is followed by ``finish``.
        """
        for name in names:
            if name not in self.targets:
                self.add(name)
        states = {name: self.targets[name].circuit(now) for name in names}
        chosen = next((n for n in names if states[n] is CircuitState.HALF_OPEN), None)
        if chosen is None:
            closed = [n for n in names if states[n] is CircuitState.CLOSED]
            if self.strategy is Strategy.WEIGHTED:
                closed = [n for n in closed if self.targets[n].weight]
            chosen = self._by_strategy(closed, chance) if closed else None
        if chosen is None and last_resort and names:
            # Whose circuit closes first has been left alone for longest.
            chosen = min(names, key=lambda n: self.targets[n].open_until or 0)
        if chosen is None:
            return None
        target = self.targets[chosen]
        if target.open_until is not None:
            target.open_until = now + self._circuit_ms(target.failures)
        self._turn += 1
        target.chosen_at = self._turn
        target.under_way += 1
        return chosen

    def finish(self, name: str, now: int, latency_ms: float, *, success: bool) -> None:
        """Say what came of a request that was chosen; of an unknown target nothing is kept."""
        target = self.targets.get(name)
        if target is None:
            return
        self.release(name)
        self.observe(name, now, latency_ms, success=success)

    def release(self, name: str) -> None:
        """Count a request as under way no more, of which nobody knows what came of it."""
        if (target := self.targets.get(name)) is not None:
            target.under_way = max(0, target.under_way - 1)

    def observe(self, name: str, now: int, latency_ms: float, *, success: bool) -> None:
        """Take note of how a target does without a request that was chosen: a check's result."""
        target = self.targets.get(name)
        if target is None:
            return
        if success:
            target.failures, target.open_until = 0, None
            before = target.latency_ms
            target.latency_ms = (
                latency_ms if before is None else before + _LATENCY_SHARE * (latency_ms - before)
            )
            return
        target.failures += 1
        if target.failures >= self.failures_max:
            target.open_until = now + self._circuit_ms(target.failures)

    def _circuit_ms(self, failures: int) -> int:
        return circuit_ms(failures, failures_max=self.failures_max) or 0

    def _by_strategy(self, names: Sequence[str], chance: float) -> str:
        match self.strategy:
            case Strategy.RANDOM:
                return names[int(chance * len(names))]
            case Strategy.LEAST_CONNECTIONS:
                return min(names, key=lambda n: (self._load(n), self.targets[n].chosen_at))
            case Strategy.WEIGHTED:
                return self._by_weight(names)
            case _:
                return min(names, key=lambda n: self.targets[n].chosen_at)

    def _load(self, name: str) -> int:
        return self.targets[name].under_way

    def _by_weight(self, names: Sequence[str]) -> str:
        """Smooth weighted round-robin, as nginx does it: 5, 1, 1 is a a b a c a a."""
        total = 0
        for name in names:
            target = self.targets[name]
            target.credit += target.weight
            total += target.weight
        chosen = max(names, key=lambda n: self.targets[n].credit)
        self.targets[chosen].credit -= total
        return chosen
