"""The SQL stores over SQLite in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulation.database import emptied, execute
from tests.simulation.memory_world import MemoryEndpoints
from tests.simulation.stores import (
    NOTICE,
    RECOVERY,
    Changed,
    EventReader,
    StoredEndpoint,
    StoredEvent,
    named,
)
from webhook.adapters.sql.database import Row, Statement
from webhook.adapters.sql.deliveries import SqlDeliveryStore
from webhook.adapters.sql.persistence import create_sql_persistence
from webhook.adapters.sql.recovery import SqlRecoveryStore
from webhook.adapters.sql.rows import read_delivery
from webhook.domain.health import FAILURES_MAX
from webhook.domain.ids import DeliveryRef, endpoint_of_lane
from webhook.domain.model import Delivery
from webhook.domain.recovery import Recovery, RecoveryRange
from webhook.domain.retry import RetryPolicy
from webhook.ports import WebhookPersistence

if TYPE_CHECKING:
    from tests.simulation.weather import Weather


class SqliteWorld:
    """The SQL stores over one database; each process has stores of its own, as in reality.

    Apart from them, endpoints are kept in memory.
    """

    def __init__(self, weather: Weather, now_ms: Callable[[], int] | None, *, joint: bool) -> None:
        self._weather = weather
        self._apart = None if joint else MemoryEndpoints(weather)
        self._database = emptied(now_ms)
        self._writes = self._database.total_changes
        self._known: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._read: dict[tuple[str, str], Delivery] = {}
        self._reader = EventReader()
        self.own_clock = now_ms is not None

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return await self._weather.through(lambda: execute(self._database, statements))

    async def read(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return await self.batch(statements)

    def persistence(self) -> WebhookPersistence:
        recovery_store = named(SqlRecoveryStore(self), None, RECOVERY)
        if self._apart is not None:
            return WebhookPersistence(
                endpoint_store=self._apart.store,
                delivery_store=named(SqlDeliveryStore(self), None),
                recovery_store=recovery_store,
            )
        made = create_sql_persistence(self, initialize_schema=False)
        return msgspec.structs.replace(
            made,
            endpoint_store=named(made.endpoint_store, None),
            delivery_store=named(made.delivery_store, None),
            recovery_store=recovery_store,
            access_store=None,
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
            key: self._reader.read(
                key, tenant, payload, [endpoint_of_lane(t) for t in msgspec.json.decode(targets)]
            )
            for tenant, key, targets, payload in self._database.execute(_EVENTS)
        }

    def told(self) -> tuple[dict[str, str], set[str]]:
        told = {key: name.removeprefix(NOTICE) for key, name in self._database.execute(_TOLD)}
        return told, {row[0] for row in self._database.execute("SELECT id FROM notices")}

    def endpoints(self) -> list[StoredEndpoint]:
        if self._apart is not None:
            return self._apart.look()
        rows = self._database.execute(_ENDPOINTS)
        found = []
        for endpoint_id, tenant, status, text, timeout_ms, concurrency, rate, failures in rows:
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
                    timeout_ms,
                    concurrency,
                    rate,
                    failures >= FAILURES_MAX,
                    settings.get("ordering_on_failure", "continue"),
                )
            )
        return found

    def recoveries(self) -> dict[str, Recovery]:
        return {row[0]: _recovery(row) for row in self._database.execute(_RECOVERIES)}

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
    "ordering_key",
)
_DELIVERIES = f"SELECT {', '.join(_COLUMNS)} FROM deliveries"
_RECOVERY_COLUMNS = (
    "id",
    "tenant",
    "kind",
    "range",
    "fingerprint",
    "status",
    "cursor",
    "scanned",
    "replayed",
    "made",
    "reason",
    "created_at",
    "updated_at",
)
_RECOVERIES = f"SELECT {', '.join(_RECOVERY_COLUMNS)} FROM recoveries"
_EVENTS = """SELECT tenant, key, targets, payload FROM events
WHERE coalesce(name, '') NOT LIKE 'notice:%'"""
_TOLD = "SELECT key, name FROM events WHERE name LIKE 'notice:%'"
_ENDPOINTS = """SELECT id, tenant, status, settings,
timeout_ms, concurrency_max, rate, failures FROM endpoints"""


def _ref(place: tuple[str, str]) -> DeliveryRef:
    return DeliveryRef(endpoint_of_lane(place[0]), place[1])


def _delivery(row: tuple[Any, ...]) -> Delivery:
    # Who waits for whom, and what is erased, is not looked up here, invariants work it out.
    in_line = {"waits_for": None, "stops": False}
    unknown = {"event_id": "", "event_type": "", "payload_erased": False, **in_line}
    return read_delivery(dict(zip(_COLUMNS, row, strict=True), **unknown))


def _recovery(row: tuple[Any, ...]) -> Recovery:
    columns = dict(zip(_RECOVERY_COLUMNS, row, strict=True))
    asked = msgspec.json.decode(columns["range"], type=RecoveryRange)
    return msgspec.convert(columns | {"range": asked}, Recovery)
