"""What a verifier takes: bodies, headers and secrets in every shape that people have them in."""

from __future__ import annotations

import email.message
import math
import sys
from collections.abc import Iterable
from typing import Any

import django.http
import multidict
import pytest
import starlette.datastructures
import werkzeug.datastructures
from hypothesis import given
from hypothesis import strategies as st

from webhook import receive
from webhook.receive import BadSecret, NoMatch, VerificationError, Verified, Verifier
from webhook.standard_webhooks import signed_bytes, strict_base64, v1

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
AT, BODY = 1614265330, b'{"test": 2432232314}'
GOOD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(AT),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
VERIFIED = Verified("msg_p5jXN8AQM9LWM0D4loKWxJek", AT, 0)


def verifier(secrets: str | Iterable[str] = SECRET, **options: Any) -> Verifier:
    return Verifier(secrets, clock=lambda: AT, **options)


def message() -> email.message.Message:
    found = email.message.Message()
    for name, value in GOOD.items():
        found[name] = value
    return found


@pytest.mark.parametrize(
    "headers",
    [
        GOOD,
        {name.title(): value for name, value in GOOD.items()},
        list(GOOD.items()),
        list(GOOD.items())[::-1],
        iter(GOOD.items()),
        [[name, value] for name, value in GOOD.items()],
        [(name.encode(), value.encode()) for name, value in GOOD.items()],
        message(),
        multidict.CIMultiDict(GOOD),
        werkzeug.datastructures.Headers(GOOD),
        starlette.datastructures.Headers(GOOD),
        django.http.HttpHeaders(
            {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in GOOD.items()}
        ),
    ],
    ids=lambda headers: f"{type(headers).__module__}.{type(headers).__name__}",
)
def test_headers_may_have_any_shape(headers: Any) -> None:
    assert verifier().verify(BODY, headers) == VERIFIED


@pytest.mark.parametrize(
    "headers", [{**GOOD, "webhook-id": 7}, {**GOOD, "webhook-id": [GOOD["webhook-id"]]}, [(1, "a")]]
)
def test_what_is_no_header_is_a_mistake_of_the_program(headers: Any) -> None:
    with pytest.raises(TypeError, match="a header is text or bytes, not"):
        verifier().verify(BODY, headers)


@pytest.mark.parametrize("body", [BODY, bytearray(BODY), memoryview(BODY)])
def test_the_body_may_be_any_bytes(body: Any) -> None:
    assert verifier().verify(body, GOOD) == VERIFIED


@pytest.mark.parametrize(
    ("body", "cure"),
    [
        (BODY.decode(), "the body is str, not bytes; give the bytes, before they are decoded"),
        ({"test": 2432232314}, "the body is dict, .* raw bytes .* JSON written again differs"),
        (None, "the body is NoneType, not bytes"),
    ],
)
def test_what_is_no_body_raises_with_the_cure(body: Any, cure: str) -> None:
    for method in (verifier().verify, verifier().unwrap):
        with pytest.raises(TypeError, match=cure):
            method(body, GOOD)


def test_a_verifier_never_says_no_by_returning() -> None:
    with pytest.raises(NoMatch, match="none of the signatures is by any of 1 secrets"):
        verifier(OTHER).verify(BODY, GOOD)


def test_the_index_tells_which_secret_it_was() -> None:
    for secrets in (f"{OTHER} {SECRET}", [OTHER, SECRET], (each for each in (OTHER, SECRET))):
        assert verifier(secrets).verify(BODY, GOOD).key_index == 1


def test_the_tolerance_can_be_chosen_and_left_out() -> None:
    late = Verifier(SECRET, tolerance=10, clock=lambda: AT + 10.9)
    assert late.verify(BODY, GOOD) == VERIFIED
    with pytest.raises(receive.Expired, match="11 s old, more than 10 s"):
        Verifier(SECRET, tolerance=10, clock=lambda: AT + 11).verify(BODY, GOOD)
    with pytest.raises(receive.Expired, match="1614265330 s ahead"):
        Verifier(SECRET, clock=lambda: 0).verify(BODY, GOOD)
    assert Verifier(SECRET, tolerance=math.inf).verify(BODY, GOOD) == VERIFIED
    for wrong in (-1, math.nan):
        with pytest.raises(ValueError, match="tolerance is a number of seconds"):
            Verifier(SECRET, tolerance=wrong)


