"""Takes endpoints and history over from ``@k-msg/webhook``, and tells what it could not take.

An endpoint keeps its id as ``external_id``, an event its own, so that an import that is done twice
makes nothing twice. Nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from webhook.domain.endpoint import EndpointInput, EndpointPatch
from webhook.domain.errors import Conflict, InvalidInput, WebhookError
from webhook.domain.event import TENANT_DEFAULT, WebhookEvent, prepare
from webhook.domain.ids import KeyMaker
from webhook.domain.lifecycle import Settlement, is_transient
from webhook.domain.model import (
    RESPONSE_BYTES_MAX,
    Attempt,
    DeliveryState,
    EndpointStatus,
    ErrorKind,
    Outcome,
)
from webhook.domain.response import status_problem
from webhook.domain.retry import RetryPolicy
from webhook.engine.service import WebhookService
from webhook.ports import Chance, Claimed, EndpointQuery, FirstAttempts, WebhookPersistence

type Row = Mapping[str, Any]
_LEASE_MS = 45_000
_EVENT_ENDPOINTS_MAX = 10_000
_LEFT_PENDING = "was pending in k-msg, which never takes it up again"
_FILTERS = {"providerId": "provider_id", "channelId": "channel_id", "templateId": "template_id"}


class ImportReport(msgspec.Struct, kw_only=True):
    """What was taken; ``left`` has a sentence for each thing that was not."""

    endpoints: int = 0
    events: int = 0
    deliveries: int = 0
    known: int = 0
    left: list[str] = []


class KmsgImport:
    """One import into a service's stores, while nothing else sends from them."""

    def __init__(
        self,
        service: WebhookService,
        persistence: WebhookPersistence,
        chance: Chance,
        *,
        tenant: str = TENANT_DEFAULT,
    ) -> None:
        self._service = service
        self._deliveries = persistence.delivery_store
        self._keys = KeyMaker(chance.random_bytes)
        self._tenant = tenant
        self._ids: dict[str, str] = {}
        self.report = ImportReport()

    async def run(self, endpoints: Iterable[Row], deliveries: Iterable[Row]) -> ImportReport:
        """Take what can be taken; raises ``StoreUnavailable`` when it cannot be written."""
        statuses: dict[str, EndpointStatus] = {}
        for row in endpoints:
            statuses |= await self._take_endpoint(row)
        by_event: dict[str, list[Row]] = {}
        for row in deliveries:
            by_event.setdefault(str(row["event_id"]), []).append(row)
        for event_id, rows in by_event.items():
            await self._take_event(event_id, rows)
        for endpoint_id, status in statuses.items():
            await self._begin(endpoint_id, status)
        return self.report

    # --- endpoints --------------------------------------------------------------------------------

    async def _take_endpoint(self, row: Row) -> dict[str, EndpointStatus]:
        """Add one endpoint, active so that its history can be written, and return its status."""
        old = str(row["id"])
        query = EndpointQuery(tenant=self._tenant, external_id=old)
        found = (await self._service.list_endpoints(query)).items
        if found:
            self._ids[old] = found[0].id
            self.report.known += 1
            return {}
        if _is_sealed(row["secret"]):
            self._leave(f"endpoint {old}", "fieldCrypto has encrypted its secret; decrypt it first")
            return {}
        try:
            given = _endpoint(row, self._tenant)
            made = await self._service.add_endpoint(given)
        except (InvalidInput, Conflict, ValueError, TypeError) as error:
            hint = _WITH_ANY_TEXT if "/secret" in str(error) else ""
            self._leave(f"endpoint {old}", f"{error}{hint}")
            return {}
        self._ids[old] = made.id
        self.report.endpoints += 1
        return {made.id: _status(row)}

    async def _begin(self, endpoint_id: str, status: EndpointStatus) -> None:
        """Give an endpoint its own status; its health begins anew, whatever history says."""
        paused = EndpointPatch(status=EndpointStatus.INACTIVE)
        await self._service.update_endpoint(endpoint_id, paused)
        if status is not EndpointStatus.INACTIVE:
            await self._service.update_endpoint(endpoint_id, EndpointPatch(status=status))

    # --- history ----------------------------------------------------------------------------------

    async def _take_event(self, event_id: str, rows: list[Row]) -> None:
        """Store an event with the deliveries of it, each as it ended."""
        by_endpoint: dict[str, Row] = {}
        for row in rows:
            endpoint_id = self._ids.get(str(row["endpoint_id"]))
            if endpoint_id is None:
                self._leave(f"delivery {row['id']}", "its endpoint is not here")
            elif endpoint_id in by_endpoint:
                self._leave(f"delivery {by_endpoint[endpoint_id]['id']}", "a later one repeats it")
                by_endpoint[endpoint_id] = row
            else:
                by_endpoint[endpoint_id] = row
        if not by_endpoint:
            return
        at = min(_epoch_ms(row["created_at"]) for row in rows)
        try:
            event = prepare(_event(event_id, rows[-1], self._tenant), self._keys(at), at)
        except (WebhookError, ValueError, TypeError, KeyError) as error:
            self._leave(
                f"event {event_id}",
                f"its payload is no event, {error!r}"
                if isinstance(error, KeyError)
                else f"{error}",
            )
            return
        first = FirstAttempts(
            limit=_EVENT_ENDPOINTS_MAX, lease_ms=_LEASE_MS, timeout_ms_max=_LEASE_MS,
            timeout_ms_default=1,
        )  # fmt: skip
        now = self._service.now_ms()
        try:
            result = await self._deliveries.accept([event], first, now, [list(by_endpoint)])
        except Conflict:
            self._leave(f"event {event_id}", "another event has its id")
            return
        if result.events[0].duplicate:
            self.report.known += 1
            return
        self.report.events += 1
        ends = [_end(one, by_endpoint[one.delivery.endpoint_id], now) for one in result.claimed]
        applied = (await self._deliveries.settle(ends)).applied if ends else []
        self.report.deliveries += len(applied)
        for endpoint_id, row in by_endpoint.items():
            if endpoint_id not in {ref.endpoint_id for ref in applied}:
                self._leave(f"delivery {row['id']}", "its endpoint takes nothing; it is pending")

    def _leave(self, what: str, why: str) -> None:
        self.report.left.append(f"{what}: {why.rstrip('.')}.")


