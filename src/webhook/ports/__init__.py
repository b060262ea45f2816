"""The ports: what the engine asks of stores, senders, queues, clocks and chance.

The docstrings are the contract.
"""

from webhook.ports.records import (
    CLAIM_DUE_MAX,
    ENDPOINT_REMOVED,
    INTERRUPTED,
    LIST_LIMIT_DEFAULT,
    NO_FIRST_ATTEMPTS,
    SCAN_ROWS_MAX,
    AcceptedEvent,
    AcceptResult,
    Claim,
    Claimed,
    ClaimRequest,
    DeliveryQuery,
    EndpointQuery,
    EventQuery,
    FirstAttempts,
    Page,
    SweepReport,
)
from webhook.ports.stores import (
    WebhookDeliveryStore,
    WebhookEndpointStore,
    WebhookPersistence,
)
from webhook.ports.world import (
    Chance,
    Clock,
    Sender,
    WaitEvent,
    WakeQueue,
)

__all__ = [
    "CLAIM_DUE_MAX",
    "ENDPOINT_REMOVED",
    "INTERRUPTED",
    "LIST_LIMIT_DEFAULT",
    "NO_FIRST_ATTEMPTS",
    "SCAN_ROWS_MAX",
    "AcceptResult",
    "AcceptedEvent",
    "Chance",
    "Claim",
    "ClaimRequest",
    "Claimed",
    "Clock",
    "DeliveryQuery",
    "EndpointQuery",
    "EventQuery",
    "FirstAttempts",
    "Page",
    "Sender",
    "SweepReport",
    "WaitEvent",
    "WakeQueue",
    "WebhookDeliveryStore",
    "WebhookEndpointStore",
    "WebhookPersistence",
]
