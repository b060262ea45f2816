"""Notices: what is to be told to a tenant, on its way to become an operational event.

``endpoint.disabled``: the endpoint's status became ``error``, by a 410 or after five days of
nothing but failures. ``endpoint.recovered``: an attempt succeeded after the endpoint's circuit had
opened, or somebody made a disabled endpoint active again. ``delivery.exhausted``: a dead letter.

A store notes a transition in the same write that makes it, once; what comes of the delivery of an
operational event is never noted, so that none causes another. The event's name, made from the
notice's id in a name space of its own, makes it one however often it is told.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from webhook.domain.event import rfc3339
from webhook.domain.event_types import OperationalEventType
from webhook.domain.ids import DeliveryRef, lane_of
from webhook.domain.matching import patterns_for
from webhook.domain.model import Endpoint, ErrorKind, NewEvent
from webhook.domain.url_rules import url_origin

FAILING_REASON = "nothing but failures for 5 days"
SUCCESS_REASON = "a delivery succeeded"
ACTIVATED_REASON = "made active again"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One transition: at what time (epoch ms), of which endpoint, and why.

    ``id`` is made from the endpoint and the number of its transition, or from the delivery and its
    claim. ``url`` is the endpoint's, None where endpoints are kept elsewhere; only scheme and host
    of it are told. The others say which delivery brought it about, if one did, and how its last
    attempt failed.
    """

    id: str
    tenant: str
    type: OperationalEventType
    at: int
    endpoint_id: str
    reason: str | None
    url: str | None = None
    key: str | None = None
    event_id: str | None = None
    event_type: str | None = None
    error_kind: ErrorKind | None = None
    attempts: int | None = None


def notice_of_update(endpoint: Endpoint, kind: OperationalEventType, reason: str) -> Notice:
    """Return the notice of an endpoint's update in a store of its own, which notes nothing.

    There the revision is the transition's number.
    """
    return Notice(
        id=f"{lane_of(endpoint.id)}:r{endpoint.revision}",
        tenant=endpoint.tenant,
        type=kind,
        at=endpoint.updated_at,
        endpoint_id=endpoint.id,
        reason=reason,
    )


def operational_event(notice: Notice, key: str) -> NewEvent:
    """Return the event that tells of a notice; ``key`` is made by the accepting side.

    It carries no secret: no header, and of the URL neither path nor query.
    """
    event_type = notice.type.value
    delivery_id = None if notice.key is None else DeliveryRef(notice.endpoint_id, notice.key).id
    data: dict[str, Any] = {
        "endpoint_id": notice.endpoint_id,
        "endpoint_origin": None if notice.url is None else url_origin(notice.url),
        "reason": notice.reason,
        "delivery_id": delivery_id,
        "event_id": notice.event_id,
        "event_type": notice.event_type,
        "error_kind": notice.error_kind,
        "attempts": notice.attempts,
    }
    body = {
        "id": f"evt_{key}",
        "type": event_type,
        "timestamp": rfc3339(notice.at),
        "data": data,
        "metadata": {},
        "version": "1.0",
    }
    payload = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return NewEvent(
        key=key,
        tenant=notice.tenant,
        type=event_type,
        payload=payload,
        size=len(payload.encode()),
        patterns=patterns_for(event_type),
        facets=[],
        name=f"notice:{notice.id}",
        content_hash=hashlib.sha256(notice.id.encode()).hexdigest(),
    )
