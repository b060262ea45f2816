"""Endpoints in memory, with an index from tenant and pattern to those that subscribe to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from webhook.adapters.memory.ordered import SortedKeys
from webhook.domain.endpoint import tenant_full
from webhook.domain.errors import Conflict, NotFound
from webhook.domain.event_types import OperationalEventType
from webhook.domain.health import (
    FAILURES_MAX,
    GOOD_RATE_MAX,
    circuit_ms,
    circuit_open,
    failures_after,
    pace_doubles,
)
from webhook.domain.ids import lane_of
from webhook.domain.matching import filter_groups, groups_match
from webhook.domain.model import HEALTHY, Endpoint, EndpointStatus, NewEvent, with_health_of
from webhook.domain.notice import ACTIVATED_REASON, Notice
from webhook.domain.tenant import tenant_deleting
from webhook.ports import SCAN_ROWS_MAX, EndpointQuery, Page

_TAKEN = "Another endpoint of this tenant has this external id; choose another or update that one."


class MemoryEndpointStore:
    """Keeps endpoints; see ``WebhookEndpointStore``.

    No method awaits anything, so each is atomic. What a caller does to a dict of an endpoint that
    it gave or got changes nothing here.
    """

    def __init__(self) -> None:
        self._endpoints: dict[str, Endpoint] = {}
        self._removed_at: dict[str, int] = {}
        # The removed ones of each tenant, and the tenants that are being deleted, since when.
        self._removed_of: dict[str, set[str]] = {}
        self.deleting: dict[str, int] = {}
        self._of_tenant: dict[str, SortedKeys] = {}
        self._external_ids: dict[tuple[str, str], str] = {}
        # Active endpoints only: {(tenant, pattern): {endpoint id: filters as groups of facets}}.
        self._subscribers: dict[tuple[str, str], dict[str, list[list[str]]]] = {}
        self._watchers: list[Callable[[str], None]] = []
        # How often each was disabled or has recovered; and what of it is to be told, by id.
        self._transitions: Counter[str] = Counter()
        self.notices: dict[str, Notice] = {}

    async def add(self, endpoints: Sequence[Endpoint], tenant_max: int | None = None) -> None:
        """Add all of them or none."""
        for index, endpoint in enumerate(endpoints):
            self.refuse_deleting(endpoint.tenant, f"/{index}/tenant")
        # One that is here, or has been, is not new: the call is repeated.
        new = [
            endpoint
            for endpoint in endpoints
            if endpoint.id not in self._endpoints and endpoint.id not in self._removed_at
        ]
        taken: set[tuple[str, str]] = set()
        for index, endpoint in enumerate(endpoints):
            name = _external_name(endpoint)
            if name is None:
                continue
            if name in taken or self._external_ids.get(name, endpoint.id) != endpoint.id:
                raise Conflict.at(f"/{index}/external_id", _TAKEN)
            taken.add(name)
        if tenant_max is not None:
            for tenant, count in Counter(endpoint.tenant for endpoint in new).items():
                if count + len(self._of_tenant.get(tenant, ())) > tenant_max:
                    index = next(i for i, e in enumerate(endpoints) if e.tenant == tenant)
                    raise tenant_full(index, tenant_max)
        for endpoint in new:
            self._of_tenant.setdefault(endpoint.tenant, SortedKeys()).add(endpoint.id)
            self._put(endpoint)

    async def update(self, endpoint: Endpoint) -> None:
        """Replace the endpoint of the revision before."""
        stored = self._endpoints.get(endpoint.id)
        if stored is None or stored.tenant != endpoint.tenant:
            raise NotFound(f"There is no endpoint {endpoint.id}.")
        if stored == with_health_of(endpoint, stored):
            return  # An update that is repeated, since its outcome was not known.
        if stored.revision != endpoint.revision - 1:
            raise Conflict("The endpoint has been changed meanwhile; read it and try again.")
        name = _external_name(endpoint)
        if name is not None and self._external_ids.get(name, endpoint.id) != endpoint.id:
            raise Conflict.at("/external_id", _TAKEN)
        self._take_out(stored)
        if endpoint.active and not stored.active:
            # Its health begins anew, but not its pace.
            paced_since = None if stored.paced_since is None else endpoint.updated_at
            back = with_health_of(endpoint, stored)
            self._put(msgspec.structs.replace(back, **HEALTHY, paced_since=paced_since))
            if stored.status is EndpointStatus.ERROR:
                self._note_activated(endpoint)
        else:
            self._put(with_health_of(endpoint, stored))

    async def remove(self, tenant: str | None, endpoint_id: str, now: int) -> bool:
        """Remove an endpoint at once; False when there was none."""
        endpoint = self.find(tenant, endpoint_id)
        if endpoint is None:
            return False
        self._take_out(endpoint)
        self._of_tenant[endpoint.tenant].discard(endpoint_id)
        self._removed_at[endpoint_id] = now
        self._removed_of.setdefault(endpoint.tenant, set()).add(endpoint_id)
        self._tell(endpoint_id)
        return True

    async def get(self, tenant: str | None, endpoint_id: str) -> Endpoint | None:
        """Return one endpoint, or None."""
        endpoint = self.find(tenant, endpoint_id)
        return None if endpoint is None else copied(endpoint)

    async def get_many(self, endpoint_ids: Sequence[str]) -> list[Endpoint]:
        """Return those that exist, each once."""
        found = (self.find(None, endpoint_id) for endpoint_id in dict.fromkeys(endpoint_ids))
        return [copied(endpoint) for endpoint in found if endpoint is not None]

    async def match(self, events: Sequence[NewEvent]) -> list[list[str]]:
        """Return for each event the ids of the active endpoints of its tenant that receive it."""
        return [self.matching(event) for event in events]

    # --- for the delivery store beside it ---------------------------------------------------------

    def matching(self, event: NewEvent) -> list[str]:
        """Return the endpoints that receive ``event``, oldest first, each once."""
        found: set[str] = set()
        for pattern in event.patterns:
            for endpoint_id, groups in self._subscribers.get((event.tenant, pattern), {}).items():
                if groups_match(groups, event.facets):
                    found.add(endpoint_id)
        return sorted(found)

    def find(self, tenant: str | None, endpoint_id: str) -> Endpoint | None:
        """Return the endpoint as it is stored, for reading only."""
        endpoint = self._endpoints.get(endpoint_id)
        return endpoint if endpoint is not None and tenant in (None, endpoint.tenant) else None

    def removed_at(self, endpoint_id: str) -> int | None:
        """Return when an endpoint was removed, None if it never was here."""
        return self._removed_at.get(endpoint_id)

    def refuse_deleting(self, tenant: str | None, pointer: str) -> None:
        """Raise for what is new of a tenant that is being deleted."""
        if tenant is not None and tenant in self.deleting:
            raise tenant_deleting(tenant, pointer)

    def of_tenant(self, tenant: str) -> list[str]:
        """Return the endpoints of a tenant that are not removed."""
        return list(self._of_tenant.get(tenant, SortedKeys()).after(""))

    def removed_of(self, tenant: str) -> list[str]:
        """Return the endpoints of a tenant that are removed."""
        return sorted(self._removed_of.get(tenant, ()))

    def subscription_count(self, tenant: str) -> int:
        """Count a tenant's subscriptions."""
        return sum(len(ids) for (of, _), ids in self._subscribers.items() if of == tenant)

    def forget(self, tenant: str, endpoint_id: str) -> None:
        """Forget that a removed endpoint has ever been."""
        self._removed_of[tenant].discard(endpoint_id)
        del self._removed_at[endpoint_id]
        self._transitions.pop(endpoint_id, None)

    def forget_tenant(self, tenant: str) -> None:
        """Forget the places of a tenant that has no endpoints any more."""
        self._of_tenant.pop(tenant, None)
        self._removed_of.pop(tenant, None)
        for place in [place for place in self._subscribers if place[0] == tenant]:
            del self._subscribers[place]

    def disable(self, endpoint_id: str, now: int | None) -> int | None:
        """Set an active endpoint to ``error``; another one keeps the status it was given.

        Return the number of this transition, None if there was none.
        """
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None or not endpoint.active:
            return None
        self._take_out(endpoint)
        self._put(
            msgspec.structs.replace(
                endpoint,
                status=EndpointStatus.ERROR,
                revision=endpoint.revision + 1,
                updated_at=endpoint.updated_at if now is None else now,
            )
        )
        return self._next_transition(endpoint_id)

    def count_failures(self, endpoint_id: str, count: int, now: int) -> bool:
        """Add to an active endpoint's failures in a row; say whether its circuit opens for them."""
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None or not endpoint.active or circuit_open(endpoint.open_until, now):
            return False
        failures = failures_after(endpoint.failures, count)
        open_ms = circuit_ms(failures)
        since = now if endpoint.failing_since is None else endpoint.failing_since
        self._endpoints[endpoint_id] = msgspec.structs.replace(
            endpoint,
            failures=failures,
            failing_since=since,
            open_until=None if open_ms is None else now + open_ms,
        )
        return endpoint.failures < FAILURES_MAX <= failures

    def pace(self, endpoint_id: str, rate: float, now: int) -> None:
        """Pace an endpoint whose circuit opened, by the rate of what succeeded before.

        Of one that was still paced, its pace may have made it less than it was.
        """
        endpoint = self._endpoints[endpoint_id]
        since = endpoint.paced_since
        if since is not None:
            rate = max(rate, endpoint.good_rate)
        self._endpoints[endpoint_id] = msgspec.structs.replace(
            endpoint, good_rate=rate, paced_since=now if since is None else since
        )

    def forget_failures(self, endpoint_id: str, now: int, *, drained: bool) -> int | None:
        """End an active endpoint's row of failures, and its pace once it is ``drained``.

        Return the number of this transition, None if it did not close a circuit.
        """
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None or not endpoint.active:
            return None
        closes = endpoint.failures >= FAILURES_MAX
        paced_since, rate = endpoint.paced_since, endpoint.good_rate
        if closes:
            paced_since = now
        elif pace_doubles(paced_since, now):
            paced_since, rate = None if rate >= GOOD_RATE_MAX else now, 2 * rate
        self._endpoints[endpoint_id] = msgspec.structs.replace(
            endpoint, **HEALTHY, good_rate=rate, paced_since=None if drained else paced_since
        )
        return self._next_transition(endpoint_id) if closes else None

    def _next_transition(self, endpoint_id: str) -> int:
        self._transitions[endpoint_id] += 1
        return self._transitions[endpoint_id]

    def _note_activated(self, endpoint: Endpoint) -> None:
        number = self._next_transition(endpoint.id)
        notice = Notice(
            id=f"{lane_of(endpoint.id)}:{number}",
            tenant=endpoint.tenant,
            type=OperationalEventType.ENDPOINT_RECOVERED,
            at=endpoint.updated_at,
            endpoint_id=endpoint.id,
            reason=ACTIVATED_REASON,
            url=endpoint.url,
        )
        self.notices[notice.id] = notice

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Have ``watcher`` called with the id of each endpoint that is changed or removed."""
        self._watchers.append(watcher)

    # --- the indexes ------------------------------------------------------------------------------

    def _put(self, endpoint: Endpoint) -> None:
        self._endpoints[endpoint.id] = copied(endpoint)
        name = _external_name(endpoint)
        if name is not None:
            self._external_ids[name] = endpoint.id
        if endpoint.active:
            groups = filter_groups(endpoint.filters)
            for pattern in endpoint.event_types:
                subscribers = self._subscribers.setdefault((endpoint.tenant, pattern), {})
                subscribers[endpoint.id] = groups
        self._tell(endpoint.id)

    def _take_out(self, endpoint: Endpoint) -> None:
        del self._endpoints[endpoint.id]
        name = _external_name(endpoint)
        if name is not None:
            del self._external_ids[name]
        for pattern in endpoint.event_types:
            self._subscribers.get((endpoint.tenant, pattern), {}).pop(endpoint.id, None)

    def _tell(self, endpoint_id: str) -> None:
        for watcher in self._watchers:
            watcher(endpoint_id)

    # `list` hides the builtin from the annotations below it.

    async def list(self, query: EndpointQuery) -> Page[Endpoint]:
        """Return endpoints, oldest first, since ids begin with the time."""
        items: list[Endpoint] = []
        last = query.after or ""
        for scanned, endpoint_id in enumerate(
            self._of_tenant.get(query.tenant, SortedKeys()).after(last)
        ):
            if len(items) == query.limit or scanned == SCAN_ROWS_MAX:
                return Page(items, last)
            last = endpoint_id
            endpoint = self._endpoints[endpoint_id]
            if query.status in (None, endpoint.status) and query.external_id in (
                None,
                endpoint.external_id,
            ):
                items.append(copied(endpoint))
        return Page(items)


def _external_name(endpoint: Endpoint) -> tuple[str, str] | None:
    if endpoint.external_id is None:
        return None
    return endpoint.tenant, endpoint.external_id


def copied(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with dicts of its own: a frozen struct does not freeze its dicts."""
    return msgspec.structs.replace(
        endpoint, filters=dict(endpoint.filters), headers=dict(endpoint.headers)
    )
