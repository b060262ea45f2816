"""The ports: what the engine asks of stores, senders, queues, clocks and chance.

The docstrings are the contract.
"""

from webhook.ports.access import (
    AuditQuery,
    TokenQuery,
    WebhookAccessStore,
)
from webhook.ports.crypto import Crypto
from webhook.ports.encryption import Encrypted, WebhookEncryption
from webhook.ports.outbox import WebhookOutbox
from webhook.ports.records import (
    CANCELED_BY_HAND,
    CLAIM_DUE_MAX,
    ENDPOINT_REMOVED,
    INTERRUPTED,
    LIST_LIMIT_DEFAULT,
    NO_FIRST_ATTEMPTS,
    NOTICES_MAX,
    PAYLOAD_ERASED,
    SCAN_ROWS_MAX,
    SWEEP_AHEAD_MS,
    AcceptedEvent,
    AcceptResult,
    Claim,
    Claimed,
    ClaimRequest,
    DeliveryQuery,
    EndpointQuery,
    EventQuery,
    FirstAttempts,
    Overdue,
    Page,
    Settled,
    SweepReport,
)
from webhook.ports.recovery import (
    DOUBLE_CLICK_MS,
    RecoveryFound,
    RecoveryQuery,
    WebhookRecoveryStore,
)
from webhook.ports.stores import (
    WebhookDeliveryStore,
    WebhookEndpointStore,
    WebhookPersistence,
)
from webhook.ports.tenants import WebhookTenantStore
from webhook.ports.world import (
    Chance,
    Clock,
    Sender,
    WaitEvent,
    WakeQueue,
)

__all__ = [
    "CANCELED_BY_HAND",
    "CLAIM_DUE_MAX",
    "DOUBLE_CLICK_MS",
    "ENDPOINT_REMOVED",
    "INTERRUPTED",
    "LIST_LIMIT_DEFAULT",
    "NOTICES_MAX",
    "NO_FIRST_ATTEMPTS",
    "PAYLOAD_ERASED",
    "SCAN_ROWS_MAX",
    "SWEEP_AHEAD_MS",
    "AcceptResult",
    "AcceptedEvent",
    "AuditQuery",
    "Chance",
    "Claim",
    "ClaimRequest",
    "Claimed",
    "Clock",
    "Crypto",
    "DeliveryQuery",
    "Encrypted",
    "EndpointQuery",
    "EventQuery",
    "FirstAttempts",
    "Overdue",
    "Page",
    "RecoveryFound",
    "RecoveryQuery",
    "Sender",
    "Settled",
    "SweepReport",
    "TokenQuery",
    "WaitEvent",
    "WakeQueue",
    "WebhookAccessStore",
    "WebhookDeliveryStore",
    "WebhookEncryption",
    "WebhookEndpointStore",
    "WebhookOutbox",
    "WebhookPersistence",
    "WebhookRecoveryStore",
    "WebhookTenantStore",
]
