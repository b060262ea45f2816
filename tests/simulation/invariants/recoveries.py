"""A recovery does what it counts, nothing twice, nothing out of its range, and comes to an end."""

# ruff: noqa: ARG002 - an invariant is told more than it needs
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.simulation.invariants.accepted import wants
from tests.simulation.invariants.base import Invariant
from tests.simulation.stores import ADVANCE, RECOVERY, REMOVE_ENDED
from tests.simulation.weather import SLOW_S_MAX
from webhook.domain.event import WebhookEvent
from webhook.domain.ids import DeliveryRef, key_time_ms
from webhook.domain.model import Delivery
from webhook.domain.recovery import Recovery, RecoveryKind, RecoveryStatus
from webhook.ports import DOUBLE_CLICK_MS

if TYPE_CHECKING:
    from tests.simulation.history import Change
    from tests.simulation.rest import Listed
    from tests.simulation.world import World

MAKING = (RecoveryKind.MISSED, RecoveryKind.ALL)
# A subscription that was looked up may be as old as a slow answer of the store.
LOOK_UP_S = 4 * SLOW_S_MAX + 1


class RecoveriesDoWhatTheySay(Invariant):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        # What the commit that is looked at has changed.
        self._changes: list[Change] = []
        # Per recovery: what it has brought back, what it must bring back before it is done, and
        # when it began.
        self._brought: dict[str, set[DeliveryRef]] = {}
        self._owed: dict[str, set[DeliveryRef]] = {}
        self._began_s: dict[str, float] = {}

    def changed(self, change: Change) -> None:
        if change.call == ADVANCE:
            self._changes.append(change)
        for owed in self._owed.values():
            owed.discard(change.ref)

    def recovered(self, call: str, asked_at: int, before: Mapping[str, Recovery]) -> None:
        now = self.world.history.recoveries
        changes, self._changes = self._changes, []
        different = [r.id for r in now.values() if r != before.get(r.id)]
        if call == ADVANCE and changes and not different:
            self.world.fail("a recovery that is over has gone on")
        for recovery_id in different:
            was, is_now = before.get(recovery_id), now[recovery_id]
            if was is None:
                self._begins(call, is_now, before)
            elif not was.running:
                self.world.fail(f"{call} changed a recovery that was {was.status.value}")
            elif call == ADVANCE:
                self._goes_on(was, is_now, changes)
            elif call != RECOVERY + "cancel" or _counts(was) != _counts(is_now):
                self.world.fail(f"{call} changed a recovery")
        for recovery_id in before.keys() - now.keys():
            if call != REMOVE_ENDED or before[recovery_id].running:
                self.world.fail(f"{call} removed a recovery")

    def _begins(self, call: str, begun: Recovery, before: Mapping[str, Recovery]) -> None:
        if call != RECOVERY + "start" or not begun.running or any(_counts(begun)):
            self.world.fail(f"{call} made a recovery that is {begun.status.value}")
        for other in before.values():
            if (other.tenant, other.fingerprint) != (begun.tenant, begun.fingerprint):
                continue
            soon = other.created_at >= begun.created_at - DOUBLE_CLICK_MS
            if other.running or (soon and other.status is RecoveryStatus.DONE):
                self.world.fail("the same recovery is begun twice")
        self._brought[begun.id] = set()
        self._began_s[begun.id] = self.world.loop.time()
        self._owed[begun.id] = {
            ref
            for ref, delivery in self.world.history.deliveries.items()
            if delivery.status in begun.statuses and self._in_range(begun, ref, delivery)
        } | self._missed(begun)

    def _missed(self, begun: Recovery) -> set[DeliveryRef]:
        history, endpoint_id = self.world.history, begun.range.endpoint_id or ""
        if begun.kind not in MAKING:
            return set()
        refs = [DeliveryRef(endpoint_id, key) for key in history.events]
        return {
            ref
            for ref in refs
            if ref not in history.deliveries
            and history.events[ref.key].payload
            and self._in_range(begun, ref, None)
            and wants(history.endpoints[endpoint_id], self._emitted(ref.key))
        }

    def _goes_on(self, was: Recovery, is_now: Recovery, changes: list[Change]) -> None:
        replayed = [change for change in changes if change.before is not None]
        made = [change for change in changes if change.before is None]
        counted = (is_now.replayed - was.replayed, is_now.made - was.made)
        if counted != (len(replayed), len(made)):
            self.world.fail(f"a recovery did {len(replayed)}, {len(made)}, and counted {counted}")
        for change in replayed:
            before = change.before
            if before is None or before.status not in was.statuses:
                self.fail(change.ref, f"replayed by a recovery of what is {was.statuses}")
            elif not self._in_range(was, change.ref, before):
                self.fail(change.ref, f"replayed by a recovery of {was.range}")
        for change in made:
            self._is_missed(was, change.ref)
        refs = {change.ref for change in changes}
        if twice := sorted(refs & self._brought[was.id]):
            self.fail(twice[0], "brought back twice by one recovery")
        self._brought[was.id] |= refs
        if is_now.status is RecoveryStatus.DONE:
            for ref in sorted(self._owed.pop(was.id)):
                self._is_left_out(was, ref)

    def _is_missed(self, recovery: Recovery, ref: DeliveryRef) -> None:
        since_s = self.world.loop.time() - LOOK_UP_S
        seen = self.world.history.versions_since(ref.endpoint_id, since_s)
        if recovery.kind not in MAKING or not self._in_range(recovery, ref, None):
            self.fail(ref, f"made by a recovery of {recovery.kind} in {recovery.range}")
        elif not any(wants(version, self._emitted(ref.key)) for version in seen):
            self.fail(ref, "made for an endpoint that is not subscribed")

    def _is_left_out(self, recovery: Recovery, ref: DeliveryRef) -> None:
        """What was there at the beginning, and has not changed since, was to be brought back."""
        history = self.world.history
        since_s, endpoint = history.versions[ref.endpoint_id][-1]
        # What has changed may have been looked up before; what is removed is left alone.
        changed = endpoint.status == "removed" or since_s >= self._began_s[recovery.id]
        event = history.events.get(ref.key)
        if not changed and event is not None and event.payload:
            self.fail(ref, f"left out by a recovery of {recovery.kind} in {recovery.range}")

    def _in_range(self, recovery: Recovery, ref: DeliveryRef, delivery: Delivery | None) -> bool:
        asked, event = recovery.range, self._emitted(ref.key)
        at = key_time_ms(ref.key)
        kind = delivery.attempts[-1].error_kind if delivery and delivery.attempts else None
        return (
            event.tenant == recovery.tenant
            and asked.endpoint_id in (None, ref.endpoint_id)
            and (asked.since is None or at >= asked.since)
            and (asked.until is None or at < asked.until)
            and asked.event_type in (None, event.type)
            and asked.error_kind in (None, kind)
        )

    def _emitted(self, key: str) -> WebhookEvent:
        events, emissions = self.world.history.events, self.world.callers.emissions
        return emissions[events[key].number].event

    def rested(self, listed: Listed) -> None:
        history = self.world.history
        if any(recovery.running for recovery in history.recoveries.values()):
            self.world.fail("a recovery has not come to its end")
        if {r.id: r for r in listed.recoveries} != history.recoveries:
            self.world.fail("the list of recoveries is not what is stored")
        for recovery in history.recoveries.values():
            if recovery.replayed + recovery.made != len(self._brought[recovery.id]):
                self.world.fail("a recovery has counted something else than it did")


def _counts(recovery: Recovery) -> tuple[int, int, int]:
    return recovery.scanned, recovery.replayed, recovery.made
