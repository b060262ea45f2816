"""Secrets are rotated without a receiver noticing, from one to the next and from v1 to v1a."""

from __future__ import annotations

import datetime as dt
import sys

import pytest
import svix
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests import ed25519
from tests.engine.world import World, add, event, url_of
from webhook.adapters.native_crypto import NativeCrypto
from webhook.domain.errors import Conflict, InvalidInput, NotFound, NotSupported
from webhook.domain.model import DeliveryStatus, Endpoint
from webhook.domain.secret import SignatureVersion, make_private_key, make_secret
from webhook.runtime import WebhookRuntimeService
from webhook.testing.sender import SentRequest

HOUR_S = 3_600
V1, V1A = SignatureVersion.V1, SignatureVersion.V1A


@pytest.fixture(autouse=True)
def present_time(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Let the verifiers live in the world's time."""

    class Then(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Then:
            return cls.fromtimestamp(world.clock.now_ms() / 1000, tz)

    monkeypatch.setattr("standardwebhooks.webhooks.datetime", Then)


async def sent(world: World, service: WebhookRuntimeService) -> SentRequest:
    """Deliver an event, and return the request that it made."""
    before = len(world.sender.requests)
    await world.clock.run(service.emit_sync(event({"n": 1})))
    [request] = world.sender.requests[before:]
    return request


def verifies(secret: str, request: SentRequest) -> bool:
    """Whether two libraries both verify a request with a secret."""
    try:
        Webhook(secret).verify(request.body, request.headers)
    except WebhookVerificationError:
        return False
    svix.Webhook(secret).verify(request.body, request.headers)
    return True


def public_key(endpoint: Endpoint) -> str:
    key = endpoint.secrets[0].public_key
    assert key is not None
    return key


async def test_old_and_new_receivers_both_verify_until_the_overlap_ends(world: World) -> None:
    service = world.service()
    made = await add(service)
    changed = await service.rotate_secret(made.id, overlap_s=HOUR_S)
    old, new = made.secrets[0].value, changed.secrets[0].value
    assert old != new
    request = await sent(world, service)
    assert (verifies(old, request), verifies(new, request)) == (True, True)
    await world.clock.advance(HOUR_S * 1000 - 1)
    request = await sent(world, service)
    assert (verifies(old, request), verifies(new, request)) == (True, True)
    await world.clock.advance(1)
    request = await sent(world, service)
    assert (verifies(old, request), verifies(new, request)) == (False, True)


async def test_without_an_overlap_the_old_secret_ends_at_once(world: World) -> None:
    service = world.service()
    made = await add(service)
    changed = await service.rotate_secret(made.id, overlap_s=0)
    assert len(changed.secrets) == 1
    request = await sent(world, service)
    assert verifies(changed.secrets[0].value, request)
    assert not verifies(made.secrets[0].value, request)


async def test_a_day_is_the_overlap_unless_told(world: World) -> None:
    service = world.service()
    made = await add(service)
    changed = await service.rotate_secret(made.id)
    assert changed.secrets[1].expires_at == world.clock.now_ms() + 24 * HOUR_S * 1000


async def test_a_secret_that_ends_sooner_is_not_kept_for_longer(world: World) -> None:
    service = world.service()
    made = await add(service)
    first = await service.rotate_secret(made.id, overlap_s=HOUR_S)
    second = await service.rotate_secret(made.id, overlap_s=2 * HOUR_S)
    now = world.clock.now_ms()
    assert [secret.expires_at for secret in second.secrets] == [
        None,
        now + 2 * HOUR_S * 1000,
        now + HOUR_S * 1000,
    ]
    assert second.secrets[1].value == first.secrets[0].value


async def test_ten_secrets_at_most_are_live(world: World) -> None:
    service = world.service()
    made = await add(service)
    for _ in range(9):
        made = await service.rotate_secret(made.id, overlap_s=HOUR_S)
    assert len((await sent(world, service)).headers["webhook-signature"].split()) == 10
    with pytest.raises(Conflict, match="10 secrets are live"):
        await service.rotate_secret(made.id, overlap_s=HOUR_S)
    assert await service.get_endpoint(made.id) == made
    assert len((await service.rotate_secret(made.id, overlap_s=0)).secrets) == 1
    # What has ended counts no more, and is forgotten.
    await service.rotate_secret(made.id, overlap_s=1)
    await world.clock.advance(1_000)
    assert len((await service.rotate_secret(made.id, overlap_s=1)).secrets) == 2


@pytest.mark.parametrize("overlap_s", [-1, 604_801])
async def test_an_overlap_is_a_week_at_most(world: World, overlap_s: int) -> None:
    service = world.service()
    made = await add(service)
    with pytest.raises(InvalidInput) as caught:
        await service.rotate_secret(made.id, overlap_s=overlap_s)
    assert [error.pointer for error in caught.value.errors] == ["/overlap_s"]
    assert (await service.rotate_secret(made.id, overlap_s=604_800)).revision == 2


async def test_the_services_own_secret_overlaps_too(world: World) -> None:
    own = make_secret(bytes(range(32)))
    service = world.service(secret_key=own)
    made = await add(service)
    changed = await service.rotate_secret(made.id, overlap_s=HOUR_S)
    request = await sent(world, service)
    assert verifies(own, request)
    assert verifies(changed.secrets[0].value, request)


async def test_a_given_secret_is_taken_and_a_bad_or_a_live_one_refused(world: World) -> None:
    service = world.service()
    made = await add(service)
    given = make_secret(bytes(range(32)))
    changed = await service.rotate_secret(made.id, secret=given)
    assert changed.secrets[0].value == given
    for bad in ("whsec_x", given, made.secrets[0].value, "whsk_AAAA", "whpk_" + "A" * 43 + "="):
        with pytest.raises(InvalidInput) as caught:
            await service.rotate_secret(made.id, secret=bad)
        assert [error.pointer for error in caught.value.errors] == ["/secret"]
        assert bad not in str(caught.value)
    with pytest.raises(InvalidInput) as caught:
        await service.rotate_secret(made.id, secret=make_secret(bytes(32)), signature=V1A)
    assert [error.pointer for error in caught.value.errors] == ["/signature"]


async def test_nobody_else_s_secret_is_rotated(world: World) -> None:
    service = world.service()
    made = await add(service)
    with pytest.raises(NotFound):
        await service.rotate_secret(made.id, tenant="other")


async def test_the_older_scheme_rotates_to_any_text_and_signs_with_the_newest(
    world: World,
) -> None:
    service = world.service(scheme="k-msg")
    made = await add(service, secret="old text")
    await service.rotate_secret(made.id, secret="new text", overlap_s=HOUR_S)
    request = await sent(world, service)
    assert len(request.headers["x-webhook-signature"]) == len("sha256=") + 64
    for bad in ("", "whsk_a", "whpk_a"):
        with pytest.raises(InvalidInput):
            await service.rotate_secret(made.id, secret=bad)
    with pytest.raises(InvalidInput) as caught:
        await service.rotate_secret(made.id, signature=V1A)
    assert [error.pointer for error in caught.value.errors] == ["/signature"]


# --- v1a ------------------------------------------------------------------------------------------


async def test_during_a_move_to_v1a_both_signatures_verify(world: World) -> None:
    service = world.service()
    made = await add(service)
    changed = await service.rotate_secret(made.id, signature=V1A, overlap_s=HOUR_S)
    request = await sent(world, service)
    assert [t.split(",")[0] for t in request.headers["webhook-signature"].split()] == ["v1a", "v1"]
    assert verifies(made.secrets[0].value, request)
    assert ed25519.verify_webhook(public_key(changed), dict(request.headers), request.body)
    await world.clock.advance(HOUR_S * 1000)
    request = await sent(world, service)
    assert [t.split(",")[0] for t in request.headers["webhook-signature"].split()] == ["v1a"]
    assert ed25519.verify_webhook(public_key(changed), dict(request.headers), request.body)
    # The next one is of the same kind, and back again is a move as well.
    again = await service.rotate_secret(made.id)
    assert again.secrets[0].version is V1A
    back = await service.rotate_secret(made.id, signature=V1, overlap_s=0)
    assert verifies(back.secrets[0].value, await sent(world, service))


async def test_an_endpoint_can_begin_with_v1a_made_or_given(world: World) -> None:
    service = world.service()
    seed = bytes(range(32))
    given = make_private_key(seed, await NativeCrypto().ed25519_public_key(seed))
    for options in ({"signature": V1A}, {"secret": given}, {"secret": given, "signature": V1A}):
        made = await add(service, **options)
        request = await sent(world, service)
        assert ed25519.verify_webhook(public_key(made), dict(request.headers), request.body)
        await service.remove_endpoint(made.id)


async def test_halves_that_do_not_belong_together_are_refused(world: World) -> None:
    service = world.service()
    with pytest.raises(InvalidInput, match="do not belong together") as caught:
        await add(service, secret=make_private_key(bytes(range(32)), bytes(range(32))))
    assert [error.pointer for error in caught.value.errors] == ["/secret"]


async def test_where_it_cannot_be_signed_a_delivery_waits_and_no_attempt_is_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = world.service()
    await add(service, signature=V1A)
    with monkeypatch.context() as without:
        name = "cryptography.hazmat.primitives.asymmetric.ed25519"
        without.setitem(sys.modules, name, None)
        with pytest.raises(NotSupported, match=r"pip install 'webhook\[crypto\]'"):
            await add(service, "b", signature=V1A)
        await service.emit(event())
        await world.clock.run(service.flush())
    waiting = await world.delivery(service)
    assert (waiting.status, waiting.attempts_made) == (DeliveryStatus.PENDING, 0)
    assert world.sender.to(url_of("a")) == []
    await world.clock.advance(60_000)
    await world.clock.run(service.flush())
    assert (await world.delivery(service)).status is DeliveryStatus.SUCCESS
