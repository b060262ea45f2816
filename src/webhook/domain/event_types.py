"""Event types: dotted lower-case names. Twenty for messaging are built in, any other is allowed.

Three are the service's own, the operational ones: nobody else emits them, and ``*`` means none of
them.
"""

from __future__ import annotations

import re
from enum import StrEnum

TYPE_CHARS_MAX = 128
_SEGMENT = r"[a-z0-9_]+"
TYPE_PATTERN = rf"{_SEGMENT}(?:\.{_SEGMENT})*"
_TYPE = re.compile(TYPE_PATTERN)
_PATTERN = re.compile(rf"\*|{_SEGMENT}(?:\.{_SEGMENT})*(?:\.\*)?")


class WebhookEventType(StrEnum):
    """The twenty event types of a messaging platform."""

    MESSAGE_SENT = "message.sent"
    MESSAGE_DELIVERED = "message.delivered"
    MESSAGE_FAILED = "message.failed"
    MESSAGE_CLICKED = "message.clicked"
    MESSAGE_READ = "message.read"
    TEMPLATE_CREATED = "template.created"
    TEMPLATE_APPROVED = "template.approved"
    TEMPLATE_REJECTED = "template.rejected"
    TEMPLATE_UPDATED = "template.updated"
    TEMPLATE_DELETED = "template.deleted"
    CHANNEL_CREATED = "channel.created"
    CHANNEL_VERIFIED = "channel.verified"
    SENDER_NUMBER_ADDED = "sender_number.added"
    SENDER_NUMBER_VERIFIED = "sender_number.verified"
    QUOTA_WARNING = "system.quota_warning"
    QUOTA_EXCEEDED = "system.quota_exceeded"
    PROVIDER_ERROR = "system.provider_error"
    SYSTEM_MAINTENANCE = "system.maintenance"
    ANOMALY_DETECTED = "analytics.anomaly_detected"
    THRESHOLD_EXCEEDED = "analytics.threshold_exceeded"


class OperationalEventType(StrEnum):
    """What the service itself tells a tenant; see ``domain/notice.py``."""

    ENDPOINT_DISABLED = "endpoint.disabled"
    ENDPOINT_RECOVERED = "endpoint.recovered"
    DELIVERY_EXHAUSTED = "delivery.exhausted"


OPERATIONAL_TYPES = frozenset(kind.value for kind in OperationalEventType)


def type_problem(text: str) -> str | None:
    """Return what is wrong with an event type, as a sentence, or None if it is well formed."""
    if len(text) > TYPE_CHARS_MAX:
        return f"An event type has at most {TYPE_CHARS_MAX} characters."
    if _TYPE.fullmatch(text) is None:
        return "An event type is lower-case words of a-z, 0-9 and _ joined by dots: message.sent"
    return None


def pattern_problem(text: str) -> str | None:
    """Return what is wrong with a subscription's pattern, or None if it is well formed."""
    if len(text) > TYPE_CHARS_MAX:
        return f"A pattern has at most {TYPE_CHARS_MAX} characters."
    if _PATTERN.fullmatch(text) is None:
        return "A pattern is an event type (message.sent), a group (message.*) or * for all."
    return None
