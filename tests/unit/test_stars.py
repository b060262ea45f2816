"""Whatever holds a secret prints without it: in logs, errors and tracebacks that show locals."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest

from webhook.adapters.sql.rows import endpoint_row, read_endpoint
from webhook.api.access_views import TokenMade, TokenView
from webhook.api.app import OPERATIONS
from webhook.api.auth import ApiSettings
from webhook.api.openapi import openapi
from webhook.api.secrets import RotateInput, SecretView
from webhook.api.views import EndpointPage, EndpointView, secret_of
from webhook.cli.greeting import Greeting
from webhook.client import Client, LiveSecret, NewToken, Secrets, Token
from webhook.client import Failover as FurtherUrls
from webhook.client.exchange import HttpResponse, Service
from webhook.domain.access import ApiToken, Scope
from webhook.domain.balancing import Failover
from webhook.domain.config import WebhookConfig
from webhook.domain.encryption import EncryptionKey, make_encryption_key
from webhook.domain.endpoint import EndpointInput, EndpointPatch
from webhook.domain.errors import InvalidInput
from webhook.domain.model import Delivery, DeliveryState, Endpoint
from webhook.domain.secret import SigningSecret
from webhook.engine.held import held_since
from webhook.ports import AcceptResult, Claim, Claimed
from webhook.settings import Settings, read_store

KEY = EncryptionKey(b"planted encryption key, 32 bytes")
SECRET = "whsec_cGxhbnRlZCBzaWduaW5nIHNlY3JldCEh"
HEADER = "planted-header"
TOKEN = "planted-token"
AT = datetime(2026, 1, 1, tzinfo=UTC)
URL = "https://a.example/planted-path?planted-query"
PLANTED = ("cGxhbnRlZCBza", "planted", make_encryption_key(KEY.value).removeprefix("whek_")[:12])

ENDPOINT = Endpoint(
    id="ep_" + "0" * 26,
    tenant="acme",
    url=URL,
    event_types=("*",),
    created_at=1,
    updated_at=1,
    headers={"x-key": HEADER},
    secrets=(SigningSecret(SECRET), SigningSecret(SECRET, expires_at=9)),
    failover=Failover(urls=("https://b.example/planted-further",)),
)
CLAIMED = Claimed(
    delivery=Delivery(
        endpoint_id=ENDPOINT.id,
        key="0" * 26,
        tenant="acme",
        event_id="a",
        event_type="a",
        state=DeliveryState.LEASED,
    ),
    payload="{}",
    lease_left_ms=1,
    endpoint=ENDPOINT,
)


def holders() -> Iterator[object]:
    """Yield one of each kind of thing that holds a secret, and of what holds those."""
    yield from (SigningSecret(SECRET), KEY, ENDPOINT, ENDPOINT.failover, CLAIMED)
    yield Claim(claimed=[CLAIMED], more=False, now=1, next_due_at=None, next_start="")
    yield AcceptResult(events=[], claimed=[CLAIMED], waiting=False)
    yield list(held_since([CLAIMED], 0))
    row = read_endpoint(endpoint_row(ENDPOINT) | {"failures": 0, "good_rate": 1} | dict.fromkeys(
        ("failing_since", "open_until", "paced_since")
    ))  # fmt: skip
    yield from (row, row.settings)
    yield EndpointInput(url=URL, event_types=["*"], headers={"x-key": HEADER}, secret=SECRET)
    yield EndpointPatch(url=URL, headers={"x-key": HEADER})
    yield RotateInput(secret=SECRET)
    view = EndpointView.of(ENDPOINT, secret=secret_of(ENDPOINT), whole_url=True)
    yield from (view, EndpointPage([view], None), SecretView.of(ENDPOINT, 5))
    config = WebhookConfig(secret_key=SECRET)
    yield config
    yield Settings(api_token=TOKEN, encryption_keys=(KEY,), config=config)
    yield ApiSettings(token=TOKEN)
    kept = ApiToken(id="tok_1", hash=TOKEN, name="shop", scopes=(Scope.READ,), created_at=1)
    yield from (kept, TokenMade(TOKEN, TokenView.of(kept)))
    yield Greeting(Settings(), "http://127.0.0.1", TOKEN, None)
    store = read_store("postgresql://user:planted-password@a.example/hooks?password=planted")
    yield from (store, store.database)
    yield from _of_the_client()


def _of_the_client() -> Iterator[object]:
    service = Service("https://a.example", TOKEN, 30.0, 5)
    request = Client.add_endpoint(URL, event_types=["*"], headers={"x-key": HEADER}, secret=SECRET)
    sent = service.http(request)
    yield from (service, request, sent, HttpResponse(201, {}, sent.body or b""))
    live = LiveSecret(signature="v1", secret=SECRET, public_key=None, expires_at=None)
    yield from (live, Secrets(secret=SECRET, public_key=None, live=[live]))
    token = Token(
        id="tok_1",
        name="shop",
        scopes=["read"],
        tenant=None,
        created_at=AT,
        expires_at=None,
        last_used_at=None,
    )
    yield NewToken(token=TOKEN, details=token)
    yield FurtherUrls(urls=[URL], strategy="random", weights=None)


def _failing_with(holder: object) -> LookupError:
    try:
        _fail(holder)
    except LookupError as error:
        return error
    raise AssertionError


def _fail(holder: object) -> None:
    raise LookupError(holder)


@pytest.mark.parametrize("holder", list(holders()), ids=lambda holder: type(holder).__name__)
def test_nothing_that_holds_a_secret_prints_it(
    holder: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("webhook").debug("%s %r %s", holder, holder, [holder])
    shown = traceback.TracebackException.from_exception(_failing_with(holder), capture_locals=True)
    text = caplog.text + "".join(shown.format()) + f"{holder}{[holder]}"
    assert [planted for planted in PLANTED if planted in text] == []


@pytest.mark.parametrize(
    "secret",
    [
        SECRET[:-2] + "!",
        SECRET[6:],
        f"v1,{SECRET}",
        SECRET + "=" * 5,
        "whsk_" + SECRET[6:],
        SECRET * 9,
    ],
)
def test_a_refusal_does_not_repeat_the_secret(secret: str) -> None:
    from webhook import WebhookRuntimeService  # noqa: PLC0415 - the runtime's names load late

    service = WebhookRuntimeService(auto_start=False)
    given = EndpointInput(url="https://a.example/", event_types=["*"], secret=secret)
    with pytest.raises(InvalidInput) as caught:
        asyncio.run(service.add_endpoint(given))
    text = f"{caught.value}{caught.value.errors}"
    assert [planted for planted in PLANTED if planted in text] == []


def test_the_document_has_no_secret_in_its_examples() -> None:
    text = msgspec.json.encode(openapi(OPERATIONS)).decode()
    for prefix in ("whsec_", "whsk_", "whpk_", "whek_"):
        assert [
            part[:12] for part in text.split(prefix)[1:] if not part.startswith((" + base64", '"'))
        ] == []
