"""The real stores with the weather around them, and a look at what truly stands in them.

Every call of a store has its name in ``CALL`` while it runs, so that a commit knows what it is for.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from tests.simulation.database import emptied, execute
from webhook.adapters.memory import MemoryDeliveryStore, MemoryEndpointStore
from webhook.adapters.sql.database import Row, Statement
from webhook.adapters.sql.persistence import create_sql_persistence
from webhook.adapters.sql.rows import read_delivery
from webhook.domain.ids import DeliveryRef, endpoint_of_lane
from webhook.domain.model import Delivery
from webhook.domain.retry import RetryPolicy
from webhook.ports import (
    AcceptResult,
    Claim,
    Claimed,
    WebhookDeliveryStore,
    WebhookEndpointStore,
    WebhookPersistence,
)

if TYPE_CHECKING:
    from tests.simulation.weather import Weather

type Changed = tuple[DeliveryRef, Delivery | None, Delivery | None]

CALL: contextvars.ContextVar[str] = contextvars.ContextVar("call", default="?")
REMOVED = "removed"
CLAIM_HEADER = "x-claim"


class StoredEvent(msgspec.Struct, frozen=True):
    """An event as it stands in the store; ``number`` is the one that its caller gave it."""

    key: str
    tenant: str
    number: int
    targets: tuple[str, ...]


class StoredEndpoint(msgspec.Struct, frozen=True):
    """What decides whether an endpoint receives an event, and what it is sent."""

    id: str
    tenant: str
    url: str
    status: str
    event_types: tuple[str, ...]
    filters: dict[str, tuple[Any, ...]]
    retry: RetryPolicy | None
    concurrency_max: int | None = None
    rate_limit_per_second: float | None = None


class SimulatedStore(Protocol):
    """One store that several processes share."""

    def persistence(self) -> WebhookPersistence:
        """Return what one process has of it."""
        ...

    def changes(self) -> list[Changed]:
        """Return what has become of the deliveries since the last call: before and after."""
        ...

    def events(self) -> dict[str, StoredEvent]:
        """Return all events by their key."""
        ...

    def endpoints(self) -> list[StoredEndpoint]:
        """Return all endpoints, the removed ones as far as they are known."""
        ...

    def paused(self) -> bool:
        """Whether the operator has paused all sending."""
        ...


def named[T](store: T, through: Weather | None) -> T:
    """Return the store with its calls named, and sent through the weather if it is given."""
    return cast("T", _Named(store, through))


class _Named:
    def __init__(self, store: object, through: Weather | None) -> None:
        self._store = store
        self._through = through

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)

        async def call(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - any method's
            token = CALL.set(name)
            try:
                if self._through is None:
                    answer = await method(*args, **options)
                else:
                    answer = await self._through.through(lambda: _at_once(method(*args, **options)))
                return _marked(answer) if name in ("accept", "claim") else answer
            finally:
                CALL.reset(token)

        setattr(self, name, call)
        return call


def _marked[T: (AcceptResult, Claim)](answer: T) -> T:
    """Let each request say for which claim it is made, by a header of its endpoint."""
    return msgspec.structs.replace(answer, claimed=[_with_claim(one) for one in answer.claimed])


def _with_claim(claimed: Claimed) -> Claimed:
    if claimed.endpoint is None:
        return claimed
    headers = {CLAIM_HEADER: str(claimed.delivery.claim)}
    endpoint = msgspec.structs.replace(claimed.endpoint, headers=headers)
    return msgspec.structs.replace(claimed, endpoint=endpoint)


def _at_once[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that awaits nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    raise AssertionError("a method of the memory store waits for something")


class MemoryWorld:
    """The memory store; all processes share its objects, since it knows no others."""

    def __init__(self, weather: Weather) -> None:
        self._endpoints = MemoryEndpointStore()
        self._deliveries = MemoryDeliveryStore(self._endpoints)
        self._persistence = WebhookPersistence(
            endpoint_store=cast("WebhookEndpointStore", named(self._endpoints, weather)),
            delivery_store=cast("WebhookDeliveryStore", named(self._deliveries, weather)),
            joint=True,
        )
        self._known: dict[DeliveryRef, Delivery] = {}
        self._ever: dict[str, StoredEndpoint] = {}

    def persistence(self) -> WebhookPersistence:
        return self._persistence

    def changes(self) -> list[Changed]:
        stored, known = self._deliveries._rows.deliveries, self._known
        changed: list[Changed] = [
            (ref, known.get(ref), delivery)
            for ref, delivery in stored.items()
            if known.get(ref) is not delivery
        ]
        if len(stored) != len(known) + sum(before is None for _, before, _ in changed):
            changed += [(ref, d, None) for ref, d in known.items() if ref not in stored]
        if changed:
            self._known = dict(stored)
        return changed

    def events(self) -> dict[str, StoredEvent]:
        return {
            key: StoredEvent(
                key, row.event.tenant, number_of(row.event.payload), row.event.endpoint_ids
            )
            for key, row in self._deliveries._rows.events.items()
        }

    def endpoints(self) -> list[StoredEndpoint]:
        now = {
            e.id: StoredEndpoint(
                e.id,
                e.tenant,
                e.url,
                e.status.value,
                e.event_types,
                e.filters,
                e.retry,
                e.concurrency_max,
                e.rate_limit_per_second,
            )
            for e in self._endpoints._endpoints.values()
        }
        for endpoint_id, was in self._ever.items():
            if endpoint_id not in now:
                now[endpoint_id] = msgspec.structs.replace(was, status=REMOVED)
        self._ever = now
        return list(now.values())

    def paused(self) -> bool:
        return self._deliveries._paused_since is not None


class SqliteWorld:
    """The SQL stores over one database; each process has stores of its own, as in reality."""

    def __init__(self, weather: Weather, now_ms: Callable[[], int] | None) -> None:
        self._weather = weather
        self._database = emptied(now_ms)
        self._writes = self._database.total_changes
        self._known: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._read: dict[tuple[str, str], Delivery] = {}
        self.own_clock = now_ms is not None

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return await self._weather.through(lambda: execute(self._database, statements))

    async def read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return await self.batch(statements)

    def persistence(self) -> WebhookPersistence:
        made = create_sql_persistence(self, initialize_schema=False)
        return msgspec.structs.replace(
            made,
            endpoint_store=named(made.endpoint_store, None),
            delivery_store=named(made.delivery_store, None),
        )

    def changes(self) -> list[Changed]:
        if self._database.total_changes == self._writes:
            return []
        self._writes = self._database.total_changes
        known, read = self._known, self._read
        now = {(row[0], row[1]): row for row in self._database.execute(_DELIVERIES)}
        changed: list[Changed] = []
        for place, row in now.items():
            if known.get(place) != row:
                before = read.get(place)
                read[place] = _delivery(row)
                changed.append((_ref(place), before, read[place]))
        changed.extend((_ref(place), read.pop(place), None) for place in known if place not in now)
        self._known = now
        return changed

    def events(self) -> dict[str, StoredEvent]:
        return {
            key: StoredEvent(
                key,
                tenant,
                number_of(payload),
                tuple(endpoint_of_lane(t) for t in msgspec.json.decode(targets)),
            )
            for tenant, key, targets, payload in self._database.execute(_EVENTS)
        }

    def endpoints(self) -> list[StoredEndpoint]:
        found = []
        for endpoint_id, tenant, status, text, *limits in self._database.execute(_ENDPOINTS):
            settings = msgspec.json.decode(text)
            found.append(
                StoredEndpoint(
                    endpoint_id,
                    tenant,
                    settings["url"],
                    status,
                    tuple(settings["event_types"]),
                    settings.get("filters", {}),
                    msgspec.convert(settings.get("retry"), RetryPolicy | None),
                    *limits,
                )
            )
        return found

    def paused(self) -> bool:
        return bool(self._database.execute("SELECT 1 FROM switches").fetchall())


_COLUMNS = (
    "lane",
    "key",
    "tenant",
    "state",
    "claim",
    "due_at",
    "attempts_made",
    "run_start",
    "run_started_at",
    "interruptions",
    "reason",
    "completed_at",
    "log",
)
_DELIVERIES = f"SELECT {', '.join(_COLUMNS)} FROM deliveries"  # noqa: S608 - columns of ours
_EVENTS = "SELECT tenant, key, targets, payload FROM events"
_ENDPOINTS = """SELECT id, tenant, status, settings, concurrency_max, rate_limit_per_second
FROM endpoints"""


def _ref(place: tuple[str, str]) -> DeliveryRef:
    return DeliveryRef(endpoint_of_lane(place[0]), place[1])


def _delivery(row: tuple[Any, ...]) -> Delivery:
    return read_delivery(dict(zip(_COLUMNS, row, strict=True), event_id="", event_type=""))


def number_of(payload: str) -> int:
    """Return the number that the caller gave the event of this payload."""
    return int(msgspec.json.decode(payload)["data"]["number"])
