"""Advanced building blocks: the engine's rules to be used by hand, and faces of its stores."""

from webhook.domain.balancing import CircuitState, Strategy
from webhook.toolkit.batch_dispatcher import BatchDispatcher, BatchResult
from webhook.toolkit.load_balancer import EndpointHealth, LoadBalancer, LoadBalancerStats
from webhook.toolkit.managers import DeliveryStore, EndpointManager, EventStore, WebhookRegistry
from webhook.toolkit.mock_http_client import MockHttpClient
from webhook.toolkit.queue_manager import QueueManager, QueueStats
from webhook.toolkit.retry_manager import RetryManager, RetryStats
from webhook.toolkit.security_manager import SecurityManager
from webhook.toolkit.types import (
    DeliveryFilter,
    DeliveryStats,
    DispatchJob,
    EndpointFilter,
    EndpointStats,
    EventFilter,
    EventStats,
    PriorityLevel,
    SearchResult,
)

__all__ = [
    "BatchDispatcher",
    "BatchResult",
    "CircuitState",
    "DeliveryFilter",
    "DeliveryStats",
    "DeliveryStore",
    "DispatchJob",
    "EndpointFilter",
    "EndpointHealth",
    "EndpointManager",
    "EndpointStats",
    "EventFilter",
    "EventStats",
    "EventStore",
    "LoadBalancer",
    "LoadBalancerStats",
    "MockHttpClient",
    "PriorityLevel",
    "QueueManager",
    "QueueStats",
    "RetryManager",
    "RetryStats",
    "SearchResult",
    "SecurityManager",
    "Strategy",
    "WebhookRegistry",
]
