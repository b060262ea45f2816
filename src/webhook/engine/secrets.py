"""The secrets of endpoints: which may be given, and how new ones are made."""

from __future__ import annotations

from webhook.domain.config import WebhookConfig
from webhook.domain.errors import InvalidInput
from webhook.domain.secret import (
    BYTES_MADE,
    SEED_BYTES,
    SignatureVersion,
    key_pair,
    make_private_key,
    make_secret,
    secret_bytes,
    version_of,
)
from webhook.ports import Chance, Crypto
from webhook.standard_webhooks import PREFIX, PRIVATE_PREFIX, PUBLIC_PREFIX

_POINTER = "/secret"


async def take_secret(
    given: str | None,
    signature: SignatureVersion | None,
    *,
    config: WebhookConfig,
    chance: Chance,
    crypto: Crypto,
) -> str:
    """Return the secret that was given, checked, or else a new one.

    Raises ``InvalidInput`` with a pointer to the field.
    """
    if config.scheme == "k-msg":
        _check_for_kmsg(given, signature)
    if given is None:
        return await _make(signature or SignatureVersion.V1, chance, crypto)
    if signature not in (None, version_of(given)):
        prefix = PREFIX if signature is SignatureVersion.V1 else PRIVATE_PREFIX
        raise InvalidInput.at("/signature", f"Contradicts the secret; {prefix} begins one of it.")
    if config.scheme == "standard":
        await _check(given, crypto)
    return given


async def _make(signature: SignatureVersion, chance: Chance, crypto: Crypto) -> str:
    if signature is SignatureVersion.V1:
        return make_secret(chance.random_bytes(BYTES_MADE))
    seed = chance.random_bytes(SEED_BYTES)
    return make_private_key(seed, await crypto.ed25519_public_key(seed))


def _check_for_kmsg(given: str | None, signature: SignatureVersion | None) -> None:
    """The older scheme has HMAC only; its secrets are any text."""
    if signature is SignatureVersion.V1A:
        raise InvalidInput.at("/signature", "The k-msg scheme has no v1a; leave it out.")
    if given == "":
        raise InvalidInput.at(_POINTER, "An empty secret signs nothing; leave it out.")
    if given is not None and given.startswith((PRIVATE_PREFIX, PUBLIC_PREFIX)):
        raise InvalidInput.at(_POINTER, "The k-msg scheme signs with no key pair; give any text.")


async def _check(given: str, crypto: Crypto) -> None:
    try:
        if version_of(given) is SignatureVersion.V1:
            secret_bytes(given)
            return
        seed, public = key_pair(given)
    except ValueError as error:
        raise InvalidInput.at(_POINTER, str(error)) from None
    if await crypto.ed25519_public_key(seed) != public:
        detail = "The two halves do not belong together: seed first, then its public key."
        raise InvalidInput.at(_POINTER, detail)
