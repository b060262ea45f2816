"""``/v1/events``."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from webhook.client.request import Request, Time, body, json_bytes, path, query
from webhook.client.results import Accepted, AcceptedBatch, Delivery, Event, Page
from webhook.domain.event import WebhookEvent

_PATH, _ONE = "/v1/events", "/v1/events/{}"


def emit(
    type: str,  # noqa: A002 - the API's word
    data: Any,  # noqa: ANN401 - whatever JSON can hold
    *,
    tenant: str | None = None,
    id: str | None = None,  # noqa: A002 - the API's word
    timestamp: Time | None = None,
    metadata: Mapping[str, Any] | None = None,
    version: str | None = None,
    idempotency_key: str | None = None,
    ordering_key: str | None = None,
) -> Request[Accepted]:
    """Accept one event; once it returns, every subscribed endpoint will get it.

    Without ``id`` and ``idempotency_key`` the call makes a key of its own, so that trying again
    after a lost answer makes no second event. ``data`` is whatever JSON can hold: structs and
    dataclasses too, and ``msgspec.Raw`` goes through byte for byte.
    """
    own_key = None if id or idempotency_key else _new_key()
    return Request(
        method="POST",
        path=_PATH,
        body=body(
            type=type,
            data=_raw(data),
            tenant=tenant,
            id=id,
            timestamp=timestamp,
            metadata=metadata,
            version=version,
            idempotency_key=idempotency_key or own_key,
            ordering_key=ordering_key,
        ),
        answer=Accepted,
        then=_first_time if own_key else _as_told,
    )


def emit_many(
    events: Iterable[WebhookEvent | Mapping[str, Any]],
) -> Request[list[Accepted]]:
    """Accept up to 100 events, all or none, and return what became of each, in their order.

    An event is a ``webhook.WebhookEvent``, or a mapping of the fields that ``emit`` takes.
    """
    key = _new_key()
    given, own = [], []
    for index, event in enumerate(events):
        fields = {name: value for name, value in _fields(event).items() if value is not None}
        # An event without data is the service's to refuse, but data may be null.
        fields["data"] = _raw(_fields(event).get("data"))
        own.append(not ({"id", "idempotency_key"} & fields.keys()))
        if own[-1]:
            fields["idempotency_key"] = f"{key}:{index}"
        given.append(msgspec.Raw(json_bytes(fields)))

    def then(batch: AcceptedBatch) -> list[Accepted]:
        made = zip(batch.events, own, strict=True)
        return [_first_time(one) if ours else one for one, ours in made]

    return Request(
        method="POST",
        path=_PATH,
        body=b'{"events":[' + b",".join(map(bytes, given)) + b"]}",
        answer=AcceptedBatch,
        then=then,
    )


def list_events(
    *,
    tenant: str | None = None,
    type: str | None = None,  # noqa: A002 - the API's word
    since: Time | None = None,
    until: Time | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Request[Page[Event]]:
    """List a tenant's events, newest first; ``limit`` is the size of a page."""
    given = query(tenant=tenant, type=type, since=since, until=until, limit=limit, cursor=cursor)
    return Request(method="GET", path=_PATH, query=given, answer=Page[Event])


def get_event(event_id: str, *, tenant: str | None = None) -> Request[Event]:
    """Return one event."""
    given = query(tenant=tenant)
    return Request(method="GET", path=path(_ONE, event_id), query=given, answer=Event)


def list_event_deliveries(
    event_id: str,
    *,
    tenant: str | None = None,
    status: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Request[Page[Delivery]]:
    """List where an event went; ``limit`` is the size of a page."""
    return Request(
        method="GET",
        path=path(f"{_ONE}/deliveries", event_id),
        query=query(tenant=tenant, status=status, limit=limit, cursor=cursor),
        answer=Page[Delivery],
    )


def erase_payload(event_id: str, *, tenant: str | None = None) -> Request[None]:
    """Erase the payload of one event, for good."""
    target = path(f"{_ONE}/payload", event_id)
    return Request(method="DELETE", path=target, query=query(tenant=tenant), answer=None)


def _new_key() -> str:
    return secrets.token_hex(16)


def _raw(data: object) -> msgspec.Raw:
    return msgspec.Raw(json_bytes(data))


def _fields(event: WebhookEvent | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(event, WebhookEvent):
        return {name: getattr(event, name) for name in event.__struct_fields__}
    return event


def _as_told(accepted: Accepted) -> Accepted:
    return accepted


def _first_time(accepted: Accepted) -> Accepted:
    """Return it as no duplicate: nobody else knows its key, so an earlier try was this call's."""
    return msgspec.structs.replace(accepted, duplicate=False)
