"""Bad input about secrets, as rows of the table in ``bad_input.py``; cases of other services."""

from __future__ import annotations

import base64
import json

from tests.api.bad_input import ENDPOINTS, JSON, UNKNOWN_KEY, BadInput

_SECRET = f"{ENDPOINTS}/ep_{UNKNOWN_KEY}/secret"


def _made_with(name: str, secret: object, remedy: str, pointer: str = "/secret") -> BadInput:
    fields: dict[str, object] = {"url": "https://example.com/", "event_types": ["*"]}
    fields |= secret if isinstance(secret, dict) else {"secret": secret}
    return BadInput(name, "POST", ENDPOINTS, 422, pointer, remedy, json.dumps(fields).encode())


BAD_SECRETS = [
    _made_with("secret that is none", "abc", "whsec_"),
    _made_with("secret that is empty", "", "whsec_"),
    _made_with("secret of 81 bytes", "whsec_" + base64.b64encode(bytes(81)).decode(),
               "24 to 64 bytes"),
    _made_with("private key whose halves do not match",
               "whsk_" + base64.b64encode(bytes(range(32)) * 2).decode(), "belong together"),
    _made_with("secret of no bytes", "whsec_", "24 to 64 bytes"),
    _made_with("secret of 9 bytes", "whsec_bm90LXZhbGlkCg==", "24 to 64 bytes"),
    _made_with("secret in other letters", "whsec_not-valid-base64!!!", "not base64"),
    _made_with("secret with letters astray", "hwsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_"),
    _made_with("secret spelled as a signature", "v1,whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "v1,"),
    _made_with("public key as a secret", "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
               "whsec_"),
    _made_with("private key without its padding", "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbf"
               "VKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg", "with its padding"),
    _made_with("unknown kind of signature", {"signature": "v2"}, "v1", "/signature"),
    _made_with("signature that contradicts the secret",
               {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "signature": "v1a"},
               "Contradicts", "/signature"),
    BadInput("secret of an unknown endpoint", "POST", f"{ENDPOINTS}/a/secret", 404, None,
             "no endpoint"),
    BadInput("secret rotated of an unknown endpoint", "POST", f"{_SECRET}/rotate", 404, None,
             "no endpoint", b"{}"),
    BadInput("secret read by GET", "GET", _SECRET, 405, None, "takes", headers={},
             answer_headers={"allow": "OPTIONS, POST"}),
    BadInput("secret read with a body", "POST", _SECRET, 422, "", "leave it out", b'{"a":1}'),
    BadInput("rotation without a body", "POST", f"{_SECRET}/rotate", 400, "", "JSON object",
             headers=JSON),
    BadInput("overlap of another kind", "POST", f"{_SECRET}/rotate", 422, "/overlap_s", "integer",
             b'{"overlap_s":"1h"}'),
    BadInput("unknown field of a rotation", "POST", f"{_SECRET}/rotate", 422, "/overlap",
             "did you mean overlap_s?", b'{"overlap":1}'),
]  # fmt: skip
