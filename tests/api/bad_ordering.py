"""Bad input about ordered delivery, as rows of the table in ``bad_input.py``."""

from __future__ import annotations

import json

from tests.api.bad_input import ENDPOINTS, EVENTS, UNKNOWN_KEY, BadInput

_POINTER = "/ordering_key"
_ONE = f"{ENDPOINTS}/ep_{UNKNOWN_KEY}"


def _with_key(name: str, key: object, remedy: str) -> BadInput:
    body = {"type": "message.sent", "data": 1, "ordering_key": key}
    return BadInput(name, "POST", EVENTS, 422, _POINTER, remedy, json.dumps(body).encode())


def _on_failure(name: str, value: object, remedy: str) -> BadInput:
    body = {"url": "https://example.com/", "event_types": ["*"], "ordering_on_failure": value}
    pointer = "/ordering_on_failure"
    return BadInput(name, "POST", ENDPOINTS, 422, pointer, remedy, json.dumps(body).encode())


BAD_ORDERING = [
    _with_key("empty ordering key", "", "1 to 256 visible"),
    _with_key("ordering key of 257 characters", "k" * 257, "1 to 256 visible"),
    _with_key("ordering key with a space", "a b", "1 to 256 visible"),
    _with_key("ordering key with a line end", "a\n", "1 to 256 visible"),
    _with_key("ordering key with an umlaut", "\u00fc", "1 to 256 visible"),
    _with_key("ordering key as a number", 7, "Must be a string or null"),
    BadInput(
        "ordering key in a batch", "POST", EVENTS, 422, "/events/1/ordering_key", "1 to 256",
        b'{"events":[{"type":"message.sent","data":1},'
        b'{"type":"message.sent","data":1,"ordering_key":"a b"}]}',
    ),
    _on_failure("unknown ordering on failure", "halt", "continue, stop"),
    _on_failure("ordering on failure of another kind", True, "Must be"),
    _on_failure("ordering on failure that is null", None, "Must be"),
    BadInput(
        "unknown ordering on failure of a change", "PATCH", _ONE, 422, "/ordering_on_failure",
        "continue, stop", b'{"ordering_on_failure":"halt"}',
    ),
]  # fmt: skip