_WITH_ANY_TEXT = " With WEBHOOK_SCHEME=k-msg any text is a secret, and receivers need no change"


def _endpoint(row: Row, tenant: str) -> EndpointInput:
    retry = _json(row["retry_config_json"])
    filters = _json(row["filters_json"]) or {}
    policy = retry and RetryPolicy(
        max_retries=retry.get("maxRetries"),
        retry_delay_ms=retry.get("retryDelayMs", 1_000),
        backoff_multiplier=retry.get("backoffMultiplier", 2.0),
    )
    return EndpointInput(
        url=str(row["url"]),
        event_types=list(_json(row["events_json"]) or []),
        tenant=tenant,
        external_id=str(row["id"]),
        name=row["name"] or None,
        description=row["description"] or None,
        filters={_FILTERS.get(key, key): list(values) for key, values in filters.items() if values},
        headers=_json(row["headers_json"]) or {},
        secret=row["secret"] or None,
        retry=policy or None,
    )


def _status(row: Row) -> EndpointStatus:
    try:
        status = EndpointStatus(row["status"])
    except ValueError:
        return EndpointStatus.INACTIVE
    # Theirs has both, and sends only if both say so.
    active = status is EndpointStatus.ACTIVE and bool(row["active"])
    return EndpointStatus.INACTIVE if status is EndpointStatus.ACTIVE and not active else status


def _event(event_id: str, row: Row, tenant: str) -> WebhookEvent:
    payload = msgspec.json.decode(row["payload"], type=dict[str, msgspec.Raw])
    text = {key: msgspec.json.decode(raw) for key, raw in payload.items() if key != "data"}
    metadata = text.get("metadata") or {}
    return WebhookEvent(
        id=event_id,
        type=str(row["event_type"] or text["type"]),
        data=payload.get("data", msgspec.Raw(b"null")),
        tenant=tenant,
        timestamp=text.get("timestamp"),
        metadata={_FILTERS.get(key, key): value for key, value in metadata.items()},
        version=str(text.get("version") or "1.0"),
    )


def _end(claimed: Claimed, row: Row, now: int) -> Settlement:
    """Return how a delivery ended; of its attempts the last one, the others in its note."""
    delivery = claimed.delivery
    attempts = _json(row["attempts_json"]) or []
    last = _attempt(attempts, now) if attempts else None
    state, reason = DeliveryState.SUCCESS, None
    if row["status"] == "pending" or last is None:
        state, reason = DeliveryState.CANCELED, _LEFT_PENDING
    elif row["status"] != "success":
        # Theirs calls both failed.
        transient = is_transient(_outcome(last)) or row["status"] == "exhausted"
        state = DeliveryState.EXHAUSTED if transient else DeliveryState.FAILED
        reason = f"{row['status']} in k-msg after {len(attempts)} attempts"
    return Settlement(
        ref=delivery.ref,
        claim=delivery.claim,
        attempts_before=delivery.attempts_made,
        state=state,
        attempt=last,
        reason=reason,
        completed_at=_epoch_ms(row["completed_at"] or row["created_at"]),
        quiet=True,
    )


def _attempt(attempts: list[dict[str, Any]], now: int) -> Attempt:
    last = attempts[-1]
    status = last.get("httpStatus")
    problem = status_problem(status) if status else None
    if problem is None and not status:
        problem = ErrorKind.NETWORK, str(last.get("error") or "no answer")[:500]
    before = ", ".join(str(one.get("httpStatus") or one.get("error")) for one in attempts[:-1])
    body = str(last.get("responseBody") or "").encode()[:RESPONSE_BYTES_MAX]
    return Attempt(
        number=1,
        started_at=_epoch_ms(last.get("timestamp") or now),
        latency_ms=round(last.get("latencyMs") or 0),
        status_code=status,
        error_kind=problem and problem[0],
        error=problem and problem[1],
        response=body.decode(errors="ignore").replace("\0", "") or None,
        note=f"attempt {len(attempts)} in k-msg" + (f", after {before}" if before else ""),
    )


def _outcome(attempt: Attempt) -> Outcome:
    return Outcome(
        started_at=attempt.started_at,
        latency_ms=attempt.latency_ms,
        status_code=attempt.status_code,
        error_kind=attempt.error_kind,
    )


def _json(text: object) -> Any:  # noqa: ANN401 - whatever JSON holds
    return msgspec.json.decode(str(text)) if text else None


def _epoch_ms(given: object) -> int:
    """Read epoch ms, as number or text, or an ISO time, as the original does."""
    if isinstance(given, int | float):
        return round(given)
    text = str(given)
    if text.isdigit():
        return int(text)
    return round(msgspec.convert(text, datetime).timestamp() * 1000)


def _is_sealed(secret: object) -> bool:
    """Whether a secret is the envelope of the original's field encryption."""
    text = str(secret or "")
    return text.startswith("{") and '"ct"' in text
