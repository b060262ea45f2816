"""``QueueManager``: jobs by priority and time, in an SQLite file that outlives the process."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from webhook.adapters.system import SystemChance, SystemClock
from webhook.domain.event import WebhookEvent, prepare
from webhook.domain.ids import KeyMaker
from webhook.ports import Chance, Clock
from webhook.toolkit.types import PRIORITY_DEFAULT, PRIORITY_MAX, DispatchJob, PriorityLevel

_SCHEMA = """
CREATE TABLE IF NOT EXISTS webhook_jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, event_id TEXT NOT NULL,
    event_type TEXT NOT NULL, payload TEXT NOT NULL, endpoint_id TEXT NOT NULL,
    priority INTEGER NOT NULL, created_at INTEGER NOT NULL, scheduled_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL, attempts INTEGER NOT NULL, batch_max INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS webhook_jobs_turn ON webhook_jobs (priority DESC, number);
CREATE INDEX IF NOT EXISTS webhook_jobs_endpoint ON webhook_jobs (endpoint_id, priority DESC);
"""
_FIELDS = (
    "id, event_id, event_type, payload, endpoint_id, priority, created_at, scheduled_at, "
    "attempts, batch_max"
)
_INSERT = """
INSERT INTO webhook_jobs (id, event_id, event_type, payload, endpoint_id, priority, created_at,
    scheduled_at, due_at, attempts, batch_max)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, 0, ?9
WHERE (SELECT count(*) FROM webhook_jobs) < ?10
"""
# Whose turn it is: due, not expired, of the asked priorities and endpoint.
_TURN = """
SELECT number FROM webhook_jobs
WHERE due_at <= :now AND scheduled_at > :expired AND priority BETWEEN :low AND :high
    AND (:endpoint IS NULL OR endpoint_id = :endpoint)
ORDER BY priority DESC, number LIMIT :limit
"""
_PEEK = f"SELECT {_FIELDS} FROM webhook_jobs WHERE number IN ({_TURN})"  # noqa: S608 - texts of ours
_TAKE = f"DELETE FROM webhook_jobs WHERE number IN ({_TURN}) RETURNING {_FIELDS}"  # noqa: S608 - as above
_RETURNED = f"RETURNING number, {_FIELDS}"
_LEASE = f"UPDATE webhook_jobs SET due_at = :until WHERE number IN ({_TURN}) {_RETURNED}"  # noqa: S608 - as above
_STATS = """
SELECT count(*), coalesce(sum(priority >= 8), 0), coalesce(sum(priority BETWEEN 5 AND 7), 0),
    coalesce(sum(priority < 5), 0), coalesce(sum(due_at > ?), 0)
FROM webhook_jobs
"""


class QueueStats(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs wait; ``utilization`` is the share of the capacity, 0 to 100."""

    total_jobs: int
    high_priority_jobs: int
    medium_priority_jobs: int
    low_priority_jobs: int
    delayed_jobs: int
    utilization: float


