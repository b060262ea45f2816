"""What `import webhook` offers: the runtime API and nothing else."""

from webhook.adapters.memory import create_in_memory_webhook_persistence
from webhook.domain.access import ApiToken, AuditEntry, Scope
from webhook.domain.balancing import Failover, Strategy
from webhook.domain.config import WebhookConfig
from webhook.domain.endpoint import EndpointInput, EndpointPatch
from webhook.domain.errors import (
    ConfigError,
    Conflict,
    FieldError,
    InvalidInput,
    NotFound,
    NotSupported,
    PayloadTooLarge,
    SchemaError,
    StoreFull,
    StoreUnavailable,
    WebhookError,
)
from webhook.domain.event import WebhookEvent
from webhook.domain.event_types import WebhookEventType
from webhook.domain.matching import subscription_matches
from webhook.domain.model import (
    Attempt,
    Delivery,
    DeliveryStatus,
    Endpoint,
    EndpointStatus,
    ErrorKind,
    Event,
    NewEvent,
    Outcome,
)
from webhook.domain.recovery import Recovery, RecoveryCount, RecoveryKind, RecoveryStatus
from webhook.domain.retry import RetryPolicy
from webhook.domain.url_rules import validate_endpoint_url
from webhook.engine.probe import ProbeResult
from webhook.ports import (
    AcceptedEvent,
    AuditQuery,
    Chance,
    Clock,
    DeliveryQuery,
    EndpointQuery,
    EventQuery,
    Page,
    RecoveryQuery,
    Sender,
    TokenQuery,
    WakeQueue,
    WebhookAccessStore,
    WebhookDeliveryStore,
    WebhookEndpointStore,
    WebhookPersistence,
    WebhookRecoveryStore,
)
from webhook.runtime import WebhookRuntimeService, add_endpoints, probe_endpoint

__all__ = [
    "AcceptedEvent",
    "ApiToken",
    "Attempt",
    "AuditEntry",
    "AuditQuery",
    "Chance",
    "Clock",
    "ConfigError",
    "Conflict",
    "Delivery",
    "DeliveryQuery",
    "DeliveryStatus",
    "Endpoint",
    "EndpointInput",
    "EndpointPatch",
    "EndpointQuery",
    "EndpointStatus",
    "ErrorKind",
    "Event",
    "EventQuery",
    "Failover",
    "FieldError",
    "InvalidInput",
    "NewEvent",
    "NotFound",
    "NotSupported",
    "Outcome",
    "Page",
    "PayloadTooLarge",
    "ProbeResult",
    "Recovery",
    "RecoveryCount",
    "RecoveryKind",
    "RecoveryQuery",
    "RecoveryStatus",
    "RetryPolicy",
    "SchemaError",
    "Scope",
    "Sender",
    "StoreFull",
    "StoreUnavailable",
    "Strategy",
    "TokenQuery",
    "WakeQueue",
    "WebhookAccessStore",
    "WebhookConfig",
    "WebhookDeliveryStore",
    "WebhookEndpointStore",
    "WebhookError",
    "WebhookEvent",
    "WebhookEventType",
    "WebhookPersistence",
    "WebhookRecoveryStore",
    "WebhookRuntimeService",
    "add_endpoints",
    "create_in_memory_webhook_persistence",
    "probe_endpoint",
    "subscription_matches",
    "validate_endpoint_url",
]
