"""What is drawn before a world begins. Each fault is there or not, so that worlds differ widely."""

from __future__ import annotations

import random
from typing import Literal

import msgspec

from webhook.domain.config import WebhookConfig

type StoreKind = Literal["sqlite", "memory"]
type Platform = Literal["server", "worker"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """One world. A fault that is off never happens; ``calm`` worlds have none at all."""

    seed: int
    store: StoreKind
    platform: Platform
    # Both stores in one place; else endpoints are matched before an accept.
    joint: bool
    tenants: int
    shuffled: bool
    # Leases compare against the store's own clock, as on D1.
    store_clock: bool
    claimers: int
    endpoints: int
    actions: int
    duration_s: float
    lease_ms: int
    timeout_ms: int
    concurrency: int
    batch_timeout_ms: int
    retry_schedule_s: tuple[float, ...] | None
    retry_delay_ms: int | None
    max_retries: int | None
    transient_only: bool
    faulty_receivers: bool
    crashes: bool
    hint_faults: bool
    # Callers who go away while their call is under way.
    hang_ups: bool
    # One receiver takes down whoever sends to it, again and again.
    poison: bool
    store_faults: bool
    fail_share: float
    slow_store: bool
    outages: bool
    jumps: bool
    # Days may pass, by every clock.
    days: bool
    pending_days: float
    edits: bool
    removals: bool
    replays: bool
    # Pending deliveries may be canceled, and many be delivered again by recoveries.
    cancels: bool
    recoveries: bool
    # Endpoints may have limits; the operator may pause all sending.
    limits: bool
    pauses: bool
    # Some events have an ordering key.
    ordering: bool
    # What is being sent may be canceled and replayed at once; payloads may be erased.
    second_thoughts: bool
    erasures: bool

    @property
    def calm(self) -> bool:
        """Whether nothing goes wrong but, perhaps, at the receivers, and nobody interferes."""
        return not (
            self.crashes
            or self.hang_ups
            or self.poison
            or self.store_faults
            or self.slow_store
            or self.outages
            or self.clock_jumps
            or self.edits
            or self.removals
            or self.cancels
            or self.second_thoughts
            or self.erasures
            or self.limits
            or self.pauses
        )

    @property
    def clock_jumps(self) -> bool:
        """Whether the wall clock is ever set."""
        return self.jumps or self.days

    @property
    def config(self) -> WebhookConfig:
        """The service's settings."""
        retries = self.max_retries
        if retries is not None and self.retry_schedule_s is not None:
            retries = min(retries, len(self.retry_schedule_s))  # more is refused
        return WebhookConfig(
            lease_ms=self.lease_ms,
            timeout_ms=self.timeout_ms,
            concurrency=self.concurrency,
            batch_timeout_ms=self.batch_timeout_ms,
            retry_schedule_s=self.retry_schedule_s,
            retry_delay_ms=self.retry_delay_ms,
            max_retries=retries,
            transient_only=self.transient_only,
            retention_days=1,
            pending_days=self.pending_days,
        )

    def __str__(self) -> str:
        drawn = msgspec.structs.asdict(self)
        faults = [name for name, value in drawn.items() if value is True]
        figures = [f"{k}={v}" for k, v in drawn.items() if not isinstance(v, bool)]
        return f"{' '.join(figures)}; {', '.join(faults) or 'calm'}"


def draw(seed: int) -> Options:
    """Draw a world's options from its seed."""
    dice = random.Random(f"options/{seed}")  # noqa: S311 - must repeat
    store: StoreKind = "sqlite" if dice.random() < 0.6 else "memory"
    # One in eight is calm, to see that all is prompt when nothing goes wrong.
    rough = dice.random() > 0.125
    explicit = dice.random() < 0.7

    def perhaps(share: float) -> bool:
        return dice.random() < share and rough

    drawn = Options(
        seed=seed,
        store=store,
        platform="server" if dice.random() < 0.65 else "worker",
        joint=dice.random() < 0.85,
        tenants=1 if dice.random() < 0.7 else 2,
        shuffled=dice.random() < 0.5,
        store_clock=store == "sqlite" and dice.random() < 0.3,
        claimers=dice.choice((1, 2, 2, 3)),
        endpoints=dice.choice((1, 1, 2, 2, 3, 4)),
        actions=dice.randint(4, 18),
        duration_s=dice.choice((2.0, 10.0, 60.0, 150.0)),
        lease_ms=dice.choice((40_000, 45_000, 60_000)),
        timeout_ms=dice.choice((1_000, 5_000, 15_000, 30_000)),
        concurrency=dice.choice((1, 2, 5, 8, 64)),
        batch_timeout_ms=dice.choice((5_000, 30_000, 60_000, 60_000)),
        retry_schedule_s=dice.choice(((), (0,), (1, 5), (1, 5, 30), (0, 2, 10, 20)))
        if explicit
        else None,
        retry_delay_ms=None if explicit else dice.choice((0, 500, 3_000)),
        max_retries=dice.choice((None, 0, 2)) if explicit else dice.choice((1, 3, 4)),
        transient_only=dice.random() < 0.2,
        faulty_receivers=dice.random() < 0.6,
        crashes=perhaps(0.5),
        hang_ups=perhaps(0.25),
        hint_faults=dice.random() < 0.35,
        poison=perhaps(0.06),
        store_faults=perhaps(0.5),
        fail_share=dice.choice((0.03, 0.08, 0.25)),
        slow_store=perhaps(0.3),
        outages=perhaps(0.3),
        jumps=perhaps(0.4),
        days=perhaps(0.15),
        pending_days=dice.choice((1, 2, 30)),
        edits=perhaps(0.5),
        removals=perhaps(0.4),
        replays=dice.random() < 0.5,
        cancels=perhaps(0.35),
        recoveries=dice.random() < 0.4,
        limits=perhaps(0.4),
        pauses=perhaps(0.15),
        ordering=dice.random() < 0.4,
        second_thoughts=perhaps(0.3),
        erasures=perhaps(0.25),
    )
    # One at a time, what kills its senders would take hours; and limits need both stores in one.
    limits = drawn.limits and drawn.joint and not drawn.poison
    ordering = drawn.ordering and not drawn.poison
    # Nor are its victims begun again, for as long as a world lasts.
    recoveries = drawn.recoveries and not drawn.poison
    return msgspec.structs.replace(drawn, limits=limits, ordering=ordering, recoveries=recoveries)
