"""Endpoints, events and outcomes for the contract, and the calls that every test makes.

Everything is worked out from counters, so a run repeats exactly; ids differ in all tests, so a
database that is shared confuses nobody.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from webhook.domain.ids import DeliveryRef, KeyMaker
from webhook.domain.lifecycle import Settlement, decide
from webhook.domain.matching import facets, patterns_for
from webhook.domain.model import (
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointStatus,
    ErrorKind,
    NewEvent,
    Outcome,
)
from webhook.domain.retry import RetryPolicy
from webhook.ports import (
    NO_FIRST_ATTEMPTS,
    AcceptResult,
    Claim,
    Claimed,
    ClaimRequest,
    DeliveryQuery,
    EndpointQuery,
    EventQuery,
    FirstAttempts,
    Page,
    WebhookPersistence,
)

T0 = 1_764_000_000_000
LEASE_MS = 45_000
SECOND_MS = 1_000
DAY_MS = 86_400_000
SENT = "message.sent"
FAILED = "message.failed"

_numbers = itertools.count()


def _chance(count: int) -> bytes:
    return hashlib.sha256(str(next(_numbers)).encode()).digest()[:count]


def new_key(at: int = T0) -> str:
    """Return a key of that time; keys of one ms come in no order."""
    return KeyMaker(_chance)(at)


def new_endpoint(
    *event_types: str,
    at: int = T0,
    tenant: str = "default",
    status: EndpointStatus = EndpointStatus.ACTIVE,
    filters: Mapping[str, Sequence[str | int | float | bool]] | None = None,
    **options: Any,
) -> Endpoint:
    """Return an endpoint for these types, by default for all."""
    return Endpoint(
        id=f"ep_{new_key(at)}",
        tenant=tenant,
        url="https://receiver.example/hook",
        event_types=event_types or ("*",),
        created_at=at,
        updated_at=at,
        status=status,
        filters={key: tuple(values) for key, values in (filters or {}).items()},
        **options,
    )


def new_event(
    event_type: str = SENT,
    *,
    at: int = T0,
    tenant: str = "default",
    data: object = None,
    metadata: Mapping[str, object] | None = None,
    id: str | None = None,  # noqa: A002 - the caller's word for it
    idempotency_key: str | None = None,
    ordering_key: str | None = None,
) -> NewEvent:
    """Return an event of that accept time; ``data`` makes its content."""
    content = {"type": event_type, "data": data, "metadata": metadata or {}}
    payload = json.dumps(content, ensure_ascii=False)
    name = None
    if id is not None:
        name = f"id:{id}"
    elif idempotency_key is not None:
        name = f"key:{idempotency_key}"
    return NewEvent(
        key=new_key(at),
        tenant=tenant,
        type=event_type,
        payload=payload,
        size=len(payload.encode()),
        patterns=patterns_for(event_type),
        facets=facets(metadata or {}),
        id=id,
        name=name,
        content_hash=None if name is None else hashlib.sha256(payload.encode()).hexdigest(),
        ordering_key=ordering_key,
    )


def new_events(
    count: int,
    event_type: str = SENT,
    *,
    at: int = T0,
    **options: Any,
) -> list[NewEvent]:
    """Return events one ms apart, the first at ``at``."""
    return [new_event(event_type, at=at + index, **options) for index in range(count)]


def first_attempts(limit: int, *, timeout_ms_max: int = 20_000) -> FirstAttempts:
    """Return how many deliveries an accept may lease; the service's timeout is 15 s."""
    return FirstAttempts(
        limit=limit,
        lease_ms=LEASE_MS,
        timeout_ms_max=timeout_ms_max,
        timeout_ms_default=15_000,
    )


async def emit(
    store: WebhookPersistence,
    *events: NewEvent,
    now: int = T0,
    first: FirstAttempts = NO_FIRST_ATTEMPTS,
) -> AcceptResult:
    """Accept events the way the engine does: with a store apart, matched first."""
    targets = None if store.joint else await store.endpoint_store.match(events)
    result = await store.delivery_store.accept(events, first, now, targets)
    return msgspec.structs.replace(result, claimed=_in_order(result.claimed))


