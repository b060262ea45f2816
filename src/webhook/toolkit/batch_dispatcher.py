"""``BatchDispatcher``: several events to one endpoint in one signed POST."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from webhook.adapters.system import SystemChance, SystemClock
from webhook.domain.config import SETTLE_MARGIN_MS, TIMEOUT_MS_MAX, WebhookConfig
from webhook.domain.errors import NotFound
from webhook.domain.event import CALL_BYTES_MAX, WebhookEvent
from webhook.domain.ids import KeyMaker
from webhook.domain.lifecycle import GONE
from webhook.domain.model import Delivery, DeliveryState, Endpoint, ErrorKind, Outcome
from webhook.engine.request import build_headers
from webhook.ports import Chance, Clock, Crypto, Sender
from webhook.runtime import default_crypto, default_sender
from webhook.toolkit.queue_manager import QueueManager
from webhook.toolkit.types import PRIORITY_DEFAULT, DispatchJob

BATCH_TYPE = "batch"
_LEASE_MS = TIMEOUT_MS_MAX + SETTLE_MARGIN_MS
Look = Callable[[str], Awaitable[Endpoint]]


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one POST came to; each list has ids of events.

    ``ended`` are those that will not be sent again although they did not arrive.
    """

    endpoint_id: str
    batch_id: str
    outcome: Outcome
    delivered: list[str]
    postponed: list[str]
    ended: list[str]


class BatchDispatcher:
    """Sends what lies in a ``QueueManager``, up to ``max_batch_size`` events of an endpoint a POST.

    The body is ``{"events": [...]}``, each event as it would be delivered alone, signed as the
    runtime signs, under a ``webhook-id`` of the batch's own. A batch that a receiver answers with
    an error is tried again in halves, so that one event that it cannot take is soon alone; each
    event keeps its own count of attempts by the endpoint's retry policy. Jobs are leased while they
    are under way: a process that dies loses none, and a batch may arrive twice.

    ``look`` gives an endpoint as it is now: ``runtime.get_endpoint``. ``config`` is the runtime's.
    """

    def __init__(
        self,
        queue: QueueManager,
        *,
        look: Look,
        config: WebhookConfig | None = None,
        max_batch_size: int = 100,
        max_concurrent_batches: int = 10,
        sender: Sender | None = None,
        clock: Clock | None = None,
        chance: Chance | None = None,
        crypto: Crypto | None = None,
    ) -> None:
        for name, value in (
            ("max_batch_size", max_batch_size),
            ("max_concurrent_batches", max_concurrent_batches),
        ):
            if value < 1:
                raise ValueError(f"{name}: {value} is below 1.")
        self._queue = queue
        self._look = look
        self._config = config or WebhookConfig()
        self._clock = clock or SystemClock()
        self._chance = chance or SystemChance()
        self._sender = sender or default_sender(self._config, self._clock)
        self._crypto = crypto or default_crypto()
        self._keys = KeyMaker(self._chance.random_bytes)
        self._size = max_batch_size
        self._running = asyncio.Semaphore(max_concurrent_batches)

    def add_job(
        self, event: WebhookEvent, endpoint_id: str, *, priority: int = PRIORITY_DEFAULT
    ) -> DispatchJob | None:
        """Queue an event for an endpoint; None when the queue is full."""
        return self._queue.enqueue(event, endpoint_id, priority=priority)

    def get_pending_job_count(self, endpoint_id: str | None = None) -> int:
        """Return how many jobs are queued or under way."""
        return self._queue.count(endpoint_id)

    async def process_all_batches(self) -> list[BatchResult]:
        """Send what is due now, endpoints side by side; return what each POST came to."""
        lines = await asyncio.gather(*map(self._process_line, self._queue.endpoint_ids()))
        return [result for line in lines for result in line]

    async def process_batch_for_endpoint(self, endpoint_id: str) -> BatchResult | None:
        """Send one batch to an endpoint; None when nothing is due or the endpoint is not active."""
        async with self._running:
            try:
                endpoint = await self._look(endpoint_id)
            except NotFound:
                return None
            if not endpoint.active:
                return None
            jobs = self._take(endpoint_id)
            return await self._send(endpoint, jobs) if jobs else None

    async def _process_line(self, endpoint_id: str) -> list[BatchResult]:
        done: list[BatchResult] = []
        while (result := await self.process_batch_for_endpoint(endpoint_id)) is not None:
            done.append(result)
            if not result.delivered:
                break  # whoever fails is not asked at once again
        return done

    def _take(self, endpoint_id: str) -> list[DispatchJob]:
        """Lease what goes into one batch, and give back what does not fit."""
        leased = self._queue.lease(_LEASE_MS, limit=self._size, endpoint_id=endpoint_id)
        taken: list[DispatchJob] = []
        size = 0
        for job in leased:
            size += len(job.payload.encode())
            limit = min([one.batch_max for one in (*taken, job)])
            if len(taken) >= limit or (taken and size > CALL_BYTES_MAX):
                break
            taken.append(job)
        now = self._clock.now_ms()
        for job in leased[len(taken) :]:
            self._queue.postpone(job, now, attempts=job.attempts, batch_max=job.batch_max)
        return taken

    async def _send(self, endpoint: Endpoint, jobs: Sequence[DispatchJob]) -> BatchResult:
        now = self._clock.now_ms()
        key = self._keys(now)
        delivery = Delivery(
            endpoint_id=endpoint.id,
            key=key,
            tenant=endpoint.tenant,
            event_id=f"bat_{key}",
            event_type=BATCH_TYPE,
            state=DeliveryState.LEASED,
            attempts_made=max(job.attempts for job in jobs),
        )
        body = f'{{"events":[{",".join(job.payload for job in jobs)}]}}'.encode()
        headers = await build_headers(
            endpoint, delivery, body, self._config, now=now, crypto=self._crypto
        )
        timeout_ms = endpoint.timeout_ms or self._config.timeout_ms
        outcome = await self._sender.send(endpoint.url, headers, body, timeout_ms)
        postponed = self._settle(endpoint, jobs, outcome)
        names = [job.event_id for job in jobs]
        left = [name for name in names if name not in postponed]
        success = outcome.error_kind is None
        return BatchResult(
            endpoint_id=endpoint.id,
            batch_id=delivery.event_id,
            outcome=outcome,
            delivered=left if success else [],
            postponed=postponed,
            ended=[] if success else left,
        )

    def _settle(
        self, endpoint: Endpoint, jobs: Sequence[DispatchJob], outcome: Outcome
    ) -> list[str]:
        """End or postpone each job; return the events of those that are to be sent again."""
        policy = endpoint.retry or self._config.retry_policy
        refused = outcome.error_kind is ErrorKind.HTTP_STATUS
        batch_max = max(1, len(jobs) // 2) if refused else None
        again: list[str] = []
        for job in jobs:
            attempts = job.attempts + 1
            delay_ms = policy.delay_ms(attempts, self._chance.uniform())
            ends = outcome.error_kind is None or outcome.status_code == GONE or delay_ms is None
            if ends or delay_ms is None:
                self._queue.remove_job(job.id)
                continue
            due_at = self._clock.now_ms() + max(delay_ms, outcome.retry_after_ms or 0)
            self._queue.postpone(
                job, due_at, attempts=attempts, batch_max=batch_max or job.batch_max
            )
            again.append(job.event_id)
        return again
