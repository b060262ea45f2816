"""Only what is older than its retention is removed, and nothing that is pending."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from webhook.domain.ids import key_time_ms

if TYPE_CHECKING:
    from tests.simulation.stores import StoredEvent

DAY_MS = 86_400_000


class OnlyTheOldIsRemoved(Invariant):
    def stored(self, call: str, asked_at: int, before: Mapping[str, StoredEvent]) -> None:
        history = self.world.history
        # The clock may have jumped while the sweep was asked for.
        now = asked_at if not self.options.clock_jumps else history.latest_at
        kept_ms = round(self.options.config.retention_days * DAY_MS)
        for key in before.keys() - history.events.keys():
            if call != "sweep":
                self.world.fail(f"event {before[key].number} was removed by {call}")
            elif key_time_ms(key) >= now - kept_ms:
                self.world.fail(f"event {before[key].number} was removed before its time")