class QueueManager:
    """A queue of jobs, the most urgent first, and the oldest of those.

    It lies in the SQLite file at ``path``, or in memory when that is None; processes may share it.
    What waited for ``ttl_ms`` since it fell due is handed out no more. Each method is one
    transaction and blocks for as long as that takes.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        capacity: int = 10_000,
        ttl_ms: int = 86_400_000,
        clock: Clock | None = None,
        chance: Chance | None = None,
    ) -> None:
        for name, value in (("capacity", capacity), ("ttl_ms", ttl_ms)):
            if value < 1:
                raise ValueError(f"{name}: {value} is below 1.")
        self._capacity, self._ttl_ms = capacity, ttl_ms
        self._clock = clock or SystemClock()
        self._keys = KeyMaker((chance or SystemChance()).random_bytes)
        self._database = sqlite3.connect(
            ":memory:" if path is None else path, timeout=30, isolation_level=None
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(_SCHEMA)

    def enqueue(
        self,
        event: WebhookEvent,
        endpoint_id: str,
        *,
        priority: int = PRIORITY_DEFAULT,
        delay_ms: int = 0,
    ) -> DispatchJob | None:
        """Add a job and return it; None when the queue is full.

        Raises ``InvalidInput`` for a bad event, ``ValueError`` for a priority that is none.
        """
        if not 0 <= priority <= PRIORITY_MAX:
            raise ValueError(f"priority: {priority} is not between 0 and {PRIORITY_MAX}.")
        now = self._clock.now_ms()
        prepared = prepare(event, self._keys(now), now)
        job = DispatchJob(
            id=f"job_{prepared.key}",
            event_id=prepared.id or f"evt_{prepared.key}",
            event_type=prepared.type,
            payload=prepared.payload,
            endpoint_id=endpoint_id,
            priority=priority,
            created_at=now,
            scheduled_at=now + max(0, delay_ms),
        )
        values = (job.id, job.event_id, job.event_type, job.payload, job.endpoint_id, priority, now)
        limits = (job.scheduled_at, job.batch_max, self._capacity)
        return job if self._database.execute(_INSERT, (*values, *limits)).rowcount else None

    def dequeue(self) -> DispatchJob | None:
        """Take the next job out; it is the caller's alone, and gone if the caller dies.

        ``lease`` is for those who must not lose it.
        """
        return self._first(_TAKE)

    def dequeue_from_priority(self, level: PriorityLevel) -> DispatchJob | None:
        """Take the next job of a level out; see ``dequeue``."""
        low, high = level.bounds
        return self._first(_TAKE, low=low, high=high)

    def peek(self) -> DispatchJob | None:
        """Return the next job and leave it where it is."""
        return self._first(_PEEK)

    def lease(
        self, lease_ms: int, *, limit: int = 1, endpoint_id: str | None = None
    ) -> list[DispatchJob]:
        """Return the next jobs, which nobody else gets for ``lease_ms``; end each by hand.

        ``remove_job`` ends it, ``postpone`` lets it wait; if neither comes it is due again.
        """
        until = self._clock.now_ms() + lease_ms
        rows = self._rows(_LEASE, until=until, limit=limit, endpoint=endpoint_id)
        jobs = [(number, _job(row)) for number, *row in rows]
        return [job for _, job in sorted(jobs, key=lambda one: (-one[1].priority, one[0]))]

    def postpone(self, job: DispatchJob, due_at: int, *, attempts: int, batch_max: int) -> None:
        """Let a job wait until ``due_at``, epoch ms, after so many attempts."""
        self._database.execute(
            "UPDATE webhook_jobs SET due_at = ?, attempts = ?, batch_max = ? WHERE id = ?",
            (due_at, attempts, batch_max, job.id),
        )

    def remove_job(self, job_id: str) -> bool:
        """End a job; False when there is none of that id."""
        done = self._database.execute("DELETE FROM webhook_jobs WHERE id = ?", (job_id,))
        return done.rowcount > 0

    def endpoint_ids(self) -> list[str]:
        """Return the endpoints that jobs are due for."""
        query = "SELECT DISTINCT endpoint_id FROM webhook_jobs WHERE due_at <= ? ORDER BY 1"
        return [name for (name,) in self._database.execute(query, (self._clock.now_ms(),))]

    def count(self, endpoint_id: str | None = None) -> int:
        """Return how many jobs there are, due or not, of one endpoint or of all."""
        [(found,)] = self._database.execute(
            "SELECT count(*) FROM webhook_jobs WHERE ?1 IS NULL OR endpoint_id = ?1", (endpoint_id,)
        )
        return int(found)

    def get_stats(self) -> QueueStats:
        """Return how many jobs wait, and for what."""
        [(total, high, medium, low, delayed)] = self._database.execute(
            _STATS, (self._clock.now_ms(),)
        )
        return QueueStats(
            total_jobs=total,
            high_priority_jobs=high,
            medium_priority_jobs=medium,
            low_priority_jobs=low,
            delayed_jobs=delayed,
            utilization=100 * total / self._capacity,
        )

    def cleanup_expired_jobs(self) -> int:
        """Remove what waited too long; return how many."""
        expired = self._clock.now_ms() - self._ttl_ms
        done = self._database.execute(
            "DELETE FROM webhook_jobs WHERE scheduled_at <= ?", (expired,)
        )
        return done.rowcount

    def clear(self) -> None:
        """Remove all jobs."""
        self._database.execute("DELETE FROM webhook_jobs")

    def shutdown(self) -> None:
        """Close the file; its jobs stay."""
        self._database.close()

    def _first(self, statement: str, low: int = 0, high: int = PRIORITY_MAX) -> DispatchJob | None:
        rows = self._rows(statement, low=low, high=high)
        return _job(rows[0]) if rows else None

    def _rows(self, statement: str, **given: object) -> list[tuple[object, ...]]:
        now = self._clock.now_ms()
        values: dict[str, object] = {
            "now": now, "expired": now - self._ttl_ms, "low": 0, "high": PRIORITY_MAX,
            "endpoint": None, "limit": 1,
        }  # fmt: skip
        return self._database.execute(statement, values | given).fetchall()


def _job(row: Sequence[object]) -> DispatchJob:
    return msgspec.convert(dict(zip(_FIELDS.split(", "), row, strict=True)), DispatchJob)
