"""``WebhookRecoveryStore`` over D1 and SQLite, beside the deliveries of the same database."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from webhook.adapters.sql import read_statements
from webhook.adapters.sql import recovery_statements as sql
from webhook.adapters.sql.database import (
    ConstraintFailed,
    Database,
    Parameter,
    Row,
    Statement,
)
from webhook.adapters.sql.rows import to_json
from webhook.domain.ids import KEY_MAX, DeliveryRef, endpoint_of_lane, key_floor, lane_of
from webhook.domain.model import DeliveryState
from webhook.domain.recovery import (
    DEAD,
    Recovery,
    RecoveryKind,
    RecoveryRange,
    RecoveryStatus,
    Subscription,
)
from webhook.domain.tenant import tenant_deleting
from webhook.ports import DOUBLE_CLICK_MS, Page, RecoveryFound, RecoveryQuery

# Metadata lie inside the payloads: more are not read at once, however many a dry run asks for.
METADATA_ROWS_MAX = 1_000
_PREFIX = "rcv_"
_range_decoder = msgspec.json.Decoder(RecoveryRange)


class SqlRecoveryStore:
    """Keeps recoveries and does their pieces; see ``WebhookRecoveryStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, recovery: Recovery) -> Recovery:
        """Store a new recovery, or find the one that is the same, in one round trip."""
        just_now = _PREFIX + key_floor(recovery.created_at - DOUBLE_CLICK_MS)
        batch: list[Statement] = [
            (
                sql.RECOVERY_START,
                (
                    recovery.id,
                    recovery.tenant,
                    recovery.kind.value,
                    to_json(recovery.range),
                    recovery.fingerprint,
                    recovery.created_at,
                    just_now,
                ),
            ),
            (
                sql.RECOVERY_STARTED,
                (recovery.id, recovery.tenant, recovery.fingerprint, just_now),
            ),
        ]
        try:
            _, rows = await self._database.batch(batch)
        except ConstraintFailed:
            raise tenant_deleting(recovery.tenant, "/tenant") from None
        return _read(rows[0])

    async def get(self, tenant: str | None, recovery_id: str) -> Recovery | None:
        """Return one recovery, or None."""
        [rows] = await self._database.read([(sql.RECOVERY_GET, (recovery_id, tenant))])
        return _read(rows[0]) if rows else None

    async def running(self, limit: int) -> list[Recovery]:
        """Return running recoveries, the one that waits longest first."""
        [rows] = await self._database.read([(sql.RECOVERIES_RUNNING, (limit,))])
        return [_read(row) for row in rows]

    async def cancel(
        self, tenant: str | None, recovery_id: str, now: int, reason: str
    ) -> Recovery | None:
        """End a running recovery, and read it, in one round trip."""
        _, rows = await self._database.batch(
            [
                (sql.RECOVERY_CANCEL, (recovery_id, tenant, now, reason)),
                (sql.RECOVERY_GET, (recovery_id, tenant)),
            ]
        )
        return _read(rows[0]) if rows else None

    async def remove_ended(self, before: int, limit: int) -> int:
        """Forget recoveries that ended."""
        parameters = (_PREFIX + key_floor(before), limit)
        [rows] = await self._database.batch([(sql.RECOVERIES_REMOVE, parameters)])
        return len(rows)

    # --- looking for a piece ----------------------------------------------------------------------

    async def scan(
        self, recovery: Recovery, subscription: Subscription | None, limit: int, rows_max: int
    ) -> RecoveryFound:
        """Look on from the cursor, in one round trip; in two where metadata count."""
        if recovery.kind in (RecoveryKind.MISSED, RecoveryKind.ALL):
            return await self._scan_events(recovery, subscription, limit, rows_max)
        if recovery.kind is RecoveryKind.FAILED:
            statement = (sql.SCAN_FAILED, _span(recovery, rows_max))
        else:
            statement = _filtered(recovery, rows_max)
        rows = await self._scanned(statement)
        wanted = [row for row in rows if row["wanted"]][:limit]
        cut = len(wanted) == limit and wanted[-1]["nth"] < rows[-1]["nth"]
        last = wanted[-1] if cut else rows[-1] if rows else None
        scanned = 0 if last is None else last["nth"]
        return RecoveryFound(
            replays=[DeliveryRef(endpoint_of_lane(row["lane"]), row["key"]) for row in wanted],
            missed=[],
            scanned=scanned,
            cursor=recovery.cursor if last is None else last["place"],
            done=not cut and scanned < rows_max,
        )

    async def _scan_events(
        self, recovery: Recovery, subscription: Subscription | None, limit: int, rows_max: int
    ) -> RecoveryFound:
        rows = await self._scanned((sql.SCAN_EVENTS, _span(recovery, rows_max)))
        by_metadata = subscription is not None and bool(subscription.groups)
        limit = min(limit, METADATA_ROWS_MAX) if by_metadata else limit
        statuses = {status.value for status in recovery.statuses}
        replays: list[DeliveryRef] = []
        missed: list[str] = []
        scanned, cursor = 0, recovery.cursor
        for row in rows:
            if len(replays) + len(missed) == limit:
                break
            scanned, cursor = row["nth"], row["key"]
            if row["payload_erased"]:
                continue
            if row["state"] in statuses:
                replays.append(DeliveryRef(recovery.range.endpoint_id or "", row["key"]))
            elif row["state"] is None and subscription and subscription.wants_type(row["type"]):
                missed.append(row["key"])
        if by_metadata and missed and subscription is not None:
            missed = await self._of_metadata(recovery.tenant, missed, subscription)
        return RecoveryFound(
            replays=replays,
            missed=missed,
            scanned=scanned,
            cursor=cursor,
            done=scanned == len(rows) < rows_max,
        )

    async def _scanned(self, statement: Statement) -> Sequence[Row]:
        [rows] = await self._database.read([statement])
        return sorted(rows, key=lambda row: int(row["nth"]))

    async def _of_metadata(
        self, tenant: str, keys: Sequence[str], subscription: Subscription
    ) -> list[str]:
        """Return those of the events whose metadata the subscription wants."""
        [rows] = await self._database.read([(sql.EVENTS_METADATA, (tenant, to_json(keys)))])
        return [row["key"] for row in rows if subscription.wants_metadata(row["metadata"])]

    # --- doing it ---------------------------------------------------------------------------------

    async def advance(self, recovery: Recovery, found: RecoveryFound, now: int) -> Recovery:
        """Do one piece in one round trip of at most seven statements."""
        at = None if self._database.own_clock else now
        fence: tuple[Parameter, ...] = (at, recovery.id, recovery.cursor)
        batch: list[Statement] = []
        if found.replays:
            refs = to_json([[lane_of(ref.endpoint_id), ref.key] for ref in found.replays])
            states = to_json([status.value for status in recovery.statuses])
            batch.append((sql.PIECE_REPLAY_COUNT, (*fence, refs, states)))
            batch.append((sql.PIECE_REPLAY, (*fence, refs, states)))
        if found.missed:
            lane = lane_of(recovery.range.endpoint_id or "")
            made = (*fence, to_json(found.missed), lane, recovery.tenant)
            batch.append((sql.PIECE_MAKE_COUNT, made))
            batch.append((sql.PIECE_MAKE_TARGETS, made))
            batch.append((sql.PIECE_MAKE_DELIVERIES, made))
        batch.append((sql.PIECE_END, (*fence, found.cursor, int(found.done), found.scanned)))
        batch.append((sql.RECOVERY_GET, (recovery.id, recovery.tenant)))
        rows = (await self._database.batch(batch))[-1]
        return _read(rows[0]) if rows else recovery

    # `list` hides the builtin from the annotations below it.

    async def list(self, query: RecoveryQuery) -> Page[Recovery]:
        """Return recoveries, newest first."""
        below = query.after or _PREFIX + KEY_MAX + "~"
        parameters = (query.tenant, below, query.limit + 1)
        [rows] = await self._database.read([(sql.RECOVERIES_LIST, parameters)])
        items = [_read(row) for row in rows[: query.limit]]
        return Page(items, items[-1].id if len(rows) > query.limit else None)


