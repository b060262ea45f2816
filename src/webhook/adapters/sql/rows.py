"""Rows to structs and back. The only place that knows how a struct lies in a table."""

from __future__ import annotations

from typing import Any

import msgspec

from webhook.adapters.sql.database import Row
from webhook.domain.balancing import Failover
from webhook.domain.event_types import OperationalEventType
from webhook.domain.ids import endpoint_of_lane, lane_of
from webhook.domain.lifecycle import Settlement
from webhook.domain.matching import filter_groups
from webhook.domain.model import (
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointStatus,
    ErrorKind,
    Event,
    NewEvent,
    OrderingOnFailure,
)
from webhook.domain.notice import Notice
from webhook.domain.retry import RetryPolicy
from webhook.domain.secret import SigningSecret
from webhook.ports import Claimed

_encode = msgspec.json.encode


class _Settings(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What of an endpoint hardly a statement asks for; new options need no migration."""

    url: str
    event_types: tuple[str, ...]
    filters: dict[str, tuple[str | int | float | bool, ...]] = {}
    name: str | None = None
    description: str | None = None
    retry: RetryPolicy | None = None
    ordering_on_failure: OrderingOnFailure = OrderingOnFailure.CONTINUE
    failover: Failover | None = None

    def __repr__(self) -> str:
        """Hide URLs from logs."""
        return f"_Settings(event_types={self.event_types!r})"


class EndpointRow(msgspec.Struct):
    """An endpoint's columns; ``headers`` and ``secrets`` are texts where they are sealed."""

    id: str
    tenant: str
    external_id: str | None
    status: EndpointStatus
    timeout_ms: int | None
    settings: _Settings
    headers: dict[str, str] | str
    secrets: tuple[SigningSecret, ...] | str
    revision: int
    created_at: int
    updated_at: int
    concurrency_max: int | None
    rate_limit_per_second: float | None
    failures: int
    failing_since: int | None
    open_until: int | None
    good_rate: float
    paced_since: int | None

    def __repr__(self) -> str:
        """Hide what its columns hold from logs."""
        return f"EndpointRow(id={self.id!r}, tenant={self.tenant!r})"


class _Cause(msgspec.Struct):
    reason: str | None
    key: str | None = None
    event_id: str | None = None
    event_type: str | None = None
    error_kind: ErrorKind | None = None
    attempts: int | None = None


class _NoticeBody(msgspec.Struct):
    type: OperationalEventType
    at: int
    cause: _Cause


def to_json(value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """Encode a parameter."""
    return _encode(value).decode()


def endpoint_row(endpoint: Endpoint) -> dict[str, Any]:
    """Return an endpoint as ENDPOINT_ADD and ENDPOINT_UPDATE take it."""
    settings = _Settings(
        url=endpoint.url,
        event_types=endpoint.event_types,
        filters=endpoint.filters,
        name=endpoint.name,
        description=endpoint.description,
        retry=endpoint.retry,
        ordering_on_failure=endpoint.ordering_on_failure,
        failover=endpoint.failover,
    )
    return {
        "lane": lane_of(endpoint.id),
        "id": endpoint.id,
        "tenant": endpoint.tenant,
        "external_id": endpoint.external_id,
        "status": endpoint.status.value,
        "timeout_ms": endpoint.timeout_ms,
        "concurrency_max": endpoint.concurrency_max,
        "rate_limit_per_second": endpoint.rate_limit_per_second,
        "settings": to_json(settings),
        "headers": to_json(endpoint.headers),
        "secrets": to_json(endpoint.secrets),
        "revision": endpoint.revision,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }


def subscription_rows(endpoint: Endpoint, revision: int) -> list[dict[str, Any]]:
    """Return an endpoint's subscriptions; SUBSCRIBE stores them only beside that revision."""
    if not endpoint.active:
        return []
    groups = filter_groups(endpoint.filters)
    return [
        {
            "tenant": endpoint.tenant,
            "pattern": pattern,
            "lane": lane_of(endpoint.id),
            "filters": to_json(groups) if groups else None,
            "revision": revision,
        }
        for pattern in dict.fromkeys(endpoint.event_types)
    ]


def read_endpoint(row: Row) -> EndpointRow:
    """Read an endpoint's columns, still sealed."""
    return EndpointRow(
        id=row["id"],
        tenant=row["tenant"],
        external_id=row["external_id"],
        status=EndpointStatus(row["status"]),
        timeout_ms=row["timeout_ms"],
        settings=msgspec.json.decode(row["settings"], type=_Settings),
        headers=msgspec.json.decode(row["headers"], type=dict[str, str] | str),
        secrets=msgspec.json.decode(row["secrets"], type=tuple[SigningSecret, ...] | str),
        revision=row["revision"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        concurrency_max=row["concurrency_max"],
        rate_limit_per_second=row["rate_limit_per_second"],
        failures=row["failures"],
        failing_since=row["failing_since"],
        open_until=row["open_until"],
        good_rate=row["good_rate"],
        paced_since=row["paced_since"],
    )


_endpoint_decoder = msgspec.json.Decoder(EndpointRow)
_attempts_decoder = msgspec.json.Decoder(tuple[Attempt, ...])
_notice_decoder = msgspec.json.Decoder(_NoticeBody)
_targets_decoder = msgspec.json.Decoder(tuple[str, ...])


def read_endpoint_json(text: str) -> EndpointRow:
    """Read an endpoint that a claim returned as one JSON object, still sealed."""
    return _endpoint_decoder.decode(text)


def endpoint_of(
    row: EndpointRow, headers: dict[str, str], secrets: tuple[SigningSecret, ...]
) -> Endpoint:
    """Make the endpoint of its columns and what was sealed of them."""
    return Endpoint(
        id=row.id,
        tenant=row.tenant,
        external_id=row.external_id,
        status=row.status,
        timeout_ms=row.timeout_ms,
        url=row.settings.url,
        event_types=row.settings.event_types,
        filters=row.settings.filters,
        name=row.settings.name,
        description=row.settings.description,
        retry=row.settings.retry,
        ordering_on_failure=row.settings.ordering_on_failure,
        failover=row.settings.failover,
        headers=headers,
        secrets=secrets,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
        concurrency_max=row.concurrency_max,
        rate_limit_per_second=row.rate_limit_per_second,
        failures=row.failures,
        failing_since=row.failing_since,
        open_until=row.open_until,
        good_rate=row.good_rate,
        paced_since=row.paced_since,
    )


def event_row(event: NewEvent, targets: list[str] | None) -> dict[str, Any]:
    """Return an event as ACCEPT_EVENTS takes it; ``targets`` are endpoint ids, None to match."""
    row = {
        "tenant": event.tenant,
        "key": event.key,
        "id": event.id,
        "name": event.name,
        "type": event.type,
        "ordering_key": event.ordering_key,
        "payload": event.payload,
    }
    if targets is None:
        return {**row, "patterns": event.patterns, "facets": event.facets}
    return {**row, "targets": [lane_of(endpoint_id) for endpoint_id in dict.fromkeys(targets)]}


def read_event(row: Row) -> Event:
    """Read an event."""
    return Event(
        key=row["key"],
        id=row["id"] or f"evt_{row['key']}",
        tenant=row["tenant"],
        type=row["type"],
        payload=row["payload"],
        endpoint_ids=tuple(endpoint_of_lane(t) for t in _targets_decoder.decode(row["targets"])),
        ordering_key=row["ordering_key"],
    )


def settlement_row(settlement: Settlement) -> dict[str, Any]:
    """Return a settlement as SETTLE takes it."""
    return {
        "lane": lane_of(settlement.ref.endpoint_id),
        "key": settlement.ref.key,
        "claim": settlement.claim,
        "attempts_before": settlement.attempts_before,
        "state": settlement.state.value,
        "due_at": settlement.due_at,
        "attempt": settlement.attempt,
        "reason": settlement.reason,
        "completed_at": settlement.completed_at,
        "failed_at": settlement.failed_at,
        "disable_endpoint": settlement.disable_endpoint,
        "quiet": settlement.quiet,
    }


def read_notice(row: Row) -> Notice:
    """Read a notice."""
    body = _notice_decoder.decode(row["body"])
    cause = body.cause
    return Notice(
        id=row["id"],
        tenant=row["tenant"],
        type=body.type,
        at=body.at,
        endpoint_id=endpoint_of_lane(row["lane"]),
        reason=cause.reason,
        url=row["url"],
        key=cause.key,
        event_id=cause.event_id,
        event_type=cause.event_type,
        error_kind=cause.error_kind,
        attempts=cause.attempts,
    )


def read_delivery(row: Row) -> Delivery:
    """Read a delivery with its attempts."""
    state, due_at = DeliveryState(row["state"]), row["due_at"]
    if state is DeliveryState.SCHEDULED and due_at is None:
        state = DeliveryState.BLOCKED
    return Delivery(
        endpoint_id=endpoint_of_lane(row["lane"]),
        key=row["key"],
        tenant=row["tenant"],
        event_id=row["event_id"] or f"evt_{row['key']}",
        event_type=row["event_type"] or "",
        state=state,
        claim=row["claim"],
        due_at=due_at,
        attempts_made=row["attempts_made"],
        run_start=row["run_start"],
        run_started_at=row["run_started_at"],
        interruptions=row["interruptions"],
        reason=row["reason"],
        completed_at=row["completed_at"],
        attempts=_attempts_decoder.decode(row["log"]),
        ordering_key=row["ordering_key"],
        waits_for=row["waits_for"],
        stops=bool(row["stops"]),
        payload_erased=bool(row["payload_erased"]),
    )


def read_claimed(row: Row, lease_ms: int, endpoint: Endpoint | None) -> Claimed:
    """Read what CLAIM_READY returned for one delivery."""
    event_id, event_type = msgspec.json.decode(row["event"], type=tuple[str, str])
    return Claimed(
        delivery=Delivery(
            endpoint_id=endpoint_of_lane(row["lane"]),
            key=row["key"],
            tenant=row["tenant"],
            event_id=event_id,
            event_type=event_type,
            state=DeliveryState.LEASED,
            claim=row["claim"],
            attempts_made=row["attempts_made"],
            run_start=row["run_start"],
            interruptions=row["interruptions"],
            ordering_key=row["ordering_key"],
        ),
        payload=row["payload"],
        lease_left_ms=lease_ms + row["start_in_ms"],
        start_in_ms=row["start_in_ms"],
        endpoint=endpoint,
    )


def read_first_claimed(row: Row, event: NewEvent, endpoint: Endpoint | None) -> Claimed:
    """Read what ACCEPT_LEASED returned; the caller still has the event."""
    return Claimed(
        delivery=Delivery(
            endpoint_id=endpoint_of_lane(row["lane"]),
            key=event.key,
            tenant=event.tenant,
            event_id=event.id or f"evt_{event.key}",
            event_type=event.type,
            state=DeliveryState.LEASED,
        ),
        payload=event.payload,
        lease_left_ms=row["lease_left_ms"],
        endpoint=endpoint,
    )


def read_gates(text: str | None) -> tuple[int, int | None]:
    """Read how many gates CLAIM_REST found shut, and when the first of them opens by time."""
    return (0, None) if text is None else msgspec.json.decode(text, type=tuple[int, int | None])
