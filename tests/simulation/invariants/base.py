"""What an invariant may be told. It answers with ``fail``, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from webhook.domain.ids import DeliveryRef
from webhook.domain.recovery import Recovery

if TYPE_CHECKING:
    from tests.simulation.history import Change, Request
    from tests.simulation.rest import Listed
    from tests.simulation.stores import StoredEvent
    from tests.simulation.world import World


class Invariant:
    """One promise, looked at whenever something happens that could break it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.options = world.options

    def changed(self, change: Change) -> None:
        """One delivery is another one now, after a commit."""

    def called(self, call: str, store_at: int) -> None:
        """A call of a store has committed; leases compare against ``store_at``."""

    def stored(self, call: str, asked_at: int, before: Mapping[str, StoredEvent]) -> None:
        """A call that may change events has committed; ``before`` is what was there."""

    def recovered(self, call: str, asked_at: int, before: Mapping[str, Recovery]) -> None:
        """A call that may change recoveries has committed; ``before`` is what was there."""

    def requested(self, request: Request, payload: str) -> None:
        """A request with this payload has begun."""

    def rested(self, listed: Listed) -> None:
        """All is healed and nothing is pending any more."""

    def fail(self, ref: DeliveryRef, sentence: str) -> None:
        """Say what is broken about a delivery."""
        self.world.fail(f"{self.world.history.name(ref)}: {sentence}")
