"""The twenty messaging types have schemas, which an operator may have kept to."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from tests.engine.world import World, add, event
from webhook import InvalidInput, WebhookEventType
from webhook.domain.messaging import PAYLOADS, payload_problem, payload_schema
from webhook.engine.probe import PROBE_DATA

ERROR = {"message": "no such number", "code": "4001"}
MESSAGE, TEMPLATE = {"message_id": "m1", "own": [1]}, {"template_id": "t1"}
CHANNEL, NUMBER = {"channel_id": "c1"}, {"sender_number": "02-1234-5678"}
QUOTA, METRIC = {"quota": "sms", "limit": 100, "used": 90.5}, {"metric": "rate", "value": 2}
GOOD: dict[str, dict[str, Any]] = {
    "message.sent": MESSAGE,
    "message.delivered": MESSAGE | {"delivered_at": "2026-01-31T12:00:00Z"},
    "message.failed": MESSAGE | {"error": ERROR},
    "message.clicked": MESSAGE | {"url": "https://example.com/"},
    "message.read": MESSAGE,
    "template.created": TEMPLATE,
    "template.approved": TEMPLATE,
    "template.rejected": TEMPLATE | {"reason": "too long"},
    "template.updated": TEMPLATE,
    "template.deleted": TEMPLATE,
    "channel.created": CHANNEL,
    "channel.verified": CHANNEL,
    "sender_number.added": NUMBER,
    "sender_number.verified": NUMBER,
    "system.quota_warning": QUOTA,
    "system.quota_exceeded": QUOTA,
    "system.provider_error": {"provider_id": "p1", "error": ERROR},
    "system.maintenance": PROBE_DATA,
    "analytics.anomaly_detected": METRIC,
    "analytics.threshold_exceeded": METRIC | {"threshold": 1.5},
}
BAD: list[tuple[str, Any, str]] = [
    ("message.sent", {"text": "hi"}, "/data"),
    ("message.sent", None, "/data"),
    ("message.sent", {"message_id": ""}, "/data/message_id"),
    ("message.sent", {"message_id": 7}, "/data/message_id"),
    ("message.failed", MESSAGE | {"error": {"message": 1}}, "/data/error/message"),
    ("message.read", MESSAGE | {"read_at": "yesterday"}, "/data/read_at"),
    ("sender_number.added", {"sender_number": "call me"}, "/data/sender_number"),
    ("system.quota_warning", QUOTA | {"used": -1}, "/data/used"),
]


def test_every_built_in_type_has_a_schema_and_an_example_here() -> None:
    assert set(PAYLOADS) == set(GOOD) == {kind.value for kind in WebhookEventType}


@pytest.mark.parametrize("event_type", GOOD)
async def test_what_fits_is_accepted(world: World, event_type: str) -> None:
    service = world.service(check_payloads="refuse")
    await service.emit(event(GOOD[event_type], type=event_type))
    schema = payload_schema(event_type)
    assert schema is not None
    assert schema["$defs"]


@pytest.mark.parametrize(("event_type", "data", "pointer"), BAD)
async def test_what_does_not_fit_is_refused_with_its_place(
    world: World, event_type: str, data: object, pointer: str
) -> None:
    service = world.service(check_payloads="refuse")
    with pytest.raises(InvalidInput) as caught:
        await service.emit(event(data, type=event_type))
    assert [error.pointer for error in caught.value.errors] == [pointer]
    raw = msgspec.Raw(msgspec.json.encode(data))
    with pytest.raises(InvalidInput) as caught:
        await service.emit_many([event(MESSAGE), event(raw, type=event_type)])
    assert [error.pointer for error in caught.value.errors] == [f"/1{pointer}"]
    assert (await service.list_events()).items == []


async def test_a_warning_tells_and_accepts(world: World, caplog: pytest.LogCaptureFixture) -> None:
    service = world.service(check_payloads="warn")
    await add(service)
    with caplog.at_level(logging.WARNING, "webhook.service"):
        await world.clock.run(service.emit_sync(event({"message_id": "secret-7" * 40})))
    assert "/data/message_id" in caplog.text
    assert "secret-7" not in caplog.text
    assert len(world.sender.requests) == 1


async def test_unless_asked_nothing_is_checked_and_own_types_never_are(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "webhook.service"):
        await world.service(wake_queue=_NoQueue()).emit(event({"text": "hi"}))
        service = world.service(check_payloads="refuse", wake_queue=_NoQueue())
        await service.emit(event({"any": "thing"}, type="order.paid"))
    assert caplog.text == ""
    assert payload_problem("order.paid", '{"data":1}') is None
    assert payload_schema("order.paid") is None


class _NoQueue:
    async def wake(self, delay_ms: int) -> None:
        assert delay_ms >= 0
