"""Network, hints, time and chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from webhook.domain.model import Outcome


class Sender(Protocol):
    """Makes one HTTP request."""

    async def send(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_ms: int
    ) -> Outcome:
        """POST ``body`` and say what came of it; raises nothing but cancellation.

        The deadline covers connect, headers and body, and starts when the request really starts.
        The status decides as soon as the headers are in: 2xx is success, whatever the body does
        afterwards (noted). Redirects are never followed. At most ``RESPONSE_BYTES_MAX`` bytes of
        the response are kept and little more is read.
        """
        ...

    async def close(self) -> None:
        """Free its connections."""
        ...


class WakeQueue(Protocol):
    """Carries hints that deliveries are due. It may lose, double or delay them."""

    async def wake(self, delay_ms: int) -> None:
        """Ask for a claim after ``delay_ms``; raises nothing, since a hint may be lost."""
        ...


class Clock(Protocol):
    """Time."""

    def now_ms(self) -> int:
        """Return the wall clock, epoch ms."""
        ...

    def monotonic_ms(self) -> float:
        """Return ms that never go back, for measuring."""
        ...

    async def wait(self, event: WaitEvent, timeout_ms: float | None) -> bool:
        """Wait until ``event`` is set or the time is up; return whether it is set."""
        ...


class WaitEvent(Protocol):
    """What ``asyncio.Event`` offers and a virtual clock can wait for."""

    def is_set(self) -> bool:
        """Whether it is set."""
        ...

    async def wait(self) -> object:
        """Wait until it is set."""
        ...


class Chance(Protocol):
    """Randomness."""

    def random_bytes(self, count: int) -> bytes:
        """Return bytes that nobody can guess."""
        ...

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        ...
