"""At rest nobody holds anything: no slot, no attempt, no outcome that is still to be written."""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from tests.simulation.rest import is_idle

if TYPE_CHECKING:
    from tests.simulation.rest import Listed


class NobodyHoldsAnythingAtRest(Invariant):
    def rested(self, listed: Listed) -> None:
        for process in self.world.platform.living():
            if not is_idle(process):
                self.world.fail(f"{process.name} still holds slots, claims or outcomes")
