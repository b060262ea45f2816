"""``Crypto`` in a Python Worker: the platform's WebCrypto, each call of which is a promise."""

from __future__ import annotations

from typing import Any

_NONCE_BYTES = 12
_TAG_BYTES = 16
# What comes before the seed of an Ed25519 key in PKCS #8 (RFC 8410, section 7).
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
_ED25519, _AES_GCM = "Ed25519", "AES-GCM"
# What this isolate has opened: a claim opens the same few secrets over and over.
_OPENED_MAX = 1_000
_opened: dict[tuple[bytes, bytes, bytes], bytes] = {}


class WebCrypto:
    """See ``Crypto``."""

    async def ed25519_public_key(self, seed: bytes) -> bytes:
        """Return the public key: WebCrypto tells it of a private key in its JWK alone."""
        from js import crypto  # noqa: PLC0415 - exists in a Worker only

        key = await _import("pkcs8", _PKCS8 + seed, _ED25519, "sign", extractable=True)
        return _base64url((await crypto.subtle.exportKey("jwk", key)).x)

    async def ed25519_sign(self, seed: bytes, message: bytes) -> bytes:
        """Sign."""
        from js import crypto  # noqa: PLC0415 - exists in a Worker only

        key = await _import("pkcs8", _PKCS8 + seed, _ED25519, "sign")
        return _bytes(await crypto.subtle.sign(_ED25519, key, _buffer(message)))

    async def seal(self, key: bytes, text: bytes, bound_to: bytes) -> bytes:
        """Encrypt."""
        from js import Uint8Array, crypto  # noqa: PLC0415 - exist in a Worker only

        nonce = _bytes(crypto.getRandomValues(Uint8Array.new(_NONCE_BYTES)))
        imported = await _import("raw", key, _AES_GCM, "encrypt")
        way = _aes_gcm(nonce, bound_to)
        return nonce + _bytes(await crypto.subtle.encrypt(way, imported, _buffer(text)))

    async def open(self, key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
        """Decrypt."""
        from js import crypto  # noqa: PLC0415 - exists in a Worker only
        from pyodide.ffi import JsException  # noqa: PLC0415 - exists in a Worker only

        known = _opened.get((key, sealed, bound_to))
        if known is not None:
            return known
        if len(sealed) < _NONCE_BYTES + _TAG_BYTES:
            raise ValueError("Not what was sealed under this key.")
        imported = await _import("raw", key, _AES_GCM, "decrypt")
        way = _aes_gcm(sealed[:_NONCE_BYTES], bound_to)
        try:
            opened = await crypto.subtle.decrypt(way, imported, _buffer(sealed[_NONCE_BYTES:]))
        except JsException:
            raise ValueError("Not what was sealed under this key.") from None
        if len(_opened) >= _OPENED_MAX:
            del _opened[next(iter(_opened))]
        return _opened.setdefault((key, sealed, bound_to), _bytes(opened))


async def _import(
    form: str, key: bytes, algorithm: str, use: str, *, extractable: bool = False
) -> Any:
    from js import Array, crypto  # noqa: PLC0415 - exist in a Worker only

    uses = Array.new(use)
    return await crypto.subtle.importKey(form, _buffer(key), algorithm, extractable, uses)


def _aes_gcm(nonce: bytes, bound_to: bytes) -> Any:
    from js import Object  # noqa: PLC0415 - exists in a Worker only

    way = Object.new()
    way.name, way.iv, way.additionalData = _AES_GCM, _buffer(nonce), _buffer(bound_to)
    return way


def _buffer(data: bytes) -> Any:
    from pyodide.ffi import to_js  # noqa: PLC0415 - exists in a Worker only

    return to_js(data)


def _bytes(buffer: Any) -> bytes:
    return bytes(buffer.to_bytes())


def _base64url(text: str) -> bytes:
    import base64  # noqa: PLC0415 - seldom needed, kept light

    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
