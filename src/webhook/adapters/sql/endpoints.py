"""``WebhookEndpointStore`` over D1 and SQLite."""

from __future__ import annotations

from collections.abc import Sequence

from webhook.adapters.sql import ordering_statements
from webhook.adapters.sql import read_statements as sql
from webhook.adapters.sql.database import ConstraintFailed, Database, Statement
from webhook.adapters.sql.rows import endpoint_row, read_endpoint, subscription_rows, to_json
from webhook.adapters.sql.sealing import Sealing
from webhook.adapters.sql.tenant_statements import TENANTS_DELETING
from webhook.domain.endpoint import tenant_full
from webhook.domain.errors import Conflict, NotFound
from webhook.domain.ids import endpoint_of_lane, lane_of
from webhook.domain.model import Endpoint, NewEvent, OrderingOnFailure, with_health_of
from webhook.domain.tenant import tenant_deleting
from webhook.ports import SCAN_ROWS_MAX, EndpointQuery, Page

_TAKEN = "Another endpoint of this tenant has this external id; choose another or update that one."
# Keys that go on at once when their endpoint stops them no more; the sweep does the others.
_RELEASED_MAX = 500


class SqlEndpointStore:
    """Keeps endpoints and their subscriptions; see ``WebhookEndpointStore``."""

    def __init__(self, database: Database, sealing: Sealing | None = None) -> None:
        self._database = database
        self._sealing = sealing or Sealing()

    async def add(self, endpoints: Sequence[Endpoint], tenant_max: int | None = None) -> None:
        """Add all of them or none, in one round trip."""
        rows = [await self._sealing.seal_row(endpoint_row(endpoint)) for endpoint in endpoints]
        subscriptions = [row for e in endpoints for row in subscription_rows(e, e.revision)]
        try:
            await self._database.batch(
                [
                    (sql.ENDPOINT_ADD, (to_json(rows), tenant_max)),
                    (sql.SUBSCRIBE, (to_json(subscriptions),)),
                ]
            )
        except ConstraintFailed:
            raise await self._conflict(endpoints, tenant_max) from None

    async def _conflict(self, endpoints: Sequence[Endpoint], tenant_max: int | None) -> Conflict:
        seen: set[tuple[str, str]] = set()
        for position, endpoint in enumerate(endpoints):
            if endpoint.external_id is not None:
                name = (endpoint.tenant, endpoint.external_id)
                if name in seen:
                    return Conflict.at(f"/{position}/external_id", _TAKEN)
                seen.add(name)
        names = to_json([{"tenant": e.tenant, "external_id": e.external_id} for e in endpoints])
        [taken, full] = await self._database.read(
            [(sql.ENDPOINT_TAKEN, (names,)), (sql.TENANTS_FULL, (names, tenant_max))]
        )
        if not taken and not full:
            [deleting] = await self._database.read([(TENANTS_DELETING, (names,))])
            if deleting:
                return tenant_deleting(deleting[0]["tenant"], f"/{deleting[0]['position']}/tenant")
        if taken or not full or tenant_max is None:
            position = taken[0]["position"] if taken else 0
            return Conflict.at(f"/{position}/external_id", _TAKEN)
        return tenant_full(full[0]["position"], tenant_max)

    async def update(self, endpoint: Endpoint) -> None:
        """Replace the endpoint of the revision before, with its subscriptions."""
        lane = lane_of(endpoint.id)
        row = await self._sealing.seal_row(endpoint_row(endpoint))
        statements: list[Statement] = [
            (sql.UNSUBSCRIBE, (lane, endpoint.revision - 1, endpoint.tenant)),
            (sql.SUBSCRIBE, (to_json(subscription_rows(endpoint, endpoint.revision - 1)),)),
            (sql.ENDPOINT_UPDATE, (to_json([row]),)),
        ]
        if endpoint.ordering_on_failure is OrderingOnFailure.CONTINUE:
            statements.append((ordering_statements.RELEASE_STOPPING, (lane, _RELEASED_MAX)))
        try:
            results = await self._database.batch(statements)
        except ConstraintFailed:
            raise Conflict.at("/external_id", _TAKEN) from None
        if results[2]:
            return
        stored = await self.get(endpoint.tenant, endpoint.id)
        if stored is not None and stored == with_health_of(endpoint, stored):
            return  # our own repeat
        if stored is None:
            raise NotFound(f"There is no endpoint {endpoint.id}.")
        raise Conflict("The endpoint has been changed by somebody else; read it and try again.")

    async def remove(self, tenant: str | None, endpoint_id: str, now: int) -> bool:
        """Remove at once; the row stays, marked, for as long as its deliveries do."""
        lane = lane_of(endpoint_id)
        results = await self._database.batch(
            [
                (sql.ENDPOINT_UNSUBSCRIBE, (lane, tenant)),
                (sql.ENDPOINT_REMOVE, (lane, tenant, now)),
            ]
        )
        return bool(results[1])

    async def get(self, tenant: str | None, endpoint_id: str) -> Endpoint | None:
        """Return one endpoint, or None."""
        found = await self.get_many([endpoint_id])
        return next((e for e in found if tenant in (None, e.tenant)), None)

    async def get_many(self, endpoint_ids: Sequence[str]) -> list[Endpoint]:
        """Return those that exist."""
        lanes = to_json([lane_of(endpoint_id) for endpoint_id in endpoint_ids])
        [rows] = await self._database.read([(sql.ENDPOINTS_GET, (lanes,))])
        return [await self._sealing.open_row(read_endpoint(row)) for row in rows]

    async def match(self, events: Sequence[NewEvent]) -> list[list[str]]:
        """Return each event's endpoints, for stores that are used apart."""
        rows = [{"tenant": e.tenant, "patterns": e.patterns, "facets": e.facets} for e in events]
        [matches] = await self._database.read([(sql.ENDPOINTS_MATCH, (to_json(rows),))])
        targets: list[list[str]] = [[] for _ in events]
        for match in matches:
            targets[match["position"]].append(endpoint_of_lane(match["lane"]))
        return targets

    async def list(self, query: EndpointQuery) -> Page[Endpoint]:
        """Return endpoints, oldest first."""
        parameters = (
            query.tenant,
            query.after or "",
            query.status.value if query.status else None,
            query.external_id,
            query.limit + 1,
        )
        [rows] = await self._database.read([(sql.ENDPOINTS_LIST, parameters)])
        shown = rows[: query.limit]
        items = [await self._sealing.open_row(read_endpoint(row)) for row in shown]
        if len(rows) > query.limit:
            return Page(items, items[-1].id)
        [[scan]] = await self._database.read([(sql.ENDPOINTS_SCANNED, parameters[:2])])
        return Page(items, scan["last"] if scan["scanned"] == SCAN_ROWS_MAX else None)
