"""What the toolkit is asked for and what it answers: filters, pages, jobs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from math import ceil

import msgspec

from webhook.domain.model import DeliveryStatus, EndpointStatus

PRIORITY_MAX = 10
PRIORITY_DEFAULT = 5
_HIGH, _MEDIUM = 8, 5


class PriorityLevel(StrEnum):
    """A priority in words: 8 and more, 5 and more, less."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @classmethod
    def of(cls, priority: int) -> PriorityLevel:
        """Return the level of a priority."""
        if priority >= _HIGH:
            return cls.HIGH
        return cls.MEDIUM if priority >= _MEDIUM else cls.LOW

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest priority of the level."""
        match self:
            case PriorityLevel.HIGH:
                return _HIGH, PRIORITY_MAX
            case PriorityLevel.MEDIUM:
                return _MEDIUM, _HIGH - 1
        return 0, _MEDIUM - 1


class DispatchJob(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to one endpoint; 10 is the most urgent ``priority``. Times: epoch ms.

    ``batch_max`` is the most jobs that may share a request with it.
    """

    id: str
    event_id: str
    event_type: str
    payload: str
    endpoint_id: str
    priority: int
    created_at: int
    scheduled_at: int
    attempts: int = 0
    batch_max: int = 1_000

    @property
    def level(self) -> PriorityLevel:
        """Its priority in words."""
        return PriorityLevel.of(self.priority)


class SearchResult[T](msgspec.Struct, frozen=True, kw_only=True):
    """One numbered page of a search; the first one is 1."""

    items: list[T]
    total_count: int
    page: int
    total_pages: int

    @property
    def has_next(self) -> bool:
        """Whether a page follows."""
        return self.page < self.total_pages

    @property
    def has_previous(self) -> bool:
        """Whether a page goes before."""
        return self.page > 1


def paged[T](found: Sequence[T], page: int, limit: int) -> SearchResult[T]:
    """Return a page of what was found; raises ``ValueError`` for a page or limit below 1."""
    if page < 1 or limit < 1:
        raise ValueError("page and limit: both begin at 1.")
    begin = (page - 1) * limit
    return SearchResult(
        items=list(found[begin : begin + limit]),
        total_count=len(found),
        page=page,
        total_pages=ceil(len(found) / limit),
    )


class EndpointFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoints: each field that is given must hold. Times: from, inclusive, to, exclusive.

    ``event_types`` asks for those that receive any of the types; ``filters`` for those whose own
    filter takes any of the values given for a key, or that have none for it.
    """

    status: EndpointStatus | None = None
    event_types: tuple[str, ...] = ()
    filters: dict[str, tuple[str, ...]] = {}
    created_after: int | None = None
    created_before: int | None = None


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries: each field that is given must hold. Times are exact to the millisecond.

    ``status_codes`` and ``has_error`` are about the last attempt.
    """

    endpoint_id: str | None = None
    event_id: str | None = None
    event_type: str | None = None
    status: DeliveryStatus | None = None
    created_after: int | None = None
    created_before: int | None = None
    completed_after: int | None = None
    completed_before: int | None = None
    status_codes: tuple[int, ...] = ()
    has_error: bool | None = None


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events: each field that is given must hold. ``metadata`` compares whole values."""

    type: str | None = None
    metadata: dict[str, str] = {}
    created_after: int | None = None
    created_before: int | None = None


class EndpointStats(msgspec.Struct, frozen=True, kw_only=True):
    """How many endpoints there are, and of which kind."""

    total: int
    by_status: dict[EndpointStatus, int]
    by_event_type: dict[str, int]


class DeliveryStats(msgspec.Struct, frozen=True, kw_only=True):
    """What became of deliveries; ``success_rate`` is of those that have ended, 0 to 100."""

    total: int
    by_status: dict[DeliveryStatus, int]
    success_rate: float
    average_latency_ms: float
    by_error: dict[str, int]
    by_event_type: dict[str, int]


class EventStats(msgspec.Struct, frozen=True, kw_only=True):
    """How many events there are; ``by_hour`` has keys such as ``2026-01-31T12``, UTC."""

    total: int
    by_type: dict[str, int]
    by_hour: dict[str, int]


def within(at: int | None, after: int | None, before: int | None) -> bool:
    """Whether a time lies in a range; one that is missing lies in the unbounded range alone."""
    if at is None:
        return after is None and before is None
    return (after is None or at >= after) and (before is None or at < before)
