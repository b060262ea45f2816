"""What CPython computes: the RFC's vectors, and what only the right key and place open."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import ed25519
from webhook.adapters.native_crypto import NativeCrypto

# RFC 8032, section 7.1, tests 1 to 3: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]
KEY = bytes(range(32))


@pytest.mark.parametrize("vector", RFC_8032)
async def test_ed25519_is_that_of_rfc_8032(vector: tuple[str, str, str, str]) -> None:
    seed, public, message, signature = map(bytes.fromhex, vector)
    crypto = NativeCrypto()
    assert await crypto.ed25519_public_key(seed) == public
    assert await crypto.ed25519_sign(seed, message) == signature
    assert ed25519.verify(public, message, signature)


@settings(max_examples=10, deadline=None)  # plain integers are slow
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=64))
async def test_an_independent_ed25519_verifies_and_refuses(seed: bytes, message: bytes) -> None:
    crypto = NativeCrypto()
    public = await crypto.ed25519_public_key(seed)
    signature = await crypto.ed25519_sign(seed, message)
    assert ed25519.verify(public, message, signature)
    assert not ed25519.verify(public, message + b"x", signature)
    assert not ed25519.verify(public, message, bytes([signature[0] ^ 1]) + signature[1:])


@given(st.binary(max_size=200), st.binary(max_size=50))
async def test_what_was_sealed_opens_and_nothing_else_does(text: bytes, place: bytes) -> None:
    crypto = NativeCrypto()
    sealed = await crypto.seal(KEY, text, place)
    assert len(sealed) == 12 + len(text) + 16
    assert await crypto.open(KEY, sealed, place) == text
    assert await crypto.seal(KEY, text, place) != sealed
    for key, changed, elsewhere in (
        (bytes(32), sealed, place),
        (KEY, sealed[:-1], place),
        (KEY, sealed[:20], place),
        (KEY, b"", place),
        (KEY, bytes([sealed[0] ^ 1]) + sealed[1:], place),
        (KEY, sealed, place + b"."),
    ):
        with pytest.raises(ValueError, match="sealed"):
            await crypto.open(key, changed, elsewhere)
