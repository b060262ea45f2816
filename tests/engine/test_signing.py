"""What is sent is signed as the configuration says, with the secrets that are live then."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac

import pytest
from standardwebhooks.webhooks import Webhook

from tests.engine.world import World, add, event, url_of
from webhook.adapters.native_crypto import NativeCrypto
from webhook.domain.config import WebhookConfig
from webhook.domain.errors import InvalidInput
from webhook.domain.secret import make_secret
from webhook.engine.request import build_headers

SECRET = make_secret(bytes(range(32)))
OWN = make_secret(bytes(range(1, 33)))
SIGNED = "webhook-signature"


@pytest.fixture(autouse=True)
def present_time(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Let the verifier live in the world's time."""

    class Then(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Then:
            return cls.fromtimestamp(world.clock.now_ms() / 1000, tz)

    monkeypatch.setattr("standardwebhooks.webhooks.datetime", Then)


async def test_standard_headers_verify_with_the_endpoints_own_secret(world: World) -> None:
    service = world.service()
    endpoint = await add(service)
    await world.clock.run(service.emit_sync(event({"text": "grüß"})))
    [sent] = world.sender.requests
    Webhook(endpoint.secrets[0].value).verify(sent.body, sent.headers)


async def test_each_attempt_is_signed_with_its_own_time(world: World) -> None:
    service = world.service(background=True, retry_schedule_s=(1_000,))
    endpoint = await add(service)
    world.sender.script(url_of("a"), 503, 200)
    await service.emit(event())
    await world.clock.advance(1_000_000)
    first, second = world.sender.requests
    Webhook(endpoint.secrets[0].value).verify(second.body, second.headers)
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == (
        1_000
    )


async def test_the_services_secret_signs_where_the_endpoint_has_none(world: World) -> None:
    service = world.service(secret_key=SECRET)
    without = await add(service, "without")
    await add(service, "own", secret=OWN)
    assert without.secrets == ()
    await world.clock.run(service.emit_sync(event()))
    for name, secret in {"without": SECRET, "own": OWN}.items():
        [sent] = world.sender.to(url_of(name))
        assert len(sent.headers[SIGNED].split()) == 1
        Webhook(secret).verify(sent.body, sent.headers)


async def test_without_security_nothing_is_signed(world: World) -> None:
    service = world.service(enable_security=False, secret_key=SECRET)
    await add(service, "without")
    await add(service, "own", secret=OWN)
    await world.clock.run(service.emit_sync(event()))
    assert [SIGNED in sent.headers for sent in world.sender.requests] == [False, False]
    assert all(sent.headers["webhook-id"] for sent in world.sender.requests)


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
async def test_the_older_scheme_sends_its_headers_and_verifies(
    world: World, algorithm: str
) -> None:
    service = world.service(scheme="k-msg", secret_key="any text", algorithm=algorithm)
    await add(service)
    accepted = await service.emit(event({"n": 1}))
    await world.clock.run(service.flush())
    [sent] = world.sender.requests
    stamp = sent.headers["x-webhook-timestamp"]
    digest = hmac.new(
        b"any text", stamp.encode() + b"." + sent.body, getattr(hashlib, algorithm)
    ).hexdigest()
    assert sent.headers["x-webhook-signature"] == f"{algorithm}={digest}"
    assert sent.headers["x-webhook-id"] == accepted.id
    assert sent.headers["x-webhook-event"] == "message.sent"
    assert int(stamp) == world.clock.now_ms() // 1000
    assert SIGNED not in sent.headers


async def test_the_older_scheme_takes_a_header_and_a_prefix_of_the_callers(world: World) -> None:
    service = world.service(
        scheme="k-msg", secret_key="s", signature_header="X-Hub-Signature", signature_prefix=""
    )
    await add(service)
    await world.clock.run(service.emit_sync(event()))
    [sent] = world.sender.requests
    assert len(sent.headers["x-hub-signature"]) == 64


async def test_a_secret_that_cannot_sign_is_refused_when_the_endpoint_is_added(
    world: World,
) -> None:
    for service, secret in (
        (world.service(), "plain text"),
        (world.service(scheme="k-msg"), ""),
    ):
        with pytest.raises(InvalidInput) as caught:
            await add(service, secret=secret)
        assert [error.pointer for error in caught.value.errors] == ["/secret"]


async def test_the_headers_of_an_attempt_name_delivery_type_and_number(world: World) -> None:
    service = world.service()
    await add(service, headers={"X-Own": "yes"})
    [found] = await world.clock.run(service.emit_sync(event()))
    [sent] = world.sender.requests
    assert sent.headers["webhook-delivery-id"] == found.id
    assert sent.headers["webhook-event-type"] == "message.sent"
    assert sent.headers["webhook-attempt"] == "1"
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["x-own"] == "yes"


async def test_a_header_that_the_service_came_to_set_later_is_ours_alone(world: World) -> None:
    service = world.service()
    made = await add(service, headers={"x-signed": "forged", "x-tag": "1"})
    await service.emit(event())
    config = WebhookConfig(scheme="k-msg", secret_key="s", signature_header="X-Signed")
    delivery = await world.delivery(service)
    now = world.clock.now_ms()
    headers = await build_headers(made, delivery, b"{}", config, now=now, crypto=NativeCrypto())
    assert [name for name in headers if name.lower() == "x-signed"] == ["X-Signed"]
    assert headers["x-tag"] == "1"
