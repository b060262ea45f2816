"""Makes ``standard_webhooks.json``: python -m tests.vectors.make.

With HMAC and Ed25519 from elsewhere, not with our signer, which the file is there to check. What is
published (Standard Webhooks' and Svix' own tests) stands here as it was published.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = Path(__file__).with_name("standard_webhooks.json")

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PRIVATE = (
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
NOISE = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
EMPTY_DIGEST = "v1," + base64.b64encode(hashlib.sha256(b"").digest()).decode()


def sign(secret: str, message_id: str, at: object, body: bytes) -> str:
    signed = b".".join([message_id.encode(), str(at).encode(), body])
    if secret.startswith("whsk_"):
        pair = base64.b64decode(secret.removeprefix("whsk_"))
        made = Ed25519PrivateKey.from_private_bytes(pair[:32]).sign(signed)
        return "v1a," + base64.b64encode(made).decode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def text_of(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def signature(  # noqa: PLR0917 - a row of a table
    name: str, secret: str, message_id: str, at: int, body: bytes, published: str | None = None
) -> dict[str, Any]:
    made = sign(secret, message_id, at, body)
    assert published in (None, made), name
    found = {"name": name, "secret": secret, "id": message_id, "timestamp": at, **text_of(body)}
    return found | {"signature": made}


def request(
    name: str,
    expect: str = "ok",
    *,
    secrets: list[str] | None = None,
    now: int = AT,
    id: str | None = ID,  # noqa: A002 - the header's name
    at: object = AT,
    body: bytes = BODY,
    signature: str | None = "",
    more: list[tuple[str, str]] | None = None,
    family: str = "webhook",
    key_index: int = 0,
    library: str | None = None,
) -> dict[str, Any]:
    """Describe one request; ``signature`` "" is the right one, None none.

    ``library`` is what standardwebhooks 1.1 makes of it where that is not our answer.
    """
    secrets = secrets or [SECRET]
    if signature == "":
        signature = sign(SECRET, id or "", at, body)
    named = [("id", id), ("timestamp", at), ("signature", signature)]
    headers = [(f"{family}-{key}", str(value)) for key, value in named if value is not None]
    found: dict[str, Any] = {
        "name": name,
        "secrets": secrets,
        "now": now,
        "headers": headers + (more or []),
        **text_of(body),
        "expect": expect,
    }
    if expect == "ok":
        found["key_index"] = key_index
    return found | ({"standardwebhooks": library} if library else {})


def svix(headers_of: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("webhook-", "svix-"), value) for name, value in headers_of["headers"]]


def signatures() -> list[dict[str, Any]]:
    email = b'{"email":"test@example.com","username":"test_user"}'
    rust = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
    return [
        signature("published: python, js, ruby, go, svix", SECRET, ID, AT, BODY, V1),
        signature(
            "published: rust", OTHER, "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553, email, rust
        ),
        signature("published: svix, Ed25519", PRIVATE, ID, AT, BODY, V1A),
        signature("an empty body", SECRET, ID, AT, b""),
        signature("a body that is not UTF-8", SECRET, ID, AT, b"\xff\xfe\x00\x80"),
        signature("a body beyond ASCII", SECRET, ID, AT, '{"name":"Zoë ✓ 😀"}'.encode()),
        signature("a body that begins with a byte order mark", OTHER, ID, AT, b"\xef\xbb\xbf{}"),
        signature("a body with dots and line ends", OTHER, "evt_1:a-b", AT, b"1.2.3\r\n.\n"),
    ]


def good() -> list[dict[str, Any]]:
    right, wrong = sign(SECRET, ID, AT, BODY), f"v1,{NOISE}"
    return [
        request("the published request"),
        request("with the headers of Svix", family="svix", library="refused"),
        request("header names in capitals", family="WEBHOOK"),
        request("exactly as old as the tolerance", now=AT + 300),
        request("exactly as far ahead as the tolerance", now=AT - 300),
        request("among signatures of others", signature=f"{wrong} v2,{NOISE} {right} {wrong}"),
        request("after a token without a comma", signature=f"v1 {right}", library="ValueError"),
        request("after a token with two commas", signature=f"v1,a,b {right}", library="ValueError"),
        request("after two spaces", signature=f"{wrong}  {right}", library="ValueError"),
        request("after bad base64", signature=f"v1,abc {right}", library="Error"),
        request(
            "by the second of two secrets",
            secrets=[OTHER, SECRET],
            key_index=1,
            library="refused",
        ),
        request(
            "by both secrets of a rotation",
            secrets=[SECRET, OTHER],
            signature=f"{sign(OTHER, ID, AT, BODY)} {right}",
        ),
        request("a secret without its prefix", secrets=[SECRET.removeprefix("whsec_")]),
        request("a secret as Supabase shows it", secrets=[f"v1,{SECRET}"], library="refused"),
        request(
            "an unpadded secret",
            secrets=["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr"],
            signature=sign("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr==", ID, AT, BODY),
        ),
        request("Ed25519", secrets=[PUBLIC], signature=V1A, library="refused"),
        request(
            "Ed25519 beside HMAC", secrets=[SECRET, PUBLIC], signature=V1A, key_index=1,
            library="refused",
        ),
        request("an empty body", body=b"", library="JSONDecodeError"),
        request("a body that is not UTF-8", body=b"\xff\xfe", library="UnicodeDecodeError"),
        request("a body that is no JSON", body=b"hello", library="JSONDecodeError"),
        request("an id of one character", id="1"),
        request(
            "complete as webhook-*, and a bad set of svix-*",
            more=svix(request("", signature=wrong)),
        ),
        request("with headers that JavaScript gives a meaning",
                more=[("__proto__", "a"), ("constructor", "b")]),
        request("half of webhook-*, all of svix-*", id=None, signature=None,
                more=svix(request("")), library="refused"),
    ]  # fmt: skip


def refused() -> list[dict[str, Any]]:
    right = sign(SECRET, ID, AT, BODY)
    flipped = right[:-2] + ("A" if right[-2] != "A" else "B") + "="
    touched = BODY.replace(b"4", b"5", 1)
    return [
        request("no id", "MissingHeader", id=None),
        request("no timestamp", "MissingHeader", at=None, signature=right),
        request("no signature", "MissingHeader", signature=None),
        request("an empty id", "MissingHeader", id="", signature=right),
        request("an empty timestamp", "MissingHeader", at="", signature=right),
        request("an empty signature", "MissingHeader", more=[("webhook-signature", "")],
                signature=None),
        request("the id twice", "BadHeader", more=[("webhook-id", ID)], library="ok"),
        request("the timestamp twice", "BadHeader", more=[("Webhook-Timestamp", str(AT))],
                library="ok"),
        request("the signature twice", "BadHeader", more=[("webhook-signature", right)],
                library="ok"),
        request("a dot in the id, which moves a boundary", "BadHeader", id="msg.1", at=AT,
                body=b"x", library="JSONDecodeError"),
        request("a space in the id", "BadHeader", id="msg 1", library="ok"),
        request("an id beyond ASCII", "BadHeader", id="mésg", library="ok"),
        request("an id of 257 characters", "BadHeader", id="m" * 257, library="ok"),
        request("a body with one byte changed", "NoMatch", body=touched, signature=right),
        request("the JSON written again", "NoMatch", body=b'{"test":2432232314}', signature=right),
        request("a byte more", "NoMatch", body=BODY + b"\n", signature=right),
        request("another id", "NoMatch", id="msg_other", signature=right),
        request("another second", "NoMatch", at=AT + 1, signature=right),
        request("another secret", "NoMatch", secrets=[OTHER]),
        request("published: an invalid signature", "NoMatch", signature=V1[:-2] + "A="),
        request("one character changed at the end", "NoMatch", signature=flipped),
        request("a signature without its version", "NoMatch", signature=right[3:],
                library="ValueError"),
        request("a version without its signature", "NoMatch", signature="v1,"),
        request("a version without its comma", "NoMatch", signature="v1", library="ValueError"),
        request("two commas", "NoMatch", signature=f"{right},", library="ValueError"),
        request("the right signature as v2", "NoMatch", signature="v2" + right[2:]),
        request("the right signature as v1a", "NoMatch", signature="v1a" + right[2:]),
        request("a version in capitals", "NoMatch", signature="V" + right[1:]),
        request("bad padding", "NoMatch", signature="v1,abc", library="Error"),
        request("junk inside the base64", "NoMatch", signature=f"{right[:9]}!{right[9:]}",
                library="ok"),
        request("base64 without its padding", "NoMatch", signature=right.rstrip("="),
                library="Error"),
        request("base64 with too much padding", "NoMatch", signature=right + "=", library="ok"),
        request("base64 for URLs", "NoMatch", library="Error",
                signature=right.replace("+", "-").replace("/", "_")),
        request("the signature after a tab", "NoMatch", signature=f"v2,x\t{right}",
                library="ValueError"),
        request("51 signatures, the last one right", "NoMatch", library="ok",
                signature=f"v1,{NOISE} " * 50 + right),
        request("the digest of nothing", "NoMatch", body=b"", signature=EMPTY_DIGEST),
        request("Ed25519 with one byte changed", "NoMatch", secrets=[PUBLIC], body=touched,
                signature=V1A),
        request("Ed25519 given as v1", "NoMatch", secrets=[PUBLIC], signature="v1" + V1A[3:]),
        request("half an Ed25519 signature", "NoMatch", secrets=[PUBLIC], signature=V1A[:48]),
        request("Ed25519 without its padding", "NoMatch", secrets=[PUBLIC],
                signature=V1A.rstrip("=")),
        request("Ed25519 in another spelling of the same bytes", "NoMatch", secrets=[PUBLIC],
                signature=V1A[:-3] + "h=="),
        request("junk inside the base64 of Ed25519", "NoMatch", secrets=[PUBLIC],
                signature=f"{V1A[:20]}!{V1A[20:]}"),
        request("HMAC right and Ed25519 wrong, where only Ed25519 is trusted", "NoMatch",
                secrets=[PUBLIC], signature=f"{right} v1a,{'A' * 86}=="),
        request("several signatures, none right", "NoMatch",
                signature=f"v1,{NOISE} v2,{NOISE} v1,{NOISE}"),
        request("digits alone as the signature", "NoMatch", signature="v1," + "1" * 64),
        request("HMAC by the public key", "NoMatch", secrets=[PUBLIC],
                signature=sign(PUBLIC.removeprefix("whpk_"), ID, AT, BODY)),
        request("complete as webhook-* and wrong, right as svix-*", "NoMatch",
                signature=f"v1,{NOISE}", more=svix(request(""))),
        request("a second too old", "Expired", now=AT + 301),
        request("a second too far ahead", "Expired", now=AT - 301),
        request("too old, and signed by a stranger", "NoMatch", now=AT + 301, secrets=[OTHER]),
        *(
            request(f"the timestamp {name}", "BadTimestamp", at=value, signature=right,
                    library=library)
            for name, value, library in [
                ("a word", "hello", None),
                ("with a fraction", f"{AT}.9", "ok"),
                ("after a space", f" {AT}", "ok"),
                ("before a line end", f"{AT}\n", "ok"),
                ("with an underscore", "16142_65330", "ok"),
                ("with an exponent", "1.61426533e9", "ok"),
                ("with a sign", f"+{AT}", "ok"),
                ("below zero", "-1", None),
                ("with a zero in front", f"0{AT}", "ok"),
                ("in full-width digits", str(AT).translate({48 + n: 0xFF10 + n for n in range(10)}),
                 "ok"),
                ("with one full-width digit", f"{AT // 10}\uff10", "ok"),
                ("in hexadecimal", hex(AT), None),
                ("infinity", "Infinity", None),
                ("not a number", "nan", None),
                ("in milliseconds", f"{AT}000", None),
            ]
        ),
    ]  # fmt: skip


def secrets() -> list[dict[str, Any]]:
    def with_bytes(count: int) -> str:
        return "whsec_" + base64.b64encode(bytes(range(count))).decode()

    good = {
        "the published one": SECRET,
        "without its prefix": SECRET.removeprefix("whsec_"),
        "as Supabase shows it": f"v1,{SECRET}",
        "published: unpadded, 23 bytes": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "published: unpadded, 25 bytes": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr",
        "16 bytes": with_bytes(16),
        "64 bytes": with_bytes(64),
        "75 bytes, as Svix allows": with_bytes(75),
        "a public key": PUBLIC,
    }
    bad = {
        "nothing": "",
        "a letter": "w",
        "the prefix alone": "whsec_",
        "not base64": "whsec_%",
        "not base64 at the end": "whsec_not-valid-base64!!!",
        "a length that base64 never has": "whsec_wronglength",
        "another prefix": "hwsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "15 bytes": with_bytes(15),
        "76 bytes": with_bytes(76),
        "with padding that it does not need": SECRET + "==",
        "a line end inside": SECRET[:20] + "\n" + SECRET[20:],
        "the private key": PRIVATE,
        "half a public key": PUBLIC[:24],
    }
    return [
        *({"name": name, "secret": text, "expect": "ok"} for name, text in good.items()),
        *({"name": name, "secret": text, "expect": "BadSecret"} for name, text in bad.items()),
    ]


def content() -> str:
    about = "Made by tests/vectors/make.py; checked by tests/receive and packages/receive-js."
    vectors = {
        "about": about,
        "signatures": signatures(),
        "requests": [*good(), *refused()],
        "secrets": secrets(),
    }
    return json.dumps(vectors, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(content(), "utf-8")
