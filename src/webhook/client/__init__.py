"""The client: call a service from Python, blocking or in an event loop.

    with Client("https://hooks.example.com", token) as client:
        client.emit("message.sent", {"text": "hi"}, tenant="acme")
        for delivery in client.list_deliveries(status="exhausted"):
            print(delivery.id, delivery.reason)
            client.replay_delivery(delivery.id)

``AsyncClient`` has the same methods. They are named as the API's operations are, ``/docs`` of the
service says more of each. It works in CPython, in a Python Worker (``AsyncClient``) and in a
browser's Pyodide (``Client`` with the extra ``browser``).
"""

from webhook.client.clients import AsyncClient, Client
from webhook.client.errors import (
    ApiError,
    BadAnswer,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotSupported,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from webhook.client.exchange import AsyncTransport, HttpRequest, HttpResponse, Transport
from webhook.client.operation import AsyncPages, Pages
from webhook.client.request import Request
from webhook.client.results import (
    Accepted,
    Attempt,
    AuditEntry,
    Canceled,
    Delivery,
    Endpoint,
    EndpointHealth,
    Event,
    EventType,
    Failover,
    Health,
    LiveSecret,
    NewToken,
    Page,
    Probe,
    Recovery,
    RecoveryCanceled,
    RecoveryCount,
    Replayed,
    Secrets,
    Sending,
    Tenant,
    TenantRows,
    Token,
)

__all__ = [
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
]