def _in_order(claimed: list[Claimed]) -> list[Claimed]:
    """Sort by endpoint and age: in which order a store returns them is its own choice."""
    return sorted(claimed, key=lambda each: each.delivery.ref)


async def emit_mixed(store: WebhookPersistence, count: int = 120) -> list[NewEvent]:
    """Emit events of two types in turn, 1 ms apart, and as many of another tenant between them."""
    mine = [new_event((SENT, FAILED)[index % 2], at=T0 + index) for index in range(count)]
    theirs = new_events(count, tenant="acme")
    for start in range(0, count, 40):
        await emit(store, *mine[start : start + 40], *theirs[start : start + 40])
    return mine


async def add(store: WebhookPersistence, *endpoints: Endpoint) -> None:
    """Add endpoints."""
    await store.endpoint_store.add(endpoints)


async def add_one(store: WebhookPersistence, *event_types: str, **options: Any) -> Endpoint:
    """Make and add one endpoint."""
    endpoint = new_endpoint(*event_types, **options)
    await add(store, endpoint)
    return endpoint


async def add_with_events(
    store: WebhookPersistence, count: int
) -> tuple[Endpoint, list[DeliveryRef]]:
    """Add an endpoint for all events, emit some; return their deliveries, oldest first."""
    endpoint = await add_one(store)
    events = new_events(count)
    await emit(store, *events)
    return endpoint, [DeliveryRef(endpoint.id, event.key) for event in events]


def changed(endpoint: Endpoint, **changes: Any) -> Endpoint:
    """Return the endpoint's next revision."""
    return msgspec.structs.replace(endpoint, revision=endpoint.revision + 1, **changes)


async def claim(
    store: WebhookPersistence,
    now: int = T0,
    *,
    limit: int = 100,
    per_endpoint: int = 100,
    **options: Any,
) -> Claim:
    """Claim, by default whatever is due."""
    request = ClaimRequest(
        now=now, lease_ms=LEASE_MS, limit=limit, per_endpoint=per_endpoint, **options
    )
    taken = await store.delivery_store.claim(request)
    return msgspec.structs.replace(taken, claimed=_in_order(taken.claimed))


async def claim_one(store: WebhookPersistence, now: int = T0) -> Delivery:
    """Claim the only delivery that is due."""
    [claimed] = (await claim(store, now)).claimed
    return claimed.delivery


async def claim_all(store: WebhookPersistence, now: int, **options: Any) -> list[Claimed]:
    """Claim until nothing more is due; ends, since each claim takes something or makes it ready."""
    found: list[Claimed] = []
    for _ in range(1000):
        taken = await claim(store, now, **options)
        found += taken.claimed
        if not taken.more:
            return found
    raise AssertionError("The claims come to no end.")


def refs_of(claimed: Sequence[Claimed]) -> list[DeliveryRef]:
    """Return which deliveries were claimed."""
    return [each.delivery.ref for each in claimed]


async def read(store: WebhookPersistence, ref: DeliveryRef) -> Delivery:
    """Return a delivery that must be there."""
    delivery = await store.delivery_store.get_delivery(None, ref)
    assert delivery is not None
    return delivery


# --- outcomes -------------------------------------------------------------------------------------


def succeeded(delivery: Delivery, now: int = T0) -> Settlement:
    """Settle with a 200."""
    outcome = Outcome(started_at=now, latency_ms=12, status_code=200)
    return decide(delivery, outcome, RetryPolicy(), now, 0.5)


def failed(
    delivery: Delivery,
    now: int = T0,
    *,
    retry_in_ms: int = SECOND_MS,
    error_kind: ErrorKind = ErrorKind.TIMEOUT,
) -> Settlement:
    """Settle with a failure that is tried again after exactly ``retry_in_ms``."""
    outcome = Outcome(started_at=now, latency_ms=12, error_kind=error_kind, error="It failed.")
    policy = RetryPolicy(schedule_s=(retry_in_ms / 1000,) * 100, jitter=0)
    return decide(delivery, outcome, policy, now, 0.5)


