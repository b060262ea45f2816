"""docs/k-msg.md has every public name of the original, and what stands beside it is there."""

from __future__ import annotations

import importlib
import re

import msgspec
import pytest

from tests.project.source import ROOT
from webhook import WebhookConfig, WebhookEventType

PAGE = (ROOT / "docs" / "k-msg.md").read_text("utf-8")
ROW = re.compile(r"^\| (`[^|]+?) \| (`[\w.]+`|none) \|", re.MULTILINE)
NAMES = [(theirs, ours.strip("`")) for theirs, ours in ROW.findall(PAGE.partition("## Options")[0])]
# The names that must not get lost on the page.
RUNTIME = {
    "WebhookRuntimeService", "WebhookRuntime", "addEndpoint", "addEndpoints", "updateEndpoint",
    "removeEndpoint", "getEndpoint", "listEndpoints", "probeEndpoint", "emit", "emitSync", "flush",
    "listDeliveries", "shutdown", "validateEndpointUrl", "resolveWebhookSecurityOptions",
    "resolveEndpointValidationOptions", "WebhookRuntimeConfig", "WebhookConfig",
    "WebhookEventType", "WebhookEvent", "WebhookEventSchema", "WebhookEndpoint",
    "WebhookEndpointSchema", "WebhookDelivery", "WebhookDeliverySchema", "WebhookAttempt",
    "WebhookTestResult", "WebhookBatch", "WebhookSecurity", "WebhookStats",
    "WebhookEndpointStore", "WebhookDeliveryStore",
}  # fmt: skip
TOOLKIT = {
    "LoadBalancer", "QueueManager", "BatchDispatcher", "EndpointManager", "DeliveryStore",
    "EventStore", "WebhookRegistry", "RetryManager", "SecurityManager", "MockHttpClient",
    "DispatchJob", "DispatchConfig", "EndpointFilter", "DeliveryFilter", "EventFilter",
    "SearchResult", "StorageConfig", "FileStorageAdapter",
}  # fmt: skip
CLOUDFLARE = {
    "createD1WebhookPersistence", "buildWebhookSchemaSql", "initializeWebhookSchema",
    "D1DatabaseLike", "DEFAULT_WEBHOOK_ENDPOINT_TABLE", "DEFAULT_WEBHOOK_DELIVERY_TABLE",
}  # fmt: skip
OPTIONS = (
    "max_retries", "retry_delay_ms", "max_delay_ms", "backoff_multiplier", "jitter", "timeout_ms",
    "enable_security", "secret_key", "algorithm", "signature_header", "signature_prefix",
    "enabled_events", "batch_size", "batch_timeout_ms",
)  # fmt: skip
TYPES = (
    "message.sent", "message.delivered", "message.failed", "message.clicked", "message.read",
    "template.created", "template.approved", "template.rejected", "template.updated",
    "template.deleted", "channel.created", "channel.verified", "sender_number.added",
    "sender_number.verified", "system.quota_warning", "system.quota_exceeded",
    "system.provider_error", "system.maintenance", "analytics.anomaly_detected",
    "analytics.threshold_exceeded",
)  # fmt: skip


def test_the_page_has_every_name() -> None:
    shown = {name for theirs, _ in NAMES for name in re.findall(r"`(\w+)`", theirs)}
    assert shown >= RUNTIME | TOOLKIT | CLOUDFLARE


@pytest.mark.parametrize("path", sorted({ours for _, ours in NAMES} - {"none"}))
def test_what_stands_beside_a_name_can_be_imported(path: str) -> None:
    module, *rest = path.split(".")
    found: object = importlib.import_module(module)
    for name in rest:
        module = f"{module}.{name}"
        found = getattr(found, name, None) or importlib.import_module(module)
    assert found is not None


def test_every_option_is_an_option_of_ours_and_none_has_to_be_given() -> None:
    fields = {field.name: field for field in msgspec.structs.fields(WebhookConfig)}
    assert set(OPTIONS) <= set(fields)
    assert not [name for name, field in fields.items() if field.required]


def test_the_twenty_event_types_are_built_in_under_their_wire_names() -> None:
    assert sorted(kind.value for kind in WebhookEventType) == sorted(TYPES)
