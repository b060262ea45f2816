"""An endpoint as its owner gives it, and the rules that it must keep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from webhook.domain.balancing import FAILOVER_URLS_MAX, WEIGHT_MAX, Failover, Strategy
from webhook.domain.config import TIMEOUT_MS_MAX
from webhook.domain.errors import Conflict, InvalidInput
from webhook.domain.event import TENANT_DEFAULT, name_problem, rfc3339, tenant_problem
from webhook.domain.event_types import pattern_problem
from webhook.domain.headers import check_headers
from webhook.domain.json_text import check_text, escape
from webhook.domain.model import HEALTHY, Endpoint, EndpointStatus, OrderingOnFailure
from webhook.domain.retry import RetryPolicy
from webhook.domain.secret import (
    OVERLAP_S_MAX,
    SECRETS_MAX,
    SignatureVersion,
    SigningSecret,
)
from webhook.domain.url_rules import UrlRules, check_url

PATTERNS_MAX = 100
FILTERS_MAX = 20
FILTER_VALUES_MAX = 100

EventTypes = Annotated[
    list[str], Meta(description="Patterns: a type (message.sent), a group (message.*), or *.")
]
FilterValues = dict[str, list[str | int | float | bool]]
Filters = Annotated[
    FilterValues,
    Meta(description="Metadata key to accepted values; all keys must match, any value of each."),
]
CONCURRENCY_MAX = 1_000
RATE_MIN, RATE_MAX = 0.01, 1_000.0
ConcurrencyMax = Annotated[
    int | None, Meta(description=f"Most attempts under way at once, 1 to {CONCURRENCY_MAX}.")
]
RateLimit = Annotated[
    float | None, Meta(description=f"Most attempts started in a second, {RATE_MIN} to {RATE_MAX}.")
]
Signature = Annotated[
    SignatureVersion,
    Meta(
        description="How requests are signed: v1 with a secret that both sides know, v1a with an "
        "Ed25519 key of which the receiver knows the public half."
    ),
]
OnFailure = Annotated[
    OrderingOnFailure,
    Meta(
        description=(
            "Whether a delivery that ended failed or exhausted holds back those after it with the "
            "same ordering_key, until it is replayed with success or canceled."
        )
    ),
]
TimeoutMs = Annotated[
    int | None, Meta(description=f"Deadline of one attempt, 1 to {TIMEOUT_MS_MAX} ms.")
]


class EndpointInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new endpoint. ``active`` is shorthand for a status of ``active`` or ``inactive``."""

    url: str
    event_types: EventTypes
    tenant: str = TENANT_DEFAULT
    external_id: str | None = None
    name: str | None = None
    description: str | None = None
    active: bool | None = None
    status: EndpointStatus | None = None
    filters: Filters = {}
    headers: Annotated[
        dict[str, str], Meta(description="Sent with every request; never shown again.")
    ] = {}
    secret: Annotated[
        str | None,
        Meta(description="whsec_ + base64, or whsk_ + base64 for v1a; made for you unless given."),
    ] = None
    signature: Signature | None = None
    retry: RetryPolicy | None = None
    timeout_ms: TimeoutMs = None
    concurrency_max: ConcurrencyMax = None
    rate_limit_per_second: RateLimit = None
    ordering_on_failure: OnFailure = OrderingOnFailure.CONTINUE
    failover: Failover | None = None

    def __repr__(self) -> str:
        """Hide URL, header values and secret from logs."""
        return f"EndpointInput(tenant={self.tenant!r}, event_types={self.event_types!r})"


class EndpointPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes of an endpoint: what is left out stays, null clears."""

    url: str | UnsetType = UNSET
    event_types: EventTypes | UnsetType = UNSET
    external_id: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET
    status: EndpointStatus | UnsetType = UNSET
    filters: Filters | UnsetType | None = UNSET
    headers: dict[str, str] | UnsetType | None = UNSET
    retry: RetryPolicy | UnsetType | None = UNSET
    timeout_ms: TimeoutMs | UnsetType = UNSET
    concurrency_max: ConcurrencyMax | UnsetType = UNSET
    rate_limit_per_second: RateLimit | UnsetType = UNSET
    ordering_on_failure: OnFailure | UnsetType = UNSET
    failover: Failover | UnsetType | None = UNSET

    def __repr__(self) -> str:
        """Hide URL and header values from logs."""
        return "EndpointPatch(...)"


# What a change replaces without a rule of its own.
_PLAIN_FIELDS = (
    "external_id",
    "name",
    "description",
    "retry",
    "timeout_ms",
    "concurrency_max",
    "rate_limit_per_second",
    "ordering_on_failure",
)


def new_endpoint(
    given: EndpointInput,
    *,
    endpoint_id: str,
    now: int,
    rules: UrlRules,
    secret: str | None,
    reserved_headers: Iterable[str] = (),
) -> Endpoint:
    """Check an input and make the endpoint of it, signing with ``secret``, checked already.

    ``reserved_headers`` are those that the service sets itself beyond the usual ones. Raises
    ``InvalidInput`` with a pointer to the field.
    """
    if problem := tenant_problem(given.tenant):
        raise InvalidInput.at("/tenant", problem)
    endpoint = Endpoint(
        id=endpoint_id,
        tenant=given.tenant,
        url=check_url(given.url, rules),
        event_types=tuple(given.event_types),
        created_at=now,
        updated_at=now,
        external_id=given.external_id,
        name=given.name,
        description=given.description,
        filters={key: tuple(values) for key, values in given.filters.items()},
        headers=given.headers,
        secrets=() if secret is None else (SigningSecret(secret),),
        retry=given.retry,
        timeout_ms=given.timeout_ms,
        concurrency_max=given.concurrency_max,
        rate_limit_per_second=given.rate_limit_per_second,
        ordering_on_failure=given.ordering_on_failure,
        failover=_canonical_failover(given.failover, rules),
        status=_status(given.active, given.status, EndpointStatus.ACTIVE),
    )
    _check(endpoint, reserved_headers)
    return endpoint


def patched(
    endpoint: Endpoint,
    patch: EndpointPatch,
    *,
    now: int,
    rules: UrlRules,
    reserved_headers: Iterable[str] = (),
) -> Endpoint:
    """Return the endpoint with the changes, one revision on; raises ``InvalidInput``."""
    changes: dict[str, Any] = {
        name: value for name in _PLAIN_FIELDS if (value := getattr(patch, name)) is not UNSET
    }
    if patch.url is not UNSET:
        changes["url"] = check_url(patch.url, rules)
    if patch.event_types is not UNSET:
        changes["event_types"] = tuple(patch.event_types)
    if patch.filters is not UNSET:
        changes["filters"] = {key: tuple(v) for key, v in (patch.filters or {}).items()}
    if patch.failover is not UNSET:
        changes["failover"] = _canonical_failover(patch.failover, rules)
    if patch.headers is not UNSET:
        changes["headers"] = patch.headers or {}
    active = None if patch.active is UNSET else patch.active
    status = None if patch.status is UNSET else patch.status
    changes["status"] = _status(active, status, endpoint.status)
    if changes["status"] is EndpointStatus.ACTIVE and not endpoint.active:
        changes |= HEALTHY
    changes["updated_at"] = max(now, endpoint.updated_at)
    changes["revision"] = endpoint.revision + 1
    changed = msgspec.structs.replace(endpoint, **changes)
    _check(changed, reserved_headers)
    return changed


def rotated(
    endpoint: Endpoint,
    secret: SigningSecret,
    old: Iterable[SigningSecret],
    *,
    overlap_s: int,
    now: int,
) -> Endpoint:
    """Return the endpoint with a new secret, one revision on; ``old`` ones sign for ``overlap_s``.

    One that ends sooner still does. Raises ``InvalidInput`` when the overlap is out of range or the
    secret signs already, ``Conflict`` when more than ``SECRETS_MAX`` would be live.
    """
    if not 0 <= overlap_s <= OVERLAP_S_MAX:
        raise InvalidInput.at("/overlap_s", f"Is 0 to {OVERLAP_S_MAX} seconds, which is a week.")
    live = [one for one in old if one.live(now)]
    if any(one.value == secret.value for one in live):
        raise InvalidInput.at("/secret", "Signs already; give another one, or none.")
    until = now + overlap_s * 1000
    kept = [
        SigningSecret(one.value, min(until, one.expires_at or until)) for one in live if overlap_s
    ]
    if len(kept) >= SECRETS_MAX:
        ends = rfc3339(min(one.expires_at or until for one in live))
        raise Conflict(
            f"{SECRETS_MAX} secrets are live, which is the most; the first of them ends {ends}. "
            "An overlap_s of 0 ends them all."
        )
    return msgspec.structs.replace(
        endpoint,
        secrets=(secret, *kept),
        updated_at=max(now, endpoint.updated_at),
        revision=endpoint.revision + 1,
    )


def _status(
    active: bool | None,  # noqa: FBT001 - as given
    status: EndpointStatus | None,
    otherwise: EndpointStatus,
) -> EndpointStatus:
    if active is None:
        return otherwise if status is None else status
    if status is not None and (status is EndpointStatus.ACTIVE) != active:
        raise InvalidInput.at(
            "/active", f"Contradicts the status {status.value}; give one of them."
        )
    if status is not None:
        return status
    return EndpointStatus.ACTIVE if active else EndpointStatus.INACTIVE


def _check(endpoint: Endpoint, reserved_headers: Iterable[str]) -> None:
    _check_types(endpoint.event_types)
    _check_filters(endpoint)
    check_headers(endpoint.headers, reserved=reserved_headers)
    if endpoint.external_id is not None:
        if problem := name_problem(endpoint.external_id):
            raise InvalidInput.at("/external_id", problem)
        if endpoint.external_id.startswith("ep_"):
            raise InvalidInput.at("/external_id", "ep_ begins our ids; choose another prefix.")
    for field, chars_max in (("name", 256), ("description", 4096)):
        text = getattr(endpoint, field)
        if text is not None:
            check_text(text, f"/{field}")
            if len(text) > chars_max:
                raise InvalidInput.at(f"/{field}", f"Has at most {chars_max} characters.")
    timeout_ms = endpoint.timeout_ms
    if timeout_ms is not None and not 1 <= timeout_ms <= TIMEOUT_MS_MAX:
        raise InvalidInput.at("/timeout_ms", f"Is 1 to {TIMEOUT_MS_MAX} ms.")
    _check_limits(endpoint)
    _check_failover(endpoint)
    if endpoint.retry is not None and (problem_of := endpoint.retry.problem()) is not None:
        field, detail = problem_of
        raise InvalidInput.at(f"/retry/{field}", detail)


def _canonical_failover(given: Failover | None, rules: UrlRules) -> Failover | None:
    """Check further URLs as the first one is checked, and return them in canonical spelling."""
    if given is None:
        return None
    if not 1 <= len(given.urls) <= FAILOVER_URLS_MAX:
        raise InvalidInput.at("/failover/urls", f"Needs 1 to {FAILOVER_URLS_MAX} further URLs.")
    urls: list[str] = []
    for index, url in enumerate(given.urls):
        try:
            urls.append(check_url(url, rules))
        except InvalidInput as error:
            raise InvalidInput.at(f"/failover/urls/{index}", error.errors[0].detail) from None
    return msgspec.structs.replace(given, urls=tuple(urls))


def _check_failover(endpoint: Endpoint) -> None:
    failover = endpoint.failover
    if failover is None:
        return
    urls = (endpoint.url, *failover.urls)
    for index, url in enumerate(failover.urls):
        if url in urls[: index + 1]:
            raise InvalidInput.at(f"/failover/urls/{index}", "Is given already; leave it out.")
    weights, pointer = failover.weights, "/failover/weights"
    if (weights is not None) != (failover.strategy is Strategy.WEIGHTED):
        raise InvalidInput.at(pointer, "Go with the strategy weighted, and it with them.")
    if weights is not None and (
        len(weights) != len(urls)
        or not any(weights)
        or not all(0 <= w <= WEIGHT_MAX for w in weights)
    ):
        detail = f"Are {len(urls)} here, for url and urls: 0 to {WEIGHT_MAX}, and one above 0."
        raise InvalidInput.at(pointer, detail)


def _check_types(event_types: tuple[str, ...]) -> None:
    if not 1 <= len(event_types) <= PATTERNS_MAX:
        raise InvalidInput.at(
            "/event_types", f"Needs 1 to {PATTERNS_MAX} patterns; * is all types."
        )
    for index, pattern in enumerate(event_types):
        if problem := pattern_problem(pattern):
            raise InvalidInput.at(f"/event_types/{index}", problem)


def _check_filters(endpoint: Endpoint) -> None:
    if len(endpoint.filters) > FILTERS_MAX:
        raise InvalidInput.at("/filters", f"Has at most {FILTERS_MAX} keys.")
    for key, values in endpoint.filters.items():
        pointer = f"/filters/{escape(key)}"
        check_text(key, pointer)
        if not 1 <= len(values) <= FILTER_VALUES_MAX:
            raise InvalidInput.at(pointer, f"Needs 1 to {FILTER_VALUES_MAX} accepted values.")
        for value in values:
            if isinstance(value, str):
                check_text(value, pointer)


def _check_limits(endpoint: Endpoint) -> None:
    concurrency, rate = endpoint.concurrency_max, endpoint.rate_limit_per_second
    if concurrency is not None and not 1 <= concurrency <= CONCURRENCY_MAX:
        raise InvalidInput.at("/concurrency_max", f"Is 1 to {CONCURRENCY_MAX}; null is no limit.")
    if rate is not None and not RATE_MIN <= rate <= RATE_MAX:
        detail = f"Is {RATE_MIN:g} to {RATE_MAX:g}; null is no limit."
        raise InvalidInput.at("/rate_limit_per_second", detail)


def tenant_full(index: int, tenant_max: int) -> Conflict:
    """Return the error for the endpoint of a call at ``index`` whose tenant may have no more."""
    detail = (
        f"Would have more than {tenant_max} endpoints, which is the most; remove some, or raise "
        "endpoints_per_tenant."
    )
    return Conflict.at(f"/{index}/tenant", detail)
