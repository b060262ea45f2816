"""The promises, one a file. A new one is a subclass of ``Invariant`` in ``INVARIANTS``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.invariants.accepted import EveryEventIsStoredOnce
from tests.simulation.invariants.agreement import TheServiceSaysWhatReceiversSaw
from tests.simulation.invariants.asleep import NothingIsClaimedForSleepers
from tests.simulation.invariants.base import Invariant
from tests.simulation.invariants.claims import AClaimWakesWhatIsDue
from tests.simulation.invariants.counting import NumbersOnlyRise
from tests.simulation.invariants.dead_letters import DeadLettersHaveACause
from tests.simulation.invariants.fence import OnlyTheLastClaimSettles
from tests.simulation.invariants.idle import NobodyHoldsAnythingAtRest
from tests.simulation.invariants.leases import LeasesCoverTheirRequests
from tests.simulation.invariants.limits import (
    NoMoreIsLeasedThanAllowed,
    NothingIsClaimedWhileSendingIsPaused,
    StartsKeepTheirDistance,
    WhoFailedIsPaced,
)
from tests.simulation.invariants.log import TheLogTellsWhatHappened
from tests.simulation.invariants.ordering import OneAfterTheOther
from tests.simulation.invariants.overlap import OverlapsHaveACause
from tests.simulation.invariants.prompt import NobodyWaitsForTheSweep
from tests.simulation.invariants.records import EveryRequestIsRecorded
from tests.simulation.invariants.recoveries import RecoveriesDoWhatTheySay
from tests.simulation.invariants.retention import OnlyTheOldIsRemoved
from tests.simulation.invariants.retries import RetriesFollowThePolicy
from tests.simulation.invariants.settings import RequestsFollowTheirEndpoint
from tests.simulation.invariants.shape import NoStateIsImpossible
from tests.simulation.invariants.told import TransitionsAreToldOnce
from tests.simulation.invariants.transitions import NoTransitionIsForbidden

if TYPE_CHECKING:
    from tests.simulation.world import World

INVARIANTS: tuple[type[Invariant], ...] = (
    NoStateIsImpossible,
    NoTransitionIsForbidden,
    AClaimWakesWhatIsDue,
    NumbersOnlyRise,
    TheLogTellsWhatHappened,
    OnlyTheLastClaimSettles,
    LeasesCoverTheirRequests,
    OverlapsHaveACause,
    OneAfterTheOther,
    NothingIsClaimedForSleepers,
    RequestsFollowTheirEndpoint,
    NoMoreIsLeasedThanAllowed,
    StartsKeepTheirDistance,
    WhoFailedIsPaced,
    NothingIsClaimedWhileSendingIsPaused,
    EveryEventIsStoredOnce,
    EveryRequestIsRecorded,
    RetriesFollowThePolicy,
    DeadLettersHaveACause,
    NobodyWaitsForTheSweep,
    OnlyTheOldIsRemoved,
    RecoveriesDoWhatTheySay,
    TheServiceSaysWhatReceiversSaw,
    TransitionsAreToldOnce,
    NobodyHoldsAnythingAtRest,
)


class Checks:
    """All invariants of one world, sorted by what they want to be told."""

    def __init__(self, world: World) -> None:
        made = [invariant(world) for invariant in INVARIANTS]
        self.changes = [i.changed for i in made if type(i).changed is not Invariant.changed]
        self.calls = [i.called for i in made if type(i).called is not Invariant.called]
        self.events = [i.stored for i in made if type(i).stored is not Invariant.stored]
        self.recoveries = [
            i.recovered for i in made if type(i).recovered is not Invariant.recovered
        ]
        self.requests = [i.requested for i in made if type(i).requested is not Invariant.requested]
        self.rest = [i.rested for i in made if type(i).rested is not Invariant.rested]
