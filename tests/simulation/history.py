"""What has happened so far, as somebody sees it who sees everything. Invariants read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tests.simulation.loop import OWNER, Owner
from tests.simulation.stores import (
    ADVANCE,
    CALL,
    RECOVERY,
    REMOVE_ENDED,
    StoredEndpoint,
    StoredEvent,
    unmarked,
)
from webhook.domain.ids import DeliveryRef
from webhook.domain.model import PENDING_STATES, Delivery, DeliveryState, Outcome
from webhook.domain.recovery import Recovery

if TYPE_CHECKING:
    from tests.simulation.world import World

# After these calls, what stands about endpoints may be another thing.
_ENDPOINT_CALLS = frozenset(("add", "update", "remove", "settle", "sweep"))
_EVENT_CALLS = frozenset(("accept", "sweep", "erase_payload", ADVANCE))
_RECOVERY_CALLS = frozenset((RECOVERY + "start", RECOVERY + "cancel", ADVANCE, REMOVE_ENDED))
# These start a new run of what has ended.
REPLAYS = frozenset(("replay", ADVANCE))


class Lease(msgspec.Struct):
    """One claim of a delivery. ``ends_s`` is when it ends by a clock that does not jump."""

    ref: DeliveryRef
    claim: int
    owner: Owner | None
    asked_s: float
    ends_s: float
    due_at: int
    attempts_before: int
    # By which call it ended, and when: settle, claim (it ran out), sweep, cancel, erase_payload.
    # One that ran out is open to its settle until another call ends the delivery.
    ended_by: str | None = None
    ended_s: float | None = None
    request: Request | None = None
    # Whether its owner has ended it early, with a request under way.
    given_up: bool = False


class Request(msgspec.Struct):
    """One request of a delivery, under way until ``outcome`` is there. A crash leaves it so."""

    ref: DeliveryRef
    url: str
    number: int
    owner: Owner | None
    timeout_s: float
    started_s: float
    started_at: int
    seen: bool
    lease: Lease | None = None
    ended_s: float | None = None
    outcome: Outcome | None = None
    recorded: int = 0


class Change(msgspec.Struct, frozen=True):
    """What one commit made of one delivery; its call was made at ``asked_s``.

    ``asked_at`` is what the wall clock said then.
    """

    call: str
    owner: Owner | None
    now_s: float
    asked_s: float
    asked_at: int
    # The clock that leases compare against.
    store_at: int
    ref: DeliveryRef
    before: Delivery | None
    after: Delivery | None


class History:
    """Keeps leases, requests, events and endpoints, and tells the invariants what happens."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.deliveries: dict[DeliveryRef, Delivery] = {}
        self.pending: set[DeliveryRef] = set()
        self.leases: dict[DeliveryRef, list[Lease]] = {}
        self.requests: list[Request] = []
        self.under_way: dict[DeliveryRef, list[Request]] = {}
        self.events: dict[str, StoredEvent] = {}
        self.recoveries: dict[str, Recovery] = {}
        self.endpoints: dict[str, StoredEndpoint] = {}
        # Per endpoint: since when it has been what.
        self.versions: dict[str, list[tuple[float, StoredEndpoint]]] = {}
        # The latest that the wall clock ever was when a call was made.
        self.latest_at = 0
        self.troubles_s: list[float] = []
        self.crashes_s: list[float] = []
        self.jumps_s: list[float] = []

    # --- what goes wrong --------------------------------------------------------------------------

    def trouble(self) -> None:
        """The store failed, or was slow."""
        self.troubles_s.append(self._world.loop.time())

    @property
    def calamities(self) -> int:
        """How often something happened that may have interrupted a delivery."""
        return len(self.troubles_s) + len(self.crashes_s) + len(self.jumps_s)

    # --- the store --------------------------------------------------------------------------------

    def committed(self, asked_at: int, asked_s: float) -> None:
        """Look at what a call of a store, made then, has changed, and tell the invariants."""
        world, call = self._world, CALL.get()
        owner = OWNER.get(None)
        self.latest_at = max(self.latest_at, asked_at)
        if call in _ENDPOINT_CALLS:
            self._look_at_endpoints()
        changes = world.store.changes()
        if call in _EVENT_CALLS:
            before, self.events = self.events, world.store.events()
            for check in world.checks.events:
                check(call, asked_at, before)
        store_at = asked_at if world.store_clock is None else world.store_clock()
        for ref, was, is_now in changes:
            change = Change(
                call, owner, world.loop.time(), asked_s, asked_at, store_at, ref, was, is_now
            )
            if world.tracing:
                world.note(f"{call}: ", self.name(ref), ": ", told(was), " -> ", told(is_now))
            self._keep(change)
            for check_change in world.checks.changes:
                check_change(change)
        if call in _RECOVERY_CALLS:
            self._look_at_recoveries(call, asked_at)
        for check_call in world.checks.calls:
            check_call(call, store_at)

    def _look_at_recoveries(self, call: str, asked_at: int) -> None:
        before, self.recoveries = self.recoveries, self._world.store.recoveries()
        for recovery in self.recoveries.values():
            if recovery != before.get(recovery.id):
                self._world.note(f"{call}: ", told_of(recovery))
        for check in self._world.checks.recoveries:
            check(call, asked_at, before)

    @property
    def recovering(self) -> bool:
        """Whether a recovery goes on."""
        return any(recovery.running for recovery in self.recoveries.values())

    def _keep(self, change: Change) -> None:
        ref, before, after = change.ref, change.before, change.after
        leases = self.leases.setdefault(ref, [])
        if after is None:
            if leases and leases[-1].ended_by is None:
                leases[-1].ended_by, leases[-1].ended_s = change.call, change.now_s
            self.deliveries.pop(ref, None)
            self.pending.discard(ref)
            return
        self.deliveries[ref] = after
        if after.state in PENDING_STATES:
            self.pending.add(ref)
        else:
            self.pending.discard(ref)
        if before is not None and before.state is DeliveryState.LEASED and leases:
            claimed_anew = after.claim != before.claim
            if claimed_anew or after.state is not DeliveryState.LEASED:
                leases[-1].ended_by, leases[-1].ended_s = change.call, change.now_s
            else:
                leases[-1].given_up = True
        elif leases and change.call != "settle" and after.state not in PENDING_STATES:
            leases[-1].ended_by, leases[-1].ended_s = change.call, change.now_s
        if after.state is DeliveryState.LEASED and (before is None or before.claim != after.claim):
            left_s = ((after.due_at or 0) - change.store_at) / 1000
            # Without a clock of the store's own, a lease counts from when it was asked for.
            began_s = change.asked_s if self._world.store_clock is None else change.now_s
            leases.append(
                Lease(
                    ref=ref,
                    claim=after.claim,
                    owner=change.owner,
                    asked_s=change.asked_s,
                    ends_s=began_s + left_s,
                    due_at=after.due_at or 0,
                    attempts_before=after.attempts_made,
                )
            )

    def _look_at_endpoints(self) -> None:
        world = self._world
        for endpoint in world.store.endpoints():
            known = self.endpoints.get(endpoint.id)
            if known == endpoint:
                continue
            self.versions.setdefault(endpoint.id, []).append((world.loop.time(), endpoint))
            self.endpoints[endpoint.id] = endpoint
            world.note(world.endpoint_name(endpoint.id), " is ", endpoint.status)

    def versions_since(self, endpoint_id: str, since_s: float) -> list[StoredEndpoint]:
        """Return what an endpoint has been since then, beginning with what it was then."""
        found: list[StoredEndpoint] = []
        for at_s, version in self.versions[endpoint_id]:
            if at_s <= since_s:
                found = []
            found.append(version)
        return found

    def has_slept(self, endpoint_id: str) -> bool:
        """Whether an endpoint was ever not active."""
        return any(version.status != "active" for _, version in self.versions[endpoint_id])

    # --- the receivers ----------------------------------------------------------------------------

    def request_began(
        self,
        ref: DeliveryRef | None,
        *,
        url: str,
        body: bytes,
        number: int,
        timeout_ms: int,
        started_at: int,
        seen: bool,
    ) -> Request:
        """Note a request before the receiver has answered it."""
        if ref is None:
            raise AssertionError("a request without a delivery")
        request = Request(
            ref=ref,
            url=url,
            number=number,
            owner=OWNER.get(None),
            timeout_s=timeout_ms / 1000,
            started_s=self._world.loop.time(),
            started_at=started_at,
            seen=seen,
        )
        if ref not in self.leases:
            return request  # a probe, of which nothing is kept
        payload, claim = unmarked(body.decode())
        self._world.note("request ", number, " of ", self.name(ref), " for claim ", claim)
        request.lease = self._lease_of(ref, claim)
        for check in self._world.checks.requests:
            check(request, payload)
        if request.lease is not None:
            request.lease.request = request
        self.requests.append(request)
        self.under_way.setdefault(ref, []).append(request)
        return request

    def request_ended(self, request: Request, outcome: Outcome) -> None:
        """Note how a request ended, as its sender was told."""
        request.ended_s, request.outcome = self._world.loop.time(), outcome
        under_way = self.under_way.get(request.ref, [])
        if request in under_way:
            under_way.remove(request)
            self._world.note(
                "answer to ",
                self.name(request.ref),
                ": ",
                outcome.status_code or outcome.error_kind,
            )

    def is_being_sent(self, ref: DeliveryRef) -> bool:
        """Whether a request of a delivery is under way whose sender still lives."""
        return any(r.owner is None or r.owner.alive for r in self.under_way.get(ref, ()))

    def _lease_of(self, ref: DeliveryRef, claim: int) -> Lease | None:
        return next((x for x in reversed(self.leases[ref]) if x.claim == claim), None)

    def name(self, ref: DeliveryRef) -> str:
        """Return a delivery's name in the trace."""
        event = self.events.get(ref.key)
        what = "?" if event is None else event.number
        return f"event {what} to {self._world.endpoint_name(ref.endpoint_id)}"


def told(delivery: Delivery | None) -> str:
    """Return a delivery's state in the trace."""
    if delivery is None:
        return "none"
    return (
        f"{delivery.state.value}(claim {delivery.claim}, made {delivery.attempts_made}, "
        f"interrupted {delivery.interruptions}, due {delivery.due_at})"
    )


def told_of(recovery: Recovery) -> str:
    """Return a recovery's state in the trace."""
    return (
        f"{recovery.id}({recovery.kind.value}, {recovery.range}) is {recovery.status.value}: "
        f"scanned {recovery.scanned}, replayed {recovery.replayed}, made {recovery.made}"
    )
