"""Event, endpoint, delivery: what they work out by themselves, and what they never print."""

from __future__ import annotations

import pytest

from webhook.domain.ids import KeyMaker, parse_delivery_id
from webhook.domain.model import (
    Delivery,
    DeliveryState,
    DeliveryStatus,
    Endpoint,
    EndpointStatus,
    Event,
)
from webhook.domain.secret import SigningSecret

NOW = 1_795_530_233_000
KEY = KeyMaker(bytes)(NOW)
SECRETS = (
    SigningSecret("whsec_newest"),
    SigningSecret("whsec_older", expires_at=NOW + 1),
    SigningSecret("whsec_ended", expires_at=NOW),
)


def endpoint(status: EndpointStatus = EndpointStatus.ACTIVE) -> Endpoint:
    return Endpoint(
        id="ep_" + "0" * 26,
        tenant="acme",
        url="https://example.com/path-secret?token=query-secret",
        event_types=("*",),
        created_at=NOW,
        updated_at=NOW,
        headers={"Authorization": "Bearer header-secret"},
        secrets=SECRETS,
        status=status,
    )


@pytest.mark.parametrize("status", EndpointStatus)
def test_only_an_active_endpoint_is_active(status: EndpointStatus) -> None:
    assert endpoint(status).active is (status is EndpointStatus.ACTIVE)


def test_a_secret_signs_until_the_moment_it_expires() -> None:
    assert endpoint().live_secrets(NOW - 1) == ["whsec_newest", "whsec_older", "whsec_ended"]
    assert endpoint().live_secrets(NOW) == ["whsec_newest", "whsec_older"]
    assert endpoint().live_secrets(NOW + 1) == ["whsec_newest"]


def test_an_endpoint_prints_neither_url_nor_headers_nor_secrets() -> None:
    for text in (repr(endpoint()), str(endpoint()), f"{[endpoint()]}"):
        assert "secret" not in text
        assert "whsec" not in text
        assert "ep_" in text


def test_an_event_knows_when_it_was_accepted() -> None:
    event = Event(key=KEY, id="order-17", tenant="acme", type="a", payload="{}")
    assert event.accepted_at == NOW


def test_a_delivery_is_its_endpoint_and_event() -> None:
    delivery = Delivery(
        endpoint_id="ep_" + "0" * 26,
        key=KEY,
        tenant="acme",
        event_id="order-17",
        event_type="a",
        state=DeliveryState.READY,
    )
    assert parse_delivery_id(delivery.id) == delivery.ref
    assert delivery.created_at == NOW
    assert delivery.status is DeliveryStatus.PENDING


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("blocked", "pending"),
        ("ready", "pending"),
        ("scheduled", "pending"),
        ("leased", "pending"),
        ("success", "success"),
        ("failed", "failed"),
        ("exhausted", "exhausted"),
        ("canceled", "canceled"),
    ],
)
def test_a_state_in_a_callers_words(state: str, status: str) -> None:
    assert DeliveryState(state).status is DeliveryStatus(status)
    assert len(DeliveryState) == 8
