"""What becomes of endpoints and dead letters is told, once each, whoever dies on the way."""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

from tests.simulation.invariants.base import Invariant
from webhook.domain.ids import lane_of
from webhook.domain.model import DeliveryState

if TYPE_CHECKING:
    from tests.simulation.history import Change
    from tests.simulation.rest import Listed
    from tests.simulation.world import World

_TELLING = frozenset(("accept", "settle", "update", "sweep", "forget_notices"))


class TransitionsAreToldOnce(Invariant):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._expected: set[str] = set()
        # By notice: the key of its event, or None while it is only noted.
        self._ever: dict[str, str | None] = {}

    def changed(self, change: Change) -> None:
        after = change.after
        if change.call == "settle" and after and after.state is DeliveryState.EXHAUSTED:
            lane = lane_of(change.ref.endpoint_id)
            self._expected.add(f"{lane}:{change.ref.key}:{after.claim}")

    def called(self, call: str, store_at: int) -> None:
        if call not in _TELLING:
            return
        told, noted = self.world.store.told()
        for notice in noted:
            self._ever.setdefault(notice, None)
        for key, notice in told.items():
            before = self._ever.get(notice)
            if before not in (None, key) and before in told:
                self.world.fail(f"{notice} is told a second time")
            self._ever[notice] = key
        for notice, at in self._ever.items():
            if at is None and notice not in noted:
                self.world.fail(f"{notice} is forgotten before it is told")

    def rested(self, listed: Listed) -> None:
        dead = {notice for notice in self._ever if notice.count(":") == 2}
        if dead != self._expected:
            self.world.fail(f"told of dead letters: {sorted(dead ^ self._expected)} is wrong")
        if not self.options.joint:
            return  # there endpoints are disabled and told of after the settle, or not at all
        told = Counter(notice.partition(":")[0] for notice in self._ever if notice not in dead)
        for endpoint_id, versions in self.world.history.versions.items():
            statuses = [version.status for _, version in versions]
            least = sum({"active", "error"} == set(move) for move in itertools.pairwise(statuses))
            if told[lane_of(endpoint_id)] < least:
                name = self.world.endpoint_name(endpoint_id)
                self.world.fail(f"{name} became or left error {least} times, and more was not told")
