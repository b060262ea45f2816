"""What settlements say of their endpoints' health, and what of it is to be told, in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from webhook.adapters.memory.endpoints import MemoryEndpointStore
from webhook.adapters.memory.rows import Rows
from webhook.domain.event_types import OperationalEventType
from webhook.domain.health import ERROR_AFTER_MS, good_rate
from webhook.domain.ids import DeliveryRef, lane_of
from webhook.domain.lifecycle import GONE_REASON, Settlement
from webhook.domain.model import DeliveryState, Endpoint
from webhook.domain.notice import FAILING_REASON, SUCCESS_REASON, Notice

type _Cause = tuple[str | None, Settlement]


def note_exhausted(rows: Rows, applied: Sequence[Settlement]) -> list[Notice]:
    """Note the dead letters among what was applied; return the notices."""
    noted: list[Notice] = []
    for settlement in applied:
        if settlement.state is DeliveryState.EXHAUSTED and not settlement.quiet:
            kind = OperationalEventType.DELIVERY_EXHAUSTED
            number = f"{settlement.ref.key}:{settlement.claim}"
            cause = (settlement.reason, settlement)
            noted.append(_notice(rows, kind, cause, number=number, at=settlement.completed_at or 0))
    return noted


def note_health(
    rows: Rows,
    endpoints: MemoryEndpointStore,
    settlements: Sequence[Settlement],
    applied: Sequence[Settlement],
    drained: Collection[str],
) -> list[Notice]:
    """Disable, count and forget as the applied settlements of one call say, in that order.

    Of the ``drained`` endpoints nothing was ready before. Return what is to be told of it.
    """
    failed_at = max((s.failed_at or 0 for s in settlements), default=0)
    answered_well = {s.ref.endpoint_id for s in settlements if s.state is DeliveryState.SUCCESS}
    failures: dict[str, list[DeliveryRef]] = {}
    disabling: dict[str, list[_Cause]] = {}
    succeeded: dict[str, list[_Cause]] = {}
    for settlement in applied:
        endpoint_id = settlement.ref.endpoint_id
        if settlement.failed_at is not None:
            failures.setdefault(endpoint_id, []).append(settlement.ref)
        endpoint = None if endpoint_id in answered_well else endpoints.find(None, endpoint_id)
        reason = _reason_to_disable(endpoint, settlement, failed_at)
        if reason is not None:
            disabling.setdefault(endpoint_id, []).append((reason, settlement))
        if settlement.state is DeliveryState.SUCCESS:
            succeeded.setdefault(endpoint_id, []).append((SUCCESS_REASON, settlement))
    noted: list[Notice] = []
    for endpoint_id, causes in disabling.items():
        number = endpoints.disable(endpoint_id, failed_at)
        if number is not None:
            kind = OperationalEventType.ENDPOINT_DISABLED
            noted += _noted(rows, kind, causes, number=number, at=failed_at)
    _count_failures(rows, endpoints, failures, failed_at)
    for endpoint_id, causes in succeeded.items():
        at = max(settlement.completed_at or 0 for _, settlement in causes)
        number = endpoints.forget_failures(endpoint_id, at, drained=endpoint_id in drained)
        if number is not None:
            kind = OperationalEventType.ENDPOINT_RECOVERED
            noted += _noted(rows, kind, causes, number=number, at=at)
    return noted


def _count_failures(
    rows: Rows,
    endpoints: MemoryEndpointStore,
    failures: Mapping[str, Sequence[DeliveryRef]],
    failed_at: int,
) -> None:
    for endpoint_id, refs in failures.items():
        if endpoints.count_failures(endpoint_id, len(refs), failed_at):
            succeeded_at = rows.succeeded_before(max(refs))
            endpoints.pace(endpoint_id, good_rate(succeeded_at), failed_at)


def _reason_to_disable(
    endpoint: Endpoint | None, settlement: Settlement, failed_at: int
) -> str | None:
    """Say why; of an ``endpoint`` that answered well in the same call, or is no more, give None."""
    if settlement.disable_endpoint:
        return GONE_REASON
    if settlement.failed_at is None or endpoint is None or endpoint.open_until is None:
        return None
    since = endpoint.failing_since
    return FAILING_REASON if since and since <= failed_at - ERROR_AFTER_MS else None


def _noted(
    rows: Rows, kind: OperationalEventType, causes: Sequence[_Cause], *, number: int, at: int
) -> list[Notice]:
    """Note an endpoint's transition, unless nothing that brought it about is to be told."""
    told = [cause for cause in causes if not cause[1].quiet]
    if not told:
        return []
    cause = max(told, key=lambda cause: (cause[0] or "", cause[1].ref.key))
    return [_notice(rows, kind, cause, number=str(number), at=at)]


def _notice(
    rows: Rows, kind: OperationalEventType, cause: _Cause, *, number: str, at: int
) -> Notice:
    reason, settlement = cause
    attempt, endpoint_id = settlement.attempt, settlement.ref.endpoint_id
    endpoint = rows.endpoints.find(None, endpoint_id) if rows.endpoints else None
    event = rows.events[settlement.ref.key].event
    notice = Notice(
        id=f"{lane_of(endpoint_id)}:{number}",
        tenant=event.tenant,
        type=kind,
        at=at,
        endpoint_id=endpoint_id,
        reason=reason,
        url=None if endpoint is None else endpoint.url,
        key=event.key,
        event_id=event.id,
        event_type=event.type,
        error_kind=None if attempt is None else attempt.error_kind,
        attempts=settlement.attempts_before + (attempt is not None),
    )
    rows.notices[notice.id] = notice
    return notice
