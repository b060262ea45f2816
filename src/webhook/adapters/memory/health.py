"""What settlements say of their endpoints' health, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from webhook.adapters.memory.endpoints import MemoryEndpointStore
from webhook.domain.health import ERROR_AFTER_MS
from webhook.domain.lifecycle import Settlement
from webhook.domain.model import DeliveryState


def note_health(
    endpoints: MemoryEndpointStore, settlements: Sequence[Settlement], applied: Sequence[Settlement]
) -> None:
    """Disable, count and forget as the applied settlements of one call say, in that order."""
    failed_at = max((s.failed_at or 0 for s in settlements), default=0)
    failures: Counter[str] = Counter()
    for settlement in applied:
        endpoint_id = settlement.ref.endpoint_id
        if settlement.failed_at is not None:
            failures[endpoint_id] += 1
        endpoint = endpoints.find(None, endpoint_id)
        given_up = (
            settlement.failed_at is not None
            and endpoint is not None
            and endpoint.open_until is not None
            and endpoint.failing_since is not None
            and endpoint.failing_since <= failed_at - ERROR_AFTER_MS
        )
        if settlement.disable_endpoint or given_up:
            endpoints.disable(endpoint_id, failed_at)
    for endpoint_id, count in failures.items():
        endpoints.count_failures(endpoint_id, count, failed_at)
    for settlement in applied:
        if settlement.state is DeliveryState.SUCCESS:
            endpoints.forget_failures(settlement.ref.endpoint_id)
