"""``/v1/recoveries``, and what starts one: many deliveries made again, or made at last."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.responses import Response

from webhook.api.body import decode, read_body, refuse_body
from webhook.api.endpoints import any_tenant
from webhook.api.operation import Call, Operation, answer
from webhook.api.problems import NOT_FOUND, NOT_SUPPORTED
from webhook.api.query import (
    AnyTenantQuery,
    ListQuery,
    Since,
    Until,
    after_of,
    epoch_ms,
    next_cursor,
    parse_query,
)
from webhook.api.recovery_views import (
    RecoveryCanceled,
    RecoveryCountView,
    RecoveryPage,
    RecoveryView,
)
from webhook.api.text import text
from webhook.domain.access import Scope
from webhook.domain.errors import InvalidInput
from webhook.domain.event import TENANT_DEFAULT, TENANT_PATTERN, tenant_problem
from webhook.domain.event_types import TYPE_CHARS_MAX, TYPE_PATTERN, type_problem
from webhook.domain.ids import is_endpoint_id
from webhook.domain.model import DeliveryStatus, ErrorKind
from webhook.domain.recovery import RecoveryKind
from webhook.ports import DeliveryQuery, RecoveryQuery

DryRun = Annotated[bool, Meta(description="Only count what would be done.")]


class Which(StrEnum):
    """What of an endpoint is recovered."""

    FAILED = "failed"
    MISSED = "missed"
    ALL = "all"


class RecoverInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an endpoint is to be sent of a time."""

    since: Since
    which: Annotated[
        Which,
        Meta(
            description="failed: what ended failed or exhausted. missed: what matches the "
            "subscription as it is now and was never sent there, accepted after the endpoint was "
            "made. all: both, and what succeeded or was canceled too."
        ),
    ]
    until: Until | UnsetType = UNSET
    dry_run: DryRun = False


class ReplayInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which finished deliveries are sent once more: at least one filter."""

    tenant: Annotated[str, text("Whose they are.", TENANT_PATTERN)] = TENANT_DEFAULT
    endpoint_id: Annotated[str, text("To this endpoint.", "ep_[a-z0-9]{26}")] | UnsetType = UNSET
    event_type: (
        Annotated[str, text("Of events of this type.", TYPE_PATTERN, TYPE_CHARS_MAX)] | UnsetType
    ) = UNSET
    status: (
        Annotated[DeliveryStatus, Meta(description="That ended so; pending is no end.")] | UnsetType
    ) = UNSET
    error_kind: (
        Annotated[ErrorKind, Meta(description="Whose last attempt failed so.")] | UnsetType
    ) = UNSET
    since: Since | UnsetType = UNSET
    until: Until | UnsetType = UNSET
    dry_run: DryRun = False


class RecoveriesQuery(ListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which recoveries to list."""


_recover = msgspec.json.Decoder(RecoverInput)
_replay = msgspec.json.Decoder(ReplayInput)


async def recover_endpoint(call: Call) -> Response:
    """Send an endpoint what it failed to take, or missed."""
    tenant = any_tenant(call)
    given = decode(call, await read_body(call), _recover)
    service = call.context.service
    since, until = round(given.since.timestamp() * 1000), epoch_ms(given.until)
    which = RecoveryKind(given.which.value)
    if given.dry_run:
        count = await service.recover_endpoint(
            call.id, since=since, until=until, which=which, tenant=tenant, dry_run=True
        )
        return answer(200, RecoveryCountView.of(count))
    recovery = await service.recover_endpoint(
        call.id, since=since, until=until, which=which, tenant=tenant
    )
    return answer(202, RecoveryView.of(recovery))


async def replay_deliveries(call: Call) -> Response:
    """Send once more whatever matches."""
    given = decode(call, await read_body(call), _replay)
    _check(given)
    query = DeliveryQuery(
        tenant=given.tenant,
        endpoint_id=_given(given.endpoint_id),
        event_type=_given(given.event_type),
        status=_given(given.status),
        error_kind=_given(given.error_kind),
        since=epoch_ms(given.since),
        until=epoch_ms(given.until),
    )
    service = call.context.service
    if given.dry_run:
        count = await service.replay_matching(query, dry_run=True)
        return answer(200, RecoveryCountView.of(count))
    return answer(202, RecoveryView.of(await service.replay_matching(query)))