def exhausted(
    delivery: Delivery, now: int = T0, *, error_kind: ErrorKind = ErrorKind.TIMEOUT
) -> Settlement:
    """Settle with a failure that has no retry left."""
    outcome = Outcome(started_at=now, latency_ms=12, error_kind=error_kind, error="It failed.")
    return decide(delivery, outcome, RetryPolicy(schedule_s=()), now, 0.5)


def gone(delivery: Delivery, now: int = T0) -> Settlement:
    """Settle with 410: failed, and the endpoint is to be disabled."""
    outcome = Outcome(
        started_at=now, latency_ms=12, status_code=410, error_kind=ErrorKind.HTTP_STATUS
    )
    return decide(delivery, outcome, RetryPolicy(), now, 0.5)


def with_attempt(settlement: Settlement, attempt: Attempt) -> Settlement:
    """Return the settlement with another attempt."""
    return msgspec.structs.replace(settlement, attempt=attempt)


def renamed(settlement: Settlement, ref: DeliveryRef) -> Settlement:
    """Return the settlement for another delivery."""
    return msgspec.structs.replace(settlement, ref=ref)


async def settle(store: WebhookPersistence, *settlements: Settlement) -> list[DeliveryRef]:
    """Settle; return what was applied, sorted."""
    return sorted((await store.delivery_store.settle(settlements)).applied)


async def finish(
    store: WebhookPersistence,
    ref: DeliveryRef,
    settlement_of: Callable[[Delivery, int], Settlement] = succeeded,
    now: int = T0,
) -> Delivery:
    """Claim what is due until ``ref`` is, settle it alone and return it as it is then."""
    claimed = await claim_all(store, now)
    [delivery] = [each.delivery for each in claimed if each.delivery.ref == ref]
    assert await settle(store, settlement_of(delivery, now)) == [ref]
    return await read(store, ref)


async def sweep_all(
    store: WebhookPersistence,
    now: int,
    *,
    before: int = 0,
    limit: int = 100,
    payloads_before: int | None = None,
) -> int:
    """Sweep until no piece is left; return how many pieces it took."""
    for pieces in range(1, 1000):
        report = await store.delivery_store.sweep(
            now, before, limit, payloads_before=payloads_before
        )
        if not report.more:
            return pieces
    raise AssertionError("The sweep comes to no end.")


# --- lists ----------------------------------------------------------------------------------------


async def pages[Query: (EndpointQuery, EventQuery, DeliveryQuery), Item](
    call: Callable[[Query], Awaitable[Page[Item]]], query: Query
) -> list[Item]:
    """Read a list from page to page to its end; pages may be short."""
    found: list[Item] = []
    for _ in range(1000):
        page = await call(query)
        assert len(page.items) <= query.limit
        found += page.items
        if page.after is None:
            return found
        query = msgspec.structs.replace(query, after=page.after)
    raise AssertionError("The pages come to no end.")


async def list_deliveries(
    store: WebhookPersistence,
    *,
    limit: int = 50,
    tenant: str = "default",
    **filters: Any,
) -> list[Delivery]:
    """Read all deliveries that a query wants."""
    query = DeliveryQuery(tenant=tenant, limit=limit, **filters)
    return await pages(store.delivery_store.list_deliveries, query)


async def list_refs(
    store: WebhookPersistence,
    **query: Any,
) -> list[DeliveryRef]:
    """Read which deliveries a query wants, over pages of at most 7."""
    return [each.ref for each in await list_deliveries(store, limit=7, **query)]


async def states(store: WebhookPersistence, *refs: DeliveryRef) -> list[DeliveryState]:
    """Return the states of deliveries."""
    return [(await read(store, ref)).state for ref in refs]
