"""Signatures: the published vectors, and other people's libraries as independent verifiers."""

from __future__ import annotations

import base64
import time

import pytest
import standardwebhooks
import svix
from hypothesis import given
from hypothesis import strategies as st

from webhook.domain.signature import kmsg_headers, sign_kmsg, sign_v1, standard_headers

SECRET_A = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRET_B = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

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
    assert sign_v1(secret, event_id, timestamp_s, body) == signature


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
    assert standard_headers([], "evt_1", 5, b"{}") == {
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


@given(st.lists(KEYS, min_size=1, max_size=3), IDS, BODIES)
def test_other_libraries_verify_each_secrets_signature(
    secrets: list[str], event_id: str, body: bytes
) -> None:
    headers = standard_headers(secrets, event_id, int(time.time()), body)
    as_svix = {name.replace("webhook-", "svix-"): value for name, value in headers.items()}
    for secret in secrets:
        standardwebhooks.Webhook(secret).verify(body, headers)
        svix.Webhook(secret).verify(body, headers)
        svix.Webhook(secret).verify(body, as_svix)


def test_other_libraries_refuse_a_changed_body() -> None:
    headers = standard_headers([SECRET_A], "evt_1", int(time.time()), b'{"a":1}')
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET_A).verify(b'{"a":2}', headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET_B).verify(b'{"a":1}', headers)


@given(KEYS, IDS, st.integers(0, 1 << 33), st.binary(max_size=100))
def test_any_bytes_can_be_signed(secret: str, event_id: str, at: int, body: bytes) -> None:
    assert sign_v1(secret, event_id, at, body).startswith("v1,")
    assert sign_v1(secret, event_id, at, body) != sign_v1(secret, event_id, at + 1, body)
