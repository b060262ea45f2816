"""What can be imported from the public packages is what we designed, and nothing more."""

import importlib
import subprocess
import sys
import types

import pytest

from tests.project.source import ROOT

EXPORTS: dict[str, frozenset[str]] = {
    "webhook": frozenset(
        {
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
        }
    ),
    "webhook.client": frozenset(
        {
            "Accepted",
            "ApiError",
            "AsyncClient",
            "AsyncPages",
            "AsyncTransport",
            "Attempt",
            "AuditEntry",
            "BadAnswer",
            "Canceled",
            "Client",
            "Conflict",
            "Delivery",
            "Endpoint",
            "EndpointHealth",
            "Event",
            "EventType",
            "Failover",
            "Forbidden",
            "Health",
            "HttpRequest",
            "HttpResponse",
            "Invalid",
            "LiveSecret",
            "NewToken",
            "NotFound",
            "NotSupported",
            "Page",
            "Pages",
            "Probe",
            "Recovery",
            "RecoveryCanceled",
            "RecoveryCount",
            "Replayed",
            "Request",
            "Secrets",
            "Sending",
            "Tenant",
            "TenantRows",
            "Token",
            "TooLarge",
            "TooManyRequests",
            "Transport",
            "Unauthorized",
            "Unavailable",
            "Unreachable",
        }
    ),
    "webhook.receive": frozenset(
        {
            "BadHeader",
            "BadPayload",
            "BadSecret",
            "BadTimestamp",
            "Event",
            "Expired",
            "Gone",
            "MemorySeen",
            "MissingHeader",
            "NoMatch",
            "Receiver",
            "Seen",
            "VerificationError",
            "Verified",
            "Verifier",
            "from_env",
        }
    ),
    "webhook.toolkit": frozenset(
        {
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
        }
    ),
    "webhook.adapters.cloudflare": frozenset(
        {
            "build_webhook_schema_sql",
            "create_d1_webhook_persistence",
            "initialize_webhook_schema",
        }
    ),
}


def public_names(module: types.ModuleType) -> set[str]:
    """Name what a module shows without an underscore, submodules aside."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        and getattr(value, "__module__", None) != "__future__"
    }


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_are_exactly_the_designed_ones(name: str) -> None:
    assert set(importlib.import_module(name).__all__) == EXPORTS[name]


@pytest.mark.parametrize("name", EXPORTS)
def test_every_exported_name_can_be_imported(name: str) -> None:
    module = importlib.import_module(name)
    missing = [export for export in module.__all__ if not hasattr(module, export)]
    assert missing == []


@pytest.mark.parametrize("name", EXPORTS)
def test_nothing_public_lies_beside_the_exports(name: str) -> None:
    module = importlib.import_module(name)
    assert public_names(module) <= set(module.__all__)


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_are_listed_once_and_in_order(name: str) -> None:
    exports = list(importlib.import_module(name).__all__)
    assert exports == sorted(set(exports))


def test_the_names_of_webhook_come_when_they_are_asked_for() -> None:
    code = (
        "import sys, webhook; assert 'webhook.exports' not in sys.modules\n"
        "assert not hasattr(webhook, 'nonsense') and not hasattr(webhook, '__wrapped__')\n"
        "assert 'WebhookEvent' in dir(webhook)\n"
        "from webhook import *\n"
        "assert WebhookEvent is webhook.WebhookEvent is webhook.exports.WebhookEvent"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