def _read(row: Row) -> Recovery:
    return Recovery(
        id=row["id"],
        tenant=row["tenant"],
        kind=RecoveryKind(row["kind"]),
        range=_range_decoder.decode(row["range"]),
        fingerprint=row["fingerprint"],
        status=RecoveryStatus(row["status"]),
        cursor=row["cursor"],
        scanned=row["scanned"],
        replayed=row["replayed"],
        made=row["made"],
        reason=row["reason"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _bounds(recovery: Recovery) -> tuple[str, str]:
    """Return the least key of a recovery's range and the least above it."""
    since, until = recovery.range.since, recovery.range.until
    return (
        "" if since is None else key_floor(since),
        KEY_MAX + "~" if until is None else key_floor(until),
    )


def _span(recovery: Recovery, rows_max: int) -> tuple[Parameter, ...]:
    """Return the parameters of a scan by endpoint, oldest event first."""
    lane = lane_of(recovery.range.endpoint_id or "")
    return (lane, recovery.tenant, recovery.cursor, *_bounds(recovery), rows_max)


def _filtered(recovery: Recovery, rows_max: int) -> Statement:
    """Return the scan of a filter by the narrowest way in, newest event first as in the lists."""
    asked = recovery.range
    since, until = _bounds(recovery)
    below, _, place = recovery.cursor.partition(".") if recovery.cursor else (until, "", "")
    if asked.endpoint_id is not None:
        statement, owner = read_statements.SCAN_BY_ENDPOINT, lane_of(asked.endpoint_id)
    else:
        owner = recovery.tenant
        statement = (
            read_statements.SCAN_BY_DEATH if asked.status in DEAD else read_statements.SCAN_BY_EVENT
        )
    states = [DeliveryState(status.value).value for status in recovery.statuses]
    kind = asked.error_kind.value if asked.error_kind else None
    narrowed = (to_json(states), asked.event_type, kind)
    return statement, (owner, below, place, since, *narrowed, rows_max, recovery.tenant)
