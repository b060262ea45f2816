"""Stores that can be watched and made to fail, around any pair of real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

import msgspec

from webhook.domain.errors import StoreUnavailable
from webhook.ports import (
    WebhookDeliveryStore,
    WebhookEndpointStore,
    WebhookPersistence,
    WebhookRecoveryStore,
)
from webhook.testing import VirtualClock

type When = Literal["before", "after"]


class Faults:
    """What goes wrong with which method: ``fail("claim", 3)`` lets the next three claims fail.

    ``before`` nothing was done; ``after`` all of it was, and only the answer is lost.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.hold: dict[str, Callable[[], Awaitable[object]]] = {}
        self._planned: dict[str, list[When]] = {}
        self._for_ever: dict[str, When] = {}

    def fail(self, method: str, times: int | None = None, when: When = "before") -> None:
        """Plan failures, for ever when ``times`` is None."""
        if times is None:
            self._for_ever[method] = when
        else:
            self._planned.setdefault(method, []).extend([when] * times)

    def heal(self) -> None:
        """Let nothing fail any more."""
        self._planned.clear()
        self._for_ever.clear()
        self.hold.clear()

    def next(self, method: str) -> When | None:
        self.calls[method] += 1
        planned = self._planned.get(method)
        return planned.pop(0) if planned else self._for_ever.get(method)


class _Watched:
    """``prefix`` tells the methods of one store from those of another."""

    def __init__(
        self, store: object, clock: VirtualClock, faults: Faults, prefix: str = ""
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._clock = clock
        self._faults = faults

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)
        name = self._prefix + name

        async def call(*args: Any, **options: Any) -> Any:
            when = self._faults.next(name)
            if name in self._faults.hold:
                await self._faults.hold[name]()
            if when == "before":
                raise StoreUnavailable(f"{name}: not done")
            with self._clock.outside():
                answer = await method(*args, **options)
            if when == "after":
                raise StoreUnavailable(f"{name}: done, but the answer is lost")
            return answer

        return call


def watched(
    persistence: WebhookPersistence, clock: VirtualClock, faults: Faults
) -> WebhookPersistence:
    """Return the persistence with every call seen by ``faults`` and waited for by the clock."""
    init, close = persistence.init, persistence.close

    async def open_outside() -> None:
        if init is not None:
            with clock.outside():
                await init()

    async def close_outside() -> None:
        if close is not None:
            with clock.outside():
                await close()

    return msgspec.structs.replace(
        persistence,
        init=open_outside,
        close=close_outside,
        endpoint_store=cast(
            "WebhookEndpointStore", _Watched(persistence.endpoint_store, clock, faults)
        ),
        delivery_store=cast(
            "WebhookDeliveryStore", _Watched(persistence.delivery_store, clock, faults)
        ),
        recovery_store=None
        if persistence.recovery_store is None
        else cast(
            "WebhookRecoveryStore", _Watched(persistence.recovery_store, clock, faults, "recovery.")
        ),
    )
