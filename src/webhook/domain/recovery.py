"""A recovery: many deliveries made again, or made at last, in pieces. Times are epoch ms."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Self

import msgspec

from webhook.domain.event_types import OPERATIONAL_TYPES
from webhook.domain.ids import is_key
from webhook.domain.json_text import as_number
from webhook.domain.matching import facets, filter_groups, groups_match, patterns_for
from webhook.domain.model import DeliveryStatus, Endpoint, ErrorKind

DEAD = (DeliveryStatus.FAILED, DeliveryStatus.EXHAUSTED)
FINISHED = tuple(status for status in DeliveryStatus if status is not DeliveryStatus.PENDING)


class RecoveryKind(StrEnum):
    """What is recovered: the first three of one endpoint, the last whatever a filter matches."""

    FAILED = "failed"
    MISSED = "missed"
    ALL = "all"
    FILTER = "filter"


class RecoveryStatus(StrEnum):
    """Where a recovery stands; only a running one goes on."""

    RUNNING = "running"
    DONE = "done"
    CANCELED = "canceled"


class RecoveryRange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a recovery looks at: events accepted from ``since`` on and before ``until``.

    ``endpoint_id`` stands alone with the kinds of one endpoint; the others narrow a filter.
    """

    since: int | None = None
    until: int | None = None
    endpoint_id: str | None = None
    event_type: str | None = None
    status: DeliveryStatus | None = None
    error_kind: ErrorKind | None = None


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """A recovery. Its range is fixed when it starts, and ``cursor`` says how far it has come.

    What stands behind the cursor is not looked at again, so what fails once more meanwhile stays
    failed. ``fingerprint`` is the same for the same wish. ``scanned`` counts the rows looked at,
    ``replayed`` the new runs of deliveries, ``made`` the deliveries of events that were missed.
    """

    id: str
    tenant: str
    kind: RecoveryKind
    range: RecoveryRange
    fingerprint: str
    created_at: int
    updated_at: int
    status: RecoveryStatus = RecoveryStatus.RUNNING
    cursor: str = ""
    scanned: int = 0
    replayed: int = 0
    made: int = 0
    reason: str | None = None

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.status is RecoveryStatus.RUNNING

    @property
    def statuses(self) -> tuple[DeliveryStatus, ...]:
        """The ends out of which it brings a delivery back."""
        if self.kind is RecoveryKind.FAILED:
            return DEAD
        if self.kind is RecoveryKind.FILTER and self.range.status is not None:
            return (self.range.status,)
        return () if self.kind is RecoveryKind.MISSED else FINISHED


class RecoveryCount(msgspec.Struct, frozen=True, kw_only=True):
    """What a recovery would do; counting has a bound, and ``more`` says that it was reached."""

    scanned: int = 0
    replayed: int = 0
    made: int = 0
    more: bool = False


class Subscription(msgspec.Struct, frozen=True):
    """Which events an endpoint receives, to be asked long after they were accepted."""

    patterns: frozenset[str]
    groups: list[list[str]]
    enabled_types: frozenset[str] | None = None

    @classmethod
    def of(cls, endpoint: Endpoint, enabled_types: Iterable[str] | None) -> Self:
        """Return an endpoint's; ``enabled_types`` are those that are delivered, None is all."""
        enabled = None if enabled_types is None else frozenset(enabled_types)
        return cls(frozenset(endpoint.event_types), filter_groups(endpoint.filters), enabled)

    def wants_type(self, event_type: str) -> bool:
        """Whether events of this type are received, if their metadata fit."""
        enabled = self.enabled_types is None or event_type in self.enabled_types
        if not enabled and event_type not in OPERATIONAL_TYPES:
            return False
        return not self.patterns.isdisjoint(patterns_for(event_type))

    def wants_metadata(self, text: str | None) -> bool:
        """Whether an event with these metadata, a JSON object, is received if its type fits."""
        if not self.groups:
            return True
        return groups_match(self.groups, facets(json.loads(text or "{}", parse_int=as_number)))


def fingerprint(kind: RecoveryKind, asked: RecoveryRange) -> str:
    """Return what two wishes for the same recovery have in common; no ``until`` stays none."""
    return hashlib.sha256(msgspec.json.encode([kind, asked])).hexdigest()[:32]


def is_recovery_id(text: str) -> bool:
    """Whether ``text`` has the form ``rcv_`` + 26 characters."""
    return text.startswith("rcv_") and is_key(text[4:])
