"""One file of vectors for the signer, the verifier and other people's libraries.

The verifier in TypeScript runs the same file: tests/receive/test_javascript.py.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import standardwebhooks
import svix
from standardwebhooks import webhooks as library

from tests.receive.vectors import FILE, VECTORS, body_of, named
from tests.vectors.make import content
from webhook import receive
from webhook.adapters.native_crypto import NativeCrypto
from webhook.domain.secret import SignatureVersion, key_pair, version_of
from webhook.domain.signature import sign_v1
from webhook.receive import Verifier
from webhook.standard_webhooks import signed_bytes, v1a


def headers_of(vector: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in vector["headers"]]


def test_the_file_is_what_its_program_makes() -> None:
    assert FILE.read_text("utf-8") == content()


def test_the_file_has_every_kind_of_refusal() -> None:
    errors = {"MissingHeader", "BadHeader", "BadTimestamp", "Expired", "NoMatch"}
    assert {vector["expect"] for vector in VECTORS["requests"]} == errors | {"ok"}


@named("signatures")
async def test_our_signer_signs_as_the_vectors_say(vector: dict[str, Any]) -> None:
    over = signed_bytes(vector["id"], vector["timestamp"], body_of(vector))
    if version_of(vector["secret"]) is SignatureVersion.V1:
        made = sign_v1(vector["secret"], over)
    else:
        seed, _ = key_pair(vector["secret"])
        made = v1a(await NativeCrypto().ed25519_sign(seed, over))
    assert made == vector["signature"]


@named("requests")
def test_our_verifier_answers_as_the_vectors_say(vector: dict[str, Any]) -> None:
    verifier = Verifier(vector["secrets"], clock=lambda: vector["now"])
    body, headers = body_of(vector), headers_of(vector)
    if vector["expect"] == "ok":
        verified = verifier.verify(body, headers)
        assert verified.key_index == vector["key_index"]
        assert (verified.id, str(verified.timestamp)) in {
            (headers[n][1], headers[n + 1][1]) for n in range(len(headers) - 2)
        }
    else:
        with pytest.raises(getattr(receive, vector["expect"])):
            verifier.verify(body, headers)


@named("secrets")
def test_our_verifier_takes_and_refuses_secrets(vector: dict[str, Any]) -> None:
    if vector["expect"] == "ok":
        Verifier([vector["secret"]])
    else:
        with pytest.raises(receive.BadSecret):
            Verifier([vector["secret"]])


class At(dt.datetime):
    """A clock for a library that reads the machine's."""

    instant = 0

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> At:
        return cls.fromtimestamp(cls.instant, tz)


def answer(vector: dict[str, Any], make: Any) -> str:
    """Say what a library makes of a request: ok, refused, or what it breaks with."""
    try:
        make(vector["secrets"][0]).verify(body_of(vector), dict(headers_of(vector)))
    except standardwebhooks.WebhookVerificationError:
        return "refused"
    except Exception as error:  # noqa: BLE001 - whatever it breaks with is the answer
        return type(error).__name__
    return "ok"


def ours(vector: dict[str, Any]) -> str:
    return "ok" if vector["expect"] == "ok" else "refused"


@named("requests")
def test_standardwebhooks_agrees_but_for_its_known_defects(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "datetime", At)
    monkeypatch.setattr(At, "instant", vector["now"])
    expected = vector.get("standardwebhooks", ours(vector))
    assert answer(vector, standardwebhooks.Webhook) == expected


@named("requests")
def test_svix_accepts_what_we_accept_of_one_plain_secret(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "datetime", At)
    monkeypatch.setattr(At, "instant", vector["now"])
    if vector["headers"][0][0].startswith("svix-"):
        assert answer(vector, svix.Webhook) == ours(vector)
    elif ours(vector) == "ok" and "standardwebhooks" not in vector and len(vector["headers"]) == 3:
        assert answer(vector, svix.Webhook) == "ok"


def _libraries_read(vector: dict[str, Any]) -> bool:
    """Neither Ed25519 nor bytes that are not UTF-8."""
    return "body" in vector and not vector["secret"].startswith("whsk_")


@named("signatures", _libraries_read)
def test_the_libraries_verify_every_signature_that_they_can_read(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "datetime", At)
    monkeypatch.setattr(At, "instant", vector["timestamp"])
    headers = {
        "webhook-id": vector["id"],
        "webhook-timestamp": str(vector["timestamp"]),
        "webhook-signature": vector["signature"],
    }
    standardwebhooks.Webhook(vector["secret"]).verify(body_of(vector), headers, json_parse=False)
    svix.Webhook(vector["secret"]).verify(body_of(vector), headers)
