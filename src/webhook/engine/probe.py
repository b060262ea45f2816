"""Try an endpoint out: one signed request, whatever its status, and the truth about it."""

from __future__ import annotations

import msgspec

from webhook.domain.config import WebhookConfig
from webhook.domain.event import WebhookEvent, prepare
from webhook.domain.event_types import WebhookEventType
from webhook.domain.model import Delivery, DeliveryState, Endpoint, ErrorKind
from webhook.engine.request import build_headers
from webhook.ports import Clock, Crypto, Sender

PROBE_DATA = {"test": True, "message": "Webhook endpoint probe"}


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one probe came to. Nothing of it is stored."""

    endpoint_id: str
    success: bool
    latency_ms: int
    probed_at: int
    status_code: int | None = None
    error_kind: ErrorKind | None = None
    error: str | None = None
    response: str | None = None


async def probe(
    endpoint: Endpoint,
    *,
    key: str,
    sender: Sender,
    clock: Clock,
    crypto: Crypto,
    config: WebhookConfig,
    event: WebhookEvent | None = None,
) -> ProbeResult:
    """Send exactly one request to the endpoint, of ``event`` or of the probe's own."""
    now = clock.now_ms()
    given = event or WebhookEvent(
        type=WebhookEventType.SYSTEM_MAINTENANCE.value, data=PROBE_DATA, tenant=endpoint.tenant
    )
    prepared = prepare(given, key, now)
    delivery = Delivery(
        endpoint_id=endpoint.id,
        key=key,
        tenant=endpoint.tenant,
        event_id=prepared.id or f"evt_{key}",
        event_type=prepared.type,
        state=DeliveryState.LEASED,
    )
    body = prepared.payload.encode()
    headers = await build_headers(endpoint, delivery, body, config, now=now, crypto=crypto)
    timeout_ms = endpoint.timeout_ms or config.timeout_ms
    outcome = await sender.send(endpoint.url, headers, body, timeout_ms)
    return ProbeResult(
        endpoint_id=endpoint.id,
        success=outcome.error_kind is None,
        latency_ms=outcome.latency_ms,
        probed_at=now,
        status_code=outcome.status_code,
        error_kind=outcome.error_kind,
        error=outcome.error,
        response=outcome.response,
    )
