"""``/v1/deliveries`` and ``/v1/recoveries``."""

from __future__ import annotations

from webhook.client.request import Request, Time, body, path, query
from webhook.client.results import (
    Canceled,
    Delivery,
    Page,
    Recovery,
    RecoveryCanceled,
    RecoveryCount,
    Replayed,
)

_PATH, _ONE, _RECOVERIES = "/v1/deliveries", "/v1/deliveries/{}", "/v1/recoveries"


def list_deliveries(
    *,
    tenant: str | None = None,
    endpoint_id: str | None = None,
    event_id: str | None = None,
    event_type: str | None = None,
    status: str | None = None,
    error_kind: str | None = None,
    since: Time | None = None,
    until: Time | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Request[Page[Delivery]]:
    """List a tenant's deliveries, newest event first; ``limit`` is the size of a page."""
    return Request(
        method="GET",
        path=_PATH,
        query=query(
            tenant=tenant,
            endpoint_id=endpoint_id,
            event_id=event_id,
            event_type=event_type,
            status=status,
            error_kind=error_kind,
            since=since,
            until=until,
            limit=limit,
            cursor=cursor,
        ),
        answer=Page[Delivery],
    )


def get_delivery(delivery_id: str, *, tenant: str | None = None) -> Request[Delivery]:
    """Return one delivery with its attempts and what the receiver answered."""
    given = query(tenant=tenant)
    return Request(method="GET", path=path(_ONE, delivery_id), query=given, answer=Delivery)


def replay_delivery(delivery_id: str, *, tenant: str | None = None) -> Request[Replayed]:
    """Deliver once more; a pending delivery is left as it is."""
    target = path(f"{_ONE}/replay", delivery_id)
    return Request(method="POST", path=target, query=query(tenant=tenant), answer=Replayed)


def cancel_delivery(delivery_id: str, *, tenant: str | None = None) -> Request[Canceled]:
    """Deliver no more; a finished delivery is left as it is."""
    target = path(f"{_ONE}/cancel", delivery_id)
    return Request(method="POST", path=target, query=query(tenant=tenant), answer=Canceled)


def replay_deliveries(
    *,
    tenant: str | None = None,
    endpoint_id: str | None = None,
    event_type: str | None = None,
    status: str | None = None,
    error_kind: str | None = None,
    since: Time | None = None,
    until: Time | None = None,
) -> Request[Recovery]:
    """Deliver once more whatever matches; at least one filter is needed."""
    return Request(
        method="POST",
        path=f"{_PATH}/replay",
        body=body(
            tenant=tenant,
            endpoint_id=endpoint_id,
            event_type=event_type,
            status=status,
            error_kind=error_kind,
            since=since,
            until=until,
        ),
        answer=Recovery,
    )


def count_replayable(
    *,
    tenant: str | None = None,
    endpoint_id: str | None = None,
    event_type: str | None = None,
    status: str | None = None,
    error_kind: str | None = None,
    since: Time | None = None,
    until: Time | None = None,
) -> Request[RecoveryCount]:
    """Count what ``replay_deliveries`` would do; nothing is done."""
    return Request(
        method="POST",
        path=f"{_PATH}/replay",
        body=body(
            tenant=tenant,
            endpoint_id=endpoint_id,
            event_type=event_type,
            status=status,
            error_kind=error_kind,
            since=since,
            until=until,
            dry_run=True,
        ),
        answer=RecoveryCount,
    )


def list_recoveries(
    *, tenant: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Request[Page[Recovery]]:
    """List a tenant's recoveries, newest first; ``limit`` is the size of a page."""
    given = query(tenant=tenant, limit=limit, cursor=cursor)
    return Request(method="GET", path=_RECOVERIES, query=given, answer=Page[Recovery])


def get_recovery(recovery_id: str, *, tenant: str | None = None) -> Request[Recovery]:
    """Return one recovery, with what it has done so far."""
    target = path(f"{_RECOVERIES}/{{}}", recovery_id)
    return Request(method="GET", path=target, query=query(tenant=tenant), answer=Recovery)


def cancel_recovery(recovery_id: str, *, tenant: str | None = None) -> Request[RecoveryCanceled]:
    """Stop a recovery; what it has done stays done."""
    target = path(f"{_RECOVERIES}/{{}}/cancel", recovery_id)
    return Request(method="POST", path=target, query=query(tenant=tenant), answer=RecoveryCanceled)
