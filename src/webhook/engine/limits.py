"""How much one claimer may hold: a server, an invocation of a Worker, a call that waits."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one claimer may hold.

    ``slots`` attempts at once, ``per_endpoint`` of them to one endpoint (a quarter unless given).
    ``waiting`` deliveries more may be held, so that no slot waits for the store.
    ``ahead`` deliveries may be claimed at once to wait for a slot, which saves round trips where
    each is dear; ``take_max`` bounds what it claims in all. ``linger_ms`` is how long an outcome
    waits for others to be settled together with. ``timeout_ms_max`` bounds the endpoints that it
    sends to: those that need more are given back. ``gate_waits`` is how often it waits for what it
    sends to a limited endpoint, so as to claim more of it; None is as often as there is more.
    """

    slots: int
    per_endpoint: int | None = None
    waiting: int = 0
    ahead: int = 0
    take_max: int | None = None
    linger_ms: float = 0
    timeout_ms_max: int | None = None
    gate_waits: int | None = None
