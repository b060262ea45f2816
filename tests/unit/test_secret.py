"""Signing secrets: well-formed ones load, all others say what is wrong, none prints itself."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.domain.secret import (
    SignatureVersion,
    SigningSecret,
    key_pair,
    make_private_key,
    make_secret,
    public_key,
    secret_bytes,
)

GOOD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = (
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
SIXTY_FOUR = (
    "whsec_TUdfVE5UMnZlci1TeWxOYXQtX1ZlTW1kLTRtMFdhYmEwanIxdHJvenRCbmlTQ2hFdzBnbHhFbWdFaTJLdzQwSA=="
)
EIGHTY_ONE = (
    "whsec_V09IYXZUaFJoSnFobnpJQkpPMXdpdGFNWnJsRzAxdXZCeTVndVpwRmxSSXFs"
    "c0oyYzBTRWRUekJhYnlaZ0JSRGNPQ3BGZG1xYjFVVmRGQ3UK"
)


@given(st.binary(min_size=24, max_size=64))
def test_24_to_64_bytes_load_padded_or_not(key: bytes) -> None:
    text = base64.b64encode(key).decode()
    assert secret_bytes(f"whsec_{text}") == key
    assert secret_bytes(f"whsec_{text.rstrip('=')}") == key


@pytest.mark.parametrize(("secret", "size"), [(GOOD, 24), (SIXTY_FOUR, 64)])
def test_published_secrets_load(secret: str, size: int) -> None:
    assert len(secret_bytes(secret)) == size


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "w",
        "whsec_",
        "whsec_%",
        "whsec_wronglength",
        "whsec_not-valid-base64!!!",
        "hwsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "v1,whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "WHSEC_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        " whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n",
        "whsec_C2FVsBQIhrscChlQIMV-b5sSYspob7oD",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSY\u00e9pob7oD",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD====",
        "whsec_bm90LXZhbGlkCg==",
        EIGHTY_ONE,
    ],
)
def test_other_texts_are_refused_with_a_sentence(secret: str) -> None:
    with pytest.raises(ValueError, match=r"^(A secret|What follows whsec_) .*\.$|base64\.$"):
        secret_bytes(secret)


def test_a_secret_is_made_from_32_bytes_of_chance() -> None:
    assert secret_bytes(make_secret(bytes(range(32)))) == bytes(range(32))


@pytest.mark.parametrize("count", [0, 24, 31, 33])
def test_too_little_chance_makes_no_secret(count: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        make_secret(bytes(count))


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_private_key_is_its_seed_and_its_public_half(seed: bytes, public: bytes) -> None:
    made = make_private_key(seed, public)
    assert key_pair(made) == (seed, public)
    assert public_key(made) == "whpk_" + base64.b64encode(public).decode()
    secret = SigningSecret(made)
    assert (secret.version, secret.public_key) == (SignatureVersion.V1A, public_key(made))
    assert (SigningSecret(GOOD).version, SigningSecret(GOOD).public_key) == ("v1", None)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "whsk_",
        "whsk_%",
        GOOD,
        PRIVATE.removeprefix("whsk_"),
        # Without its padding, with too much, with a character that does not belong, and cut off.
        PRIVATE.rstrip("="),
        PRIVATE + "==",
        PRIVATE.replace("/", "!", 1),
        PRIVATE + "\n",
        PRIVATE[:-4],
        "whsk_" + base64.b64encode(bytes(32)).decode(),
        "whsk_" + base64.b64encode(bytes(63)).decode(),
        "whsk_" + base64.b64encode(bytes(65)).decode(),
    ],
)
def test_no_other_text_is_a_private_key(key: str) -> None:
    with pytest.raises(ValueError, match=r"^A private key is whsk_ and base64"):
        key_pair(key)


def test_a_public_key_given_for_a_private_one_is_named() -> None:
    with pytest.raises(ValueError, match="This is a public key"):
        key_pair("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=")


def test_a_secret_in_the_spelling_of_a_signature_is_told_how_to_mend_it() -> None:
    with pytest.raises(ValueError, match="leave out the v1, before it"):
        secret_bytes(f"v1,{GOOD}")


@pytest.mark.parametrize(
    "bare", ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBrc"]
)
def test_the_published_secrets_without_padding_load(bare: str) -> None:
    assert secret_bytes(f"whsec_{bare}") == secret_bytes("whsec_" + bare + "=" * (-len(bare) % 4))


def test_a_secret_does_not_print_itself() -> None:
    secret = SigningSecret(GOOD, expires_at=5)
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert GOOD not in text
        assert "***" in text
