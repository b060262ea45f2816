"""The one request that an attempt makes: its headers and its body."""

from __future__ import annotations

from webhook.domain.config import WebhookConfig
from webhook.domain.headers import comparable
from webhook.domain.model import Delivery, Endpoint
from webhook.domain.secret import SignatureVersion, key_pair, version_of
from webhook.domain.signature import (
    kmsg_headers,
    sign_v1,
    standard_headers,
)
from webhook.ports import Crypto
from webhook.standard_webhooks import signed_bytes, v1a

USER_AGENT = "webhook/0.1"


async def build_headers(
    endpoint: Endpoint,
    delivery: Delivery,
    body: bytes,
    config: WebhookConfig,
    *,
    now: int,
    crypto: Crypto,
) -> dict[str, str]:
    """Return the headers of the attempt that starts at ``now``; the endpoint's own come first.

    Its own cannot replace ours: their names are refused when the endpoint is made, and what a
    setting has named since is left out. Raises ``NotSupported`` when it is to be signed as this
    platform cannot.
    """
    timestamp_s = now // 1000
    secrets = _secrets(endpoint, config, now)
    if config.scheme == "k-msg":
        signed = kmsg_headers(
            # A private key is no HMAC's key: whoever verified with it could sign.
            [s for s in secrets if version_of(s) is SignatureVersion.V1],
            delivery.event_id,
            timestamp_s,
            body,
            event_type=delivery.event_type,
            algorithm=config.algorithm,
            header=config.signature_header,
            prefix=config.signature_prefix,
        )
    else:
        signatures = [
            await _sign(secret, signed_bytes(delivery.event_id, timestamp_s, body), crypto)
            for secret in secrets
        ]
        signed = standard_headers(signatures, delivery.event_id, timestamp_s)
    ours = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        **signed,
        "webhook-event-type": delivery.event_type,
        "webhook-delivery-id": delivery.id,
        "webhook-attempt": str(delivery.attempts_made + 1),
    }
    if not endpoint.headers:
        return ours
    taken = set(map(comparable, ours))
    own = {name: value for name, value in endpoint.headers.items() if comparable(name) not in taken}
    return {**own, **ours}


async def _sign(secret: str, signed: bytes, crypto: Crypto) -> str:
    if version_of(secret) is SignatureVersion.V1:
        return sign_v1(secret, signed)
    seed, _ = key_pair(secret)
    return v1a(await crypto.ed25519_sign(seed, signed))


def _secrets(endpoint: Endpoint, config: WebhookConfig, now: int) -> list[str]:
    if not config.enable_security:
        return []
    own = endpoint.live_secrets(now)
    return own or ([config.secret_key] if config.secret_key else [])
