"""Why a delivery stands as it does, in one sentence."""

from __future__ import annotations

from webhook.domain.ids import DeliveryRef
from webhook.domain.model import Delivery


def waits_for(delivery: Delivery) -> str | None:
    """Return the id of the delivery that must end before this one is due, None if none must."""
    if delivery.waits_for is None:
        return None
    return DeliveryRef(delivery.endpoint_id, delivery.waits_for).id


def reason_of(delivery: Delivery) -> str | None:
    """Return the reason of an end, or else what a delivery waits for; None when all is well."""
    first = waits_for(delivery)
    if first is not None:
        return f"waits until {first}, before it with the same ordering key, has ended"
    if delivery.stops:
        return f"{delivery.reason}; its ordering key waits until it is replayed or canceled"
    if delivery.reason is None and delivery.attempts:
        return delivery.attempts[-1].error
    return delivery.reason
