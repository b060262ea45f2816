"""WebCrypto computes what ``cryptography`` does elsewhere, byte for byte."""

from __future__ import annotations

import base64

import pytest

from webhook.adapters.cloudflare.webcrypto import WebCrypto

# RFC 8032, section 7.1, test 2.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
KEY = bytes(range(32))
# Sealed by `cryptography` on CPython.
PLACE = b'["endpoints","t","ep_1","secrets","key"]'
SEALED = "t5Q6dcYEDXV08FJlTyQnHd+Gt/uzPmYzJr1toFJH/SbtRq3M"


async def test_ed25519_is_that_of_rfc_8032() -> None:
    crypto = WebCrypto()
    assert await crypto.ed25519_public_key(SEED) == PUBLIC
    assert await crypto.ed25519_sign(SEED, b"\x72") == SIGNATURE


async def test_what_cpython_has_sealed_opens_here() -> None:
    assert await WebCrypto().open(KEY, base64.b64decode(SEALED), PLACE) == b"a secret"


async def test_what_was_sealed_opens_and_nothing_else_does() -> None:
    crypto = WebCrypto()
    sealed = await crypto.seal(KEY, b"a secret", b"its place")
    assert len(sealed) == 12 + len(b"a secret") + 16
    assert await crypto.open(KEY, sealed, b"its place") == b"a secret"
    assert sealed != await crypto.seal(KEY, b"a secret", b"its place")
    for key, text, place in (
        (bytes(32), sealed, b"its place"),
        (KEY, sealed[:-1], b"its place"),
        (KEY, sealed[:20], b"its place"),
        (KEY, b"\0" + sealed[1:], b"its place"),
        (KEY, sealed, b"another place"),
    ):
        with pytest.raises(ValueError, match="sealed"):
            await crypto.open(key, text, place)
