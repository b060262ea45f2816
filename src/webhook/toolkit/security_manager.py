"""``SecurityManager``: signatures of the k-msg scheme, made and verified by hand."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

import msgspec

from webhook.domain.config import WebhookConfig
from webhook.domain.signature import kmsg_headers, sign_kmsg, sign_kmsg_body

TOLERANCE_S = 300
_SECONDS_CHARS_MAX = 11


class SecurityManager:
    """Signs as the engine does with ``scheme="k-msg"`` and verifies what it signed.

    Receivers of Standard Webhooks use ``webhook.receive.Verifier``.
    """

    def __init__(self, config: WebhookConfig | None = None) -> None:
        self.config = config or WebhookConfig(scheme="k-msg")

    def update_config(self, **changes: object) -> None:
        """Change options of the config; raises ``ConfigError`` as making one does."""
        self.config = WebhookConfig(**(msgspec.structs.asdict(self.config) | changes))

    @staticmethod
    def create_signed_payload(payload: str, timestamp_s: int) -> str:
        """Return the text that is signed."""
        return f"{timestamp_s}.{payload}"

    def generate_signature(self, payload: str, secret: str) -> str:
        """Sign a payload alone; without a time, whoever copies it may send it for ever."""
        return self._shown(sign_kmsg_body(secret, payload.encode(), self.config.algorithm))

    def generate_signature_with_timestamp(self, payload: str, timestamp_s: int, secret: str) -> str:
        """Sign a payload and its time."""
        return self._shown(sign_kmsg(secret, timestamp_s, payload.encode(), self.config.algorithm))

    def verify_signature(self, payload: str, signature: str, secret: str) -> bool:
        """Whether a signature is of this payload alone, compared in constant time."""
        return _same(self.generate_signature(payload, secret), signature)

    def verify_signature_with_timestamp(
        self, payload: str, timestamp_s: int, signature: str, secret: str
    ) -> bool:
        """Whether a signature is of this payload and time, compared in constant time."""
        expected = self.generate_signature_with_timestamp(payload, timestamp_s, secret)
        return _same(expected, signature)

    def extract_signature(self, headers: Mapping[str, str]) -> str | None:
        """Return the signature among a request's headers, whatever the case of their names."""
        name = self.config.signature_header.lower()
        return next((value for key, value in headers.items() if key.lower() == name), None)

    def create_security_headers(
        self, payload: str, secret: str, *, event_id: str, event_type: str, timestamp_s: int
    ) -> dict[str, str]:
        """Return the headers that the engine would send at ``timestamp_s``."""
        return kmsg_headers(
            (secret,),
            event_id,
            timestamp_s,
            payload.encode(),
            event_type=event_type,
            algorithm=self.config.algorithm,
            header=self.config.signature_header,
            prefix=self.config.signature_prefix,
        )

    @staticmethod
    def verify_timestamp(timestamp: str, now: int, tolerance_s: int = TOLERANCE_S) -> bool:
        """Whether a header's time, in seconds, is near ``now``, epoch ms; before or after."""
        text = timestamp.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= _SECONDS_CHARS_MAX):
            return False
        return abs(now - int(text) * 1000) <= tolerance_s * 1000

    def _shown(self, digest: str) -> str:
        prefix = self.config.signature_prefix
        return (f"{self.config.algorithm}=" if prefix is None else prefix) + digest


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))
