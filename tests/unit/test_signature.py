"""Signatures: the published vectors, and other people's libraries as independent verifiers."""

from __future__ import annotations

import base64
import time

import pytest
import standardwebhooks
import svix
from hypothesis import given
from hypothesis import strategies as st

from tests import ed25519
from webhook.adapters.native_crypto import NativeCrypto
from webhook.domain.secret import key_pair, public_key
from webhook.domain.signature import (
    kmsg_headers,
    sign_kmsg,
    sign_v1,
    standard_headers,
)
from webhook.standard_webhooks import signed_bytes, v1a

SECRET_A = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRET_B = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

# The private key, the public one and the signature that Svix publishes.
PRIVATE = (
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
PUBLISHED_V1A = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

KMSG_BODY = (
    b'{"id":"e1795530233595","type":"message.sent","timestamp":"2026-11-24T14:23:53.595Z",'
    b'"data":{},"metadata":{},"version":"1"}'
)
KMSG_SIGNATURE = "af9cc3e71d9a3599504d5b72a0c3be3974592cffc9b5a4a91c031c31cb54bd86"


@pytest.mark.parametrize(
    ("secret", "event_id", "timestamp_s", "body", "signature"),
    [
        (
            SECRET_A,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            SECRET_B,
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1649367553,
            b'{"email":"test@example.com","username":"test_user"}',
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
    ],
)
def test_the_published_vectors(
    secret: str, event_id: str, timestamp_s: int, body: bytes, signature: str
) -> None:
    assert sign_v1(secret, signed_bytes(event_id, timestamp_s, body)) == signature


async def test_the_published_vector_of_v1a() -> None:
    event_id, timestamp_s, body = (
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    seed, public = key_pair(PRIVATE)
    signature = await NativeCrypto().ed25519_sign(seed, signed_bytes(event_id, timestamp_s, body))
    assert v1a(signature) == PUBLISHED_V1A
    assert await NativeCrypto().ed25519_public_key(seed) == public
    assert public_key(PRIVATE) == PUBLIC
    headers = standard_headers([v1a(signature)], event_id, timestamp_s)
    assert ed25519.verify_webhook(PUBLIC, headers, body)
    assert not ed25519.verify_webhook(PUBLIC, headers, body + b" ")


def test_the_vector_of_k_msg() -> None:
    assert sign_kmsg("s3cr3t", 1795530233, KMSG_BODY, "sha256") == KMSG_SIGNATURE
    headers = kmsg_headers(
        ["s3cr3t", "older"], "e1795530233595", 1795530233, KMSG_BODY, event_type="message.sent"
    )
    assert headers == {
        "X-Webhook-ID": "e1795530233595",
        "X-Webhook-Event": "message.sent",
        "X-Webhook-Timestamp": "1795530233",
        "X-Webhook-Signature": f"sha256={KMSG_SIGNATURE}",
    }


@pytest.mark.parametrize(
    ("algorithm", "prefix", "start", "length"),
    [
        ("sha256", None, "sha256=", 64),
        ("sha1", None, "sha1=", 40),
        ("sha1", "", "", 40),
        ("sha256", "v0:", "v0:", 64),
    ],
)
def test_the_prefix_of_k_msg_names_the_algorithm_unless_told(
    algorithm: str, prefix: str | None, start: str, length: int
) -> None:
    headers = kmsg_headers(
        ["s3cr3t"],
        "e1",
        1,
        b"{}",
        event_type="a",
        algorithm=algorithm,
        header="X-Sig",
        prefix=prefix,
    )
    assert headers["X-Sig"].startswith(start)
    assert len(headers["X-Sig"]) == len(start) + length


def test_without_a_secret_there_is_no_signature() -> None:
    assert standard_headers([], "evt_1", 5) == {
        "webhook-id": "evt_1",
        "webhook-timestamp": "5",
    }
    assert "X-Webhook-Signature" not in kmsg_headers([], "evt_1", 5, b"{}", event_type="a")


KEYS = st.binary(min_size=24, max_size=64).map(
    lambda key: "whsec_" + base64.b64encode(key).decode()
)
IDS = st.from_regex(r"[A-Za-z0-9_:-]{1,40}", fullmatch=True)
# The libraries parse what they have verified, so the body must be JSON to them.
BODIES = st.text(max_size=200).map(lambda text: base64.b64encode(text.encode()).decode()).map(
    lambda text: f'{{"data":"{text} \u2713"}}'.encode()
)  # fmt: skip


def signed(secrets: list[str], event_id: str, body: bytes) -> dict[str, str]:
    """Return the headers of a request that each of the secrets signs now."""
    at = int(time.time())
    over = signed_bytes(event_id, at, body)
    return standard_headers([sign_v1(secret, over) for secret in secrets], event_id, at)


@given(st.lists(KEYS, min_size=1, max_size=3), IDS, BODIES)
def test_other_libraries_verify_each_secrets_signature(
    secrets: list[str], event_id: str, body: bytes
) -> None:
    headers = signed(secrets, event_id, body)
    as_svix = {name.replace("webhook-", "svix-"): value for name, value in headers.items()}
    for secret in secrets:
        standardwebhooks.Webhook(secret).verify(body, headers)
        svix.Webhook(secret).verify(body, headers)
        svix.Webhook(secret).verify(body, as_svix)


def test_other_libraries_refuse_a_changed_body() -> None:
    headers = signed([SECRET_A], "evt_1", b'{"a":1}')
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET_A).verify(b'{"a":2}', headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET_B).verify(b'{"a":1}', headers)


@given(KEYS, IDS, st.integers(0, 1 << 33), st.binary(max_size=100))
def test_any_bytes_can_be_signed(secret: str, event_id: str, at: int, body: bytes) -> None:
    signature = sign_v1(secret, signed_bytes(event_id, at, body))
    assert signature.startswith("v1,")
    assert signature != sign_v1(secret, signed_bytes(event_id, at + 1, body))