def _given[T: (str, DeliveryStatus, ErrorKind, datetime)](value: T | UnsetType) -> T | None:
    return None if value is UNSET else value


def _check(given: ReplayInput) -> None:
    if problem := tenant_problem(given.tenant):
        raise InvalidInput.at("/tenant", problem)
    if given.endpoint_id is not UNSET and not is_endpoint_id(given.endpoint_id):
        raise InvalidInput.at("/endpoint_id", "Is ep_ and 26 letters and digits.")
    if given.event_type is not UNSET and (problem := type_problem(given.event_type)):
        raise InvalidInput.at("/event_type", problem)


async def list_recoveries(call: Call) -> Response:
    """List a tenant's recoveries."""
    query = parse_query(call, RecoveriesQuery)
    page = await call.context.service.list_recoveries(
        RecoveryQuery(tenant=query.tenant, limit=query.limit, after=after_of("recoveries", query))
    )
    views = [RecoveryView.of(recovery) for recovery in page.items]
    return answer(200, RecoveryPage(views, next_cursor("recoveries", query, page.after)))


async def get_recovery(call: Call) -> Response:
    """Show one recovery."""
    recovery = await call.context.service.get_recovery(call.id, tenant=any_tenant(call))
    return answer(200, RecoveryView.of(recovery))


async def cancel_recovery(call: Call) -> Response:
    """Stop a recovery."""
    tenant = any_tenant(call)
    await refuse_body(call)
    recovery, canceled = await call.context.service.cancel_recovery(call.id, tenant=tenant)
    return answer(200, RecoveryCanceled(RecoveryView.of(recovery), canceled))


_ONE = "/v1/recoveries/{id}"
_STARTED = (
    "The first piece is done at once, the others in the background; look at the recovery to see "
    "how far it is. The same wish again, while it runs or within 10 seconds, returns the same one."
)
_DRY_RUN = (200, (RecoveryCountView,), "For a dry run: what would be done.")

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/endpoints/{id}/recover",
        name="recover_endpoint",
        scope=Scope.MANAGE,
        summary="Send an endpoint what it failed to take, or missed",
        description=_STARTED,
        handler=recover_endpoint,
        query=AnyTenantQuery,
        body=(RecoverInput,),
        status=202,
        answer=(RecoveryView,),
        answer_description="The recovery, running or done.",
        other_answer=_DRY_RUN,
        problems=(NOT_FOUND, NOT_SUPPORTED),
        example='{"since": "2026-01-31T12:00:00Z", "which": "failed"}',
    ),
    Operation(
        method="POST",
        path="/v1/deliveries/replay",
        name="replay_deliveries",
        scope=Scope.MANAGE,
        summary="Send once more whatever matches",
        description=(
            "Every finished delivery that GET /v1/deliveries would list with these filters gets a "
            f"new run, newest event first. {_STARTED}"
        ),
        handler=replay_deliveries,
        body=(ReplayInput,),
        status=202,
        answer=(RecoveryView,),
        answer_description="The recovery, running or done.",
        other_answer=_DRY_RUN,
        problems=(NOT_SUPPORTED,),
        example='{"status": "exhausted", "error_kind": "timeout", "dry_run": true}',
    ),
    Operation(
        method="GET",
        path="/v1/recoveries",
        name="list_recoveries",
        scope=Scope.READ,
        summary="List recoveries, newest first",
        description="One tenant's; those that ended are kept as long as events.",
        handler=list_recoveries,
        query=RecoveriesQuery,
        status=200,
        answer=(RecoveryPage,),
        answer_description="One page.",
        problems=(NOT_SUPPORTED,),
    ),
    Operation(
        method="GET",
        path=_ONE,
        name="get_recovery",
        scope=Scope.READ,
        summary="Show one recovery",
        description="With what it has done so far.",
        handler=get_recovery,
        query=AnyTenantQuery,
        status=200,
        answer=(RecoveryView,),
        answer_description="The recovery.",
        problems=(NOT_FOUND, NOT_SUPPORTED),
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/cancel",
        name="cancel_recovery",
        scope=Scope.MANAGE,
        summary="Stop a recovery",
        description="What it has done stays done. One that has ended is left as it is.",
        handler=cancel_recovery,
        query=AnyTenantQuery,
        status=200,
        answer=(RecoveryCanceled,),
        answer_description="The recovery, ended.",
        problems=(NOT_FOUND, NOT_SUPPORTED),
    ),
)
