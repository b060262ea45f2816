"""``/v1/endpoints``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from webhook.client.request import Request, Time, body, patch, path, query
from webhook.client.results import (
    Endpoint,
    EndpointsMade,
    Page,
    Probe,
    Recovery,
    RecoveryCount,
    Secrets,
)
from webhook.domain.retry import RetryPolicy

_PATH, _ONE = "/v1/endpoints", "/v1/endpoints/{}"
type _Filters = Mapping[str, Sequence[str | int | float | bool]]
type _Retry = RetryPolicy | Mapping[str, Any]


def add_endpoint(
    url: str,
    *,
    event_types: Sequence[str],
    tenant: str | None = None,
    external_id: str | None = None,
    name: str | None = None,
    description: str | None = None,
    active: bool | None = None,
    status: str | None = None,
    filters: _Filters | None = None,
    headers: Mapping[str, str] | None = None,
    secret: str | None = None,
    signature: str | None = None,
    retry: _Retry | None = None,
    timeout_ms: int | None = None,
    concurrency_max: int | None = None,
    rate_limit_per_second: float | None = None,
    ordering_on_failure: str | None = None,
    failover: Mapping[str, Any] | None = None,
) -> Request[Endpoint]:
    """Make an endpoint and return it, with its secret, which no list shows.

    It is not tried again when its answer is lost, since it might be made twice.
    """
    return Request(
        method="POST",
        path=_PATH,
        body=body(
            url=url,
            event_types=event_types,
            tenant=tenant,
            external_id=external_id,
            name=name,
            description=description,
            active=active,
            status=status,
            filters=filters,
            headers=headers,
            secret=secret,
            signature=signature,
            retry=retry,
            timeout_ms=timeout_ms,
            concurrency_max=concurrency_max,
            rate_limit_per_second=rate_limit_per_second,
            ordering_on_failure=ordering_on_failure,
            failover=failover,
        ),
        answer=Endpoint,
        repeatable=False,
    )


def add_endpoints(endpoints: Iterable[Mapping[str, Any]]) -> Request[list[Endpoint]]:
    """Make up to 100 endpoints, all or none; each is a mapping of what ``add_endpoint`` takes."""
    return Request(
        method="POST",
        path=f"{_PATH}/batch",
        body=body(endpoints=list(endpoints)),
        answer=EndpointsMade,
        repeatable=False,
        then=_made,
    )


def _made(made: EndpointsMade) -> list[Endpoint]:
    return made.data


def list_endpoints(
    *,
    tenant: str | None = None,
    status: str | None = None,
    external_id: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Request[Page[Endpoint]]:
    """List a tenant's endpoints, oldest first; ``limit`` is the size of a page."""
    given = query(tenant=tenant, status=status, external_id=external_id, limit=limit, cursor=cursor)
    return Request(method="GET", path=_PATH, query=given, answer=Page[Endpoint])


def get_endpoint(endpoint_id: str, *, tenant: str | None = None) -> Request[Endpoint]:
    """Return one endpoint, without its secret and the values of its headers."""
    given = query(tenant=tenant)
    return Request(method="GET", path=path(_ONE, endpoint_id), query=given, answer=Endpoint)


def update_endpoint(
    endpoint_id: str,
    *,
    tenant: str | None = None,
    url: str | UnsetType = UNSET,
    event_types: Sequence[str] | UnsetType = UNSET,
    external_id: str | UnsetType | None = UNSET,
    name: str | UnsetType | None = UNSET,
    description: str | UnsetType | None = UNSET,
    active: bool | UnsetType = UNSET,
    status: str | UnsetType = UNSET,
    filters: _Filters | UnsetType | None = UNSET,
    headers: Mapping[str, str] | UnsetType | None = UNSET,
    retry: _Retry | UnsetType | None = UNSET,
    timeout_ms: int | UnsetType | None = UNSET,
    concurrency_max: int | UnsetType | None = UNSET,
    rate_limit_per_second: float | UnsetType | None = UNSET,
    ordering_on_failure: str | UnsetType = UNSET,
    failover: Mapping[str, Any] | UnsetType | None = UNSET,
) -> Request[Endpoint]:
    """Change an endpoint: what is left out stays, None clears."""
    return Request(
        method="PATCH",
        path=path(_ONE, endpoint_id),
        query=query(tenant=tenant),
        body=patch(
            url=url,
            event_types=event_types,
            external_id=external_id,
            name=name,
            description=description,
            active=active,
            status=status,
            filters=filters,
            headers=headers,
            retry=retry,
            timeout_ms=timeout_ms,
            concurrency_max=concurrency_max,
            rate_limit_per_second=rate_limit_per_second,
            ordering_on_failure=ordering_on_failure,
            failover=failover,
        ),
        answer=Endpoint,
    )


def remove_endpoint(endpoint_id: str, *, tenant: str | None = None) -> Request[None]:
    """Remove an endpoint; what is pending for it is canceled."""
    target = path(_ONE, endpoint_id)
    return Request(method="DELETE", path=target, query=query(tenant=tenant), answer=None)


def probe_endpoint(endpoint_id: str, *, tenant: str | None = None) -> Request[Probe]:
    """Send an endpoint exactly one signed request and return what came of it."""
    return Request(
        method="POST",
        path=path(f"{_ONE}/probe", endpoint_id),
        query=query(tenant=tenant),
        answer=Probe,
        repeatable=False,
    )


def get_secret(endpoint_id: str, *, tenant: str | None = None) -> Request[Secrets]:
    """Return what an endpoint's receiver verifies with; it is noted in the audit log."""
    target = path(f"{_ONE}/secret", endpoint_id)
    return Request(method="POST", path=target, query=query(tenant=tenant), answer=Secrets)


def rotate_secret(
    endpoint_id: str,
    *,
    tenant: str | None = None,
    secret: str | None = None,
    signature: str | None = None,
    overlap_s: int | None = None,
) -> Request[Secrets]:
    """Sign with another secret; the old ones sign beside it for ``overlap_s``."""
    return Request(
        method="POST",
        path=path(f"{_ONE}/secret/rotate", endpoint_id),
        query=query(tenant=tenant),
        body=body(secret=secret, signature=signature, overlap_s=overlap_s),
        answer=Secrets,
        repeatable=False,
    )


def recover_endpoint(
    endpoint_id: str,
    *,
    since: Time,
    which: str,
    until: Time | None = None,
    tenant: str | None = None,
) -> Request[Recovery]:
    """Send an endpoint again what it ``failed`` to take, ``missed``, or ``all`` since a time."""
    return Request(
        method="POST",
        path=path(f"{_ONE}/recover", endpoint_id),
        query=query(tenant=tenant),
        body=body(since=since, which=which, until=until),
        answer=Recovery,
    )


def count_recoverable(
    endpoint_id: str,
    *,
    since: Time,
    which: str,
    until: Time | None = None,
    tenant: str | None = None,
) -> Request[RecoveryCount]:
    """Count what ``recover_endpoint`` would do; nothing is done."""
    return Request(
        method="POST",
        path=path(f"{_ONE}/recover", endpoint_id),
        query=query(tenant=tenant),
        body=body(since=since, which=which, until=until, dry_run=True),
        answer=RecoveryCount,
    )
