"""``GET /v1/event-types``: every type that is built in, with a schema that says what it is."""

from __future__ import annotations

from tests.api.client import Api
from webhook.domain.event_types import OPERATIONAL_TYPES, WebhookEventType


async def test_all_types_are_listed_with_what_their_data_looks_like(api: Api) -> None:
    listed = (await api.get("/v1/event-types"))["data"]
    found = {kind["name"]: kind for kind in listed}
    assert len(found) == len(listed)
    assert set(found) == OPERATIONAL_TYPES | {kind.value for kind in WebhookEventType}
    assert all(kind["description"].endswith(".") for kind in listed)
    assert {name for name, kind in found.items() if kind["operational"]} == OPERATIONAL_TYPES
    schema = found["message.failed"]["data_schema"]
    fields = schema["$defs"]["MessageFailed"]
    assert fields["required"] == ["message_id", "error"]
    assert all(kind["data_schema"] for kind in listed if not kind["operational"])