def test_the_families_of_headers_can_be_chosen() -> None:
    ours = {name.replace("webhook", "acme"): value for name, value in GOOD.items()}
    assert verifier(headers=["acme"]).verify(BODY, ours) == VERIFIED
    assert verifier(headers="Acme").verify(BODY, ours) == VERIFIED
    with pytest.raises(receive.MissingHeader, match="no webhook-id, webhook-timestamp, webhook-s"):
        verifier().verify(BODY, ours)
    with pytest.raises(receive.MissingHeader, match="no acme-id"):
        verifier(headers=["acme"]).verify(BODY, GOOD)
    with pytest.raises(ValueError, match="headers names at least one family"):
        verifier(headers=())


def test_the_message_names_only_the_header_that_is_missing() -> None:
    for name in GOOD:
        with pytest.raises(receive.MissingHeader, match=f"no {name} among"):
            verifier().verify(BODY, {n: v for n, v in GOOD.items() if n != name})


def test_secrets_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", f" {OTHER} {SECRET}\n")
    monkeypatch.setenv("ELSEWHERE", SECRET)
    assert receive.from_env(clock=lambda: AT).verify(BODY, GOOD).key_index == 1
    assert receive.from_env("ELSEWHERE", clock=lambda: AT).verify(BODY, GOOD).key_index == 0
    monkeypatch.setenv("WEBHOOK_SECRET", " ")
    with pytest.raises(BadSecret, match="the environment has no WEBHOOK_SECRET: set it"):
        receive.from_env()
    monkeypatch.delenv("WEBHOOK_SECRET")
    with pytest.raises(BadSecret, match="the environment has no WEBHOOK_SECRET: set it"):
        receive.from_env()


@pytest.mark.parametrize("secrets", [[], "", "  "])
def test_a_verifier_without_a_secret_cannot_be_made(secrets: Any) -> None:
    with pytest.raises(BadSecret, match="there is no secret"):
        Verifier(secrets)


@pytest.mark.parametrize(
    ("secret", "cure"),
    [
        ("whsk_6Xb/dCcHpPea21PS1N9VY/NZ", "the sender's private key: verify with the public whpk_"),
        ("whpk_1SiA", "a public key is whpk_ and base64 of 32 bytes"),
        ("whsec_%", "a secret is whsec_ and base64"),
        ("whsec_AAAA", "16 to 75 bytes, this one has 3"),
        (b"whsec_AAAA", "a secret is text"),
    ],
)
def test_a_bad_secret_says_what_is_wrong_and_never_itself(secret: Any, cure: str) -> None:
    with pytest.raises(BadSecret, match=cure) as caught:
        Verifier([SECRET, secret])
    assert str(secret) not in str(caught.value)


def test_a_public_key_without_the_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(BadSecret, match=r"pip install 'webhook\[crypto\]'"):
        Verifier("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=")


def test_no_secret_is_shown_by_a_verifier() -> None:
    assert SECRET not in repr(vars(verifier()))


KEY = strict_base64(SECRET.removeprefix("whsec_")) or b""
HEADER = st.text(max_size=40) | st.sampled_from([*GOOD.values(), "v1,", "1614265330"])


@given(body=st.binary(max_size=60), values=st.tuples(HEADER, HEADER, HEADER))
def test_no_request_makes_a_verifier_fail_in_another_way(
    body: bytes, values: tuple[str, str, str]
) -> None:
    headers = dict(zip(GOOD, values, strict=True))
    try:
        verified = verifier().verify(body, headers)
    except VerificationError:
        return
    signed = signed_bytes(verified.id, verified.timestamp, body)
    assert v1(KEY, signed) in headers["webhook-signature"].split(" ")


@given(body=st.binary(min_size=1, max_size=60), where=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_body_with_one_bit_changed_is_refused(body: bytes, where: int, bit: int) -> None:
    headers = {**GOOD, "webhook-signature": v1(KEY, signed_bytes(GOOD["webhook-id"], AT, body))}
    assert verifier().verify(body, headers) == VERIFIED
    touched = bytearray(body)
    touched[where % len(body)] ^= 1 << bit
    with pytest.raises(NoMatch):
        verifier().verify(bytes(touched), headers)


def test_without_a_tolerance_everything_else_is_still_checked() -> None:
    ever = Verifier(SECRET, tolerance=math.inf, clock=lambda: 0)
    assert ever.verify(BODY, GOOD) == VERIFIED
    for changed, error in (
        ({"webhook-timestamp": "hello"}, receive.BadTimestamp),
        ({"webhook-signature": "v1,"}, receive.NoMatch),
    ):
        with pytest.raises(error):
            ever.verify(BODY, {**GOOD, **changed})
