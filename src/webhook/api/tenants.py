"""``/v1/tenants``: what there is of a tenant, and deleting it whole."""

from __future__ import annotations

from typing import Annotated, Self

import msgspec
from msgspec import Meta
from starlette.responses import Response

from webhook.api.body import refuse_body
from webhook.api.operation import Call, Operation, answer
from webhook.api.problems import NOT_FOUND, NOT_SUPPORTED
from webhook.api.views import Time
from webhook.domain.access import Scope
from webhook.domain.event import rfc3339
from webhook.domain.tenant import TENANT_COUNT_MAX, Tenant


class TenantRowsView(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows each table has of a tenant."""

    endpoints: int
    subscriptions: int
    events: int
    names: int
    deliveries: int
    recoveries: int
    notices: int
    api_tokens: int
    audit_log: int
    payload_horizons: int


class TenantView(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of a tenant."""

    tenant: str
    rows: Annotated[
        TenantRowsView, Meta(description=f"Counted up to {TENANT_COUNT_MAX} in each table.")
    ]
    deleting_since: Annotated[
        Time | None, Meta(description="Null is that it is not being deleted, or not any more.")
    ]
    ends_from: Annotated[
        Time | None,
        Meta(description="No sooner does the deletion end: revoked tokens are known for a while."),
    ]

    @classmethod
    def of(cls, name: str, tenant: Tenant) -> Self:
        """Make the view of a tenant."""
        since, ends_from = tenant.deleting_since, tenant.ends_from
        return cls(
            tenant=name,
            rows=TenantRowsView(**msgspec.structs.asdict(tenant.rows)),
            deleting_since=None if since is None else rfc3339(since),
            ends_from=None if since is None or not ends_from else rfc3339(ends_from),
        )


async def get_tenant(call: Call) -> Response:
    """Count what there is of a tenant."""
    found = await call.context.service.tenants.look(call.id)
    return answer(200, TenantView.of(call.id, found))


async def delete_tenant(call: Call) -> Response:
    """Delete a piece of a tenant."""
    await refuse_body(call)
    left = await call.context.service.tenants.delete(call.id)
    status = 200 if left.deleting_since is None else 202
    return answer(status, TenantView.of(call.id, left))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/tenants/{id}",
        name="get_tenant",
        scope=Scope.ADMIN,
        whole=True,
        summary="Count what there is of a tenant",
        description="A tenant that was never named has nothing.",
        handler=get_tenant,
        status=200,
        answer=(TenantView,),
        answer_description="What there is.",
        problems=(NOT_FOUND, NOT_SUPPORTED),
    ),
    Operation(
        method="DELETE",
        path="/v1/tenants/{id}",
        name="delete_tenant",
        scope=Scope.ADMIN,
        whole=True,
        summary="Delete a tenant whole",
        description=(
            "All that there is of it, its tokens and its part of the audit log included; the log "
            "keeps that it was deleted, and by whom. A call deletes some thousand rows: repeat it "
            "until the answer is 200. From the first one on nothing new of the tenant is accepted "
            "(409), and nothing of it is sent. Afterwards its name is as good as new."
        ),
        handler=delete_tenant,
        status=200,
        answer=(TenantView,),
        answer_description="Nothing is left, as the counts prove; that stands in the audit log.",
        other_answer=(202, (TenantView,), "This is left; call again."),
        problems=(NOT_FOUND, NOT_SUPPORTED),
    ),
)
