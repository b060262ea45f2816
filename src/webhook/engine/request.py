"""The one request that an attempt makes: its headers and its body."""

from __future__ import annotations

from webhook.domain.config import WebhookConfig
from webhook.domain.model import Delivery, Endpoint
from webhook.domain.signature import kmsg_headers, standard_headers

USER_AGENT = "webhook/0.1"


def build_headers(
    endpoint: Endpoint, delivery: Delivery, body: bytes, config: WebhookConfig, now: int
) -> dict[str, str]:
    """Return the headers of the attempt that starts at ``now``; the endpoint's own come first.

    Its own cannot replace ours: their names are refused when the endpoint is made.
    """
    timestamp_s = now // 1000
    secrets = _secrets(endpoint, config, now)
    if config.scheme == "k-msg":
        signed = kmsg_headers(
            secrets,
            delivery.event_id,
            timestamp_s,
            body,
            event_type=delivery.event_type,
            algorithm=config.algorithm,
            header=config.signature_header,
            prefix=config.signature_prefix,
        )
    else:
        signed = standard_headers(secrets, delivery.event_id, timestamp_s, body)
    return {
        **endpoint.headers,
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        **signed,
        "webhook-event-type": delivery.event_type,
        "webhook-delivery-id": delivery.id,
        "webhook-attempt": str(delivery.attempts_made + 1),
    }


def _secrets(endpoint: Endpoint, config: WebhookConfig, now: int) -> list[str]:
    if not config.enable_security:
        return []
    own = endpoint.live_secrets(now)
    return own or ([config.secret_key] if config.secret_key else [])
